// Anonymous memory: mapped, split, protected, moved, replaced, given back; and what is refused.
#include "story.h"

#define PAGE 4096L

static char *map(long pages) {
    return mmap(NULL, (size_t)(pages * PAGE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(void) {
    char *area = map(8);
    check("aligned to a page", ((uintptr_t)area & (PAGE - 1)) == 0);
    int bits = 0;
    for (long i = 0; i < 8 * PAGE; i++)
        bits |= area[i];
    show("fresh memory is zero", bits);
    for (int i = 0; i < 8; i++)
        memset(area + i * PAGE, 'a' + i, PAGE);

    show("a hole in the middle", munmap(area + 3 * PAGE, PAGE));
    printf("its neighbours hold %c %c\n", area[2 * PAGE], area[4 * PAGE]);
    show("a hole again", munmap(area + 3 * PAGE, PAGE));
    show("the kernel cannot read it", write(1, area + 3 * PAGE, 1));

    char *fixed = mmap(area + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    check("filled at the same place", fixed == area + 3 * PAGE);
    show("with a zero", area[3 * PAGE]);
    mmap(area + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    show("mapped over, its content is gone", area[4 * PAGE]);
    void *refused =
        mmap(area, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    show("without replacing", refused == MAP_FAILED ? -1 : 0);
    char *hinted = map(1);
    munmap(hinted, PAGE);
    check("a free hint is taken", mmap(hinted, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == hinted);

    show("protect one page", mprotect(area + PAGE, PAGE, PROT_READ));
    int ends[2];
    (void)!pipe(ends);
    show("the kernel can read it", write(ends[1], area + PAGE, 10));
    show("but not write to it", read(open("/dev/zero", O_RDONLY), area + PAGE, 10));
    show("unprotect", mprotect(area + PAGE, PAGE, PROT_READ | PROT_WRITE));
    area[PAGE] = 'B';
    printf("it holds %c%c\n", area[PAGE], area[PAGE + 1]);
    char *former = map(1);
    munmap(former, PAGE);
    show("protect what is not mapped", mprotect(former, PAGE, PROT_READ));
    show("protect from an odd address", mprotect(area + 1, PAGE, PROT_READ));

    show("forget two pages", madvise(area, 2 * PAGE, MADV_DONTNEED));
    printf("they hold %d %d, the next %c\n", area[0], area[PAGE], area[2 * PAGE]);
    show("unknown advice", madvise(area, PAGE, 12345));

    char *growing = map(2);
    strcpy(growing + PAGE, "moved along");
    char *grown = mremap(growing, 2 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
    printf("after growing: %s, new pages %d\n", grown + PAGE, grown[39 * PAGE]);
    char *shrunk = mremap(grown, 40 * PAGE, 2 * PAGE, 0);
    check("shrinking stays in place", shrunk == grown);
    show("the rest is gone", write(1, shrunk + 2 * PAGE, 1));
    char *target = map(4);
    char *moved = mremap(shrunk, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    printf("moved where it was told: %d %s\n", moved == target, moved + PAGE);
    show("the old place is gone", write(1, shrunk, 1));

    show("a length of zero", mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    show("neither private nor shared", mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    show("a file that is not open", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 77, 0) == MAP_FAILED ? -1 : 0);
    show("more than there are addresses",
         mmap(NULL, (size_t)1 << 48, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED ? -1 : 0);
    show("an odd fixed address",
         mmap(area + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
    show("unmap an odd address", munmap(area + 1, PAGE));
    show("unmap nothing", munmap(area, 0));

    char *shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[PAGE] = 5;
    printf("shared anonymous memory holds %d %d\n", shared[0], shared[PAGE]);
    show("synchronize", msync(shared, 2 * PAGE, MS_SYNC));
    unsigned char resident[8];
    show("resident?", mincore(area, PAGE, resident));
    show("lock", mlock(area, PAGE) == 0 || errno == ENOMEM || errno == EPERM);
    return 0;
}
