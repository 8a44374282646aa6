// What calls about memory say to good and bad arguments: mmap, mprotect, mremap, madvise, mlock, msync, mincore, seals of memfds, brk,
// limits.
#include "story.h"
#include <linux/memfd.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

enum { PAGE = 4096 };

static sigjmp_buf back;
static void caught(int number) { siglongjmp(back, number); }

// What a load or store does: 0, or the signal.
static int touch(volatile char *at, int stores) {
    int signal = sigsetjmp(back, 1);
    if (signal)
        return signal;
    if (stores)
        *at = 7;
    else
        (void)*at;
    return 0;
}

static char *map(size_t pages, int protection, int flags) {
    char *at = mmap(NULL, pages * PAGE, protection, flags | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        perror("mmap");
    return at;
}

// Sums the numbers of a field of /proc/self/status, in KiB.
static long status_field(const char *name) {
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    long value = -1;
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return value;
}

// The protections in /proc/self/maps of what is mapped in the range, with the lengths in pages.
static void layout(const char *what, char *start, size_t pages) {
    char line[512];
    FILE *file = fopen("/proc/self/maps", "r");
    printf("%s:", what);
    while (file && fgets(line, sizeof(line), file)) {
        unsigned long from, to;
        char protection[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, protection) != 3)
            continue;
        unsigned long low = (unsigned long)start, high = low + pages * PAGE;
        from = from < low ? low : from;
        to = to > high ? high : to;
        if (from < to)
            printf(" %lu+%lu %s", (from - low) / PAGE, (to - from) / PAGE, protection);
    }
    printf("\n");
    if (file)
        fclose(file);
}

static void mapping(void) {
    char *at = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    works("no length", (long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    works("no type", (long)mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
    works("odd offset", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 5));
    works("too long", (long)mmap(NULL, (size_t)-PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    works("longer than the address space", (long)mmap(NULL, 1UL << 47, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    works("unknown protection", (long)mmap(NULL, PAGE, 0x100 | PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    works("fixed, odd", (long)mmap(at + 5, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    works("fixed, taken", (long)mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    munmap(at + PAGE, PAGE);
    check("fixed, free", mmap(at + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at + PAGE);
    works("fixed, half free", (long)mmap(at + PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    works("fixed beyond", (long)mmap((void *)0x7ffffffff000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    works("fixed and both", (long)mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE, -1, 0));
    works("huge pages", (long)mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
    works("sync, anonymous", (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | MAP_SYNC, -1, 0));
    works("validated", (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
    works("grows down, shared", (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
    works("bad descriptor", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0));
    works("descriptor of anonymous", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 99, 0));
    int fd = memfd_create("story", 0);
    ftruncate(fd, 4 * PAGE);
    works("file, sync", (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
    works("file, unknown flag validated", (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x8000000, fd, 0));
    works("file, unknown flag", (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED | 0x8000000, fd, 0));
    works("file, huge pages", (long)mmap(NULL, 2 << 20, PROT_READ, MAP_SHARED | MAP_HUGETLB, fd, 0));
    works("file, offset at the end", (long)mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0x7ffffffffffff000));
    works("file, growing down", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
    close(fd);
    works("directory", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/", O_RDONLY), 0));
    show("unmap nothing", munmap(at, 0));
    show("unmap odd", munmap(at + 1, PAGE));
    show("unmap beyond", munmap((void *)0x7ffffffff000, 2 * PAGE));
    show("unmap what is not there", munmap(at + PAGE, PAGE));
    show("again", munmap(at + PAGE, PAGE));
    munmap(at, 8 * PAGE);
}

static void protecting(void) {
    char *at = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memset(at, 1, 8 * PAGE);
    show("odd address", mprotect(at + 1, PAGE, PROT_READ));
    show("no length", mprotect(at, 0, PROT_READ));
    show("unknown bits", mprotect(at, PAGE, 0x100));
    show("both growths", mprotect(at, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP));
    show("grows down, but is no stack", mprotect(at, PAGE, PROT_READ | PROT_GROWSDOWN));
    show("grows up, but does not", mprotect(at, PAGE, PROT_READ | PROT_GROWSUP));
    show("wraps", mprotect(at, (size_t)-1, PROT_READ));
    show("one", mprotect(at + 2 * PAGE, PAGE, PROT_READ));
    layout("then", at, 8);
    munmap(at + 4 * PAGE, PAGE);
    show("over a gap", mprotect(at, 8 * PAGE, PROT_READ));
    layout("then", at, 8);
    show("from a gap", mprotect(at + 4 * PAGE, 2 * PAGE, PROT_READ));
    layout("then", at, 8);
    printf("store: signal %d\n", touch(at, 1));
    show("back", mprotect(at, 4 * PAGE, PROT_READ | PROT_WRITE));
    layout("then", at, 8);
    printf("store: signal %d\n", touch(at, 1));
    show("none", mprotect(at, PAGE, PROT_NONE));
    printf("load: signal %d\n", touch(at, 0));
    munmap(at, 8 * PAGE);
    int fd = memfd_create("story", 0);
    ftruncate(fd, PAGE);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int readable = open(path, O_RDONLY);
    at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, readable, 0);
    show("shared, of a file that is read only", mprotect(at, PAGE, PROT_READ | PROT_WRITE));
    munmap(at, PAGE);
    at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, readable, 0);
    show("private, of such a file", mprotect(at, PAGE, PROT_READ | PROT_WRITE));
    munmap(at, PAGE);
    close(readable);
    close(fd);
    char *stack = map(16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_GROWSDOWN);
    if (stack != MAP_FAILED) {
        show("down a stack", mprotect(stack + 8 * PAGE, PAGE, PROT_READ | PROT_GROWSDOWN));
        layout("then", stack, 16);
        munmap(stack, 16 * PAGE);
    }
}

static void moving(void) {
    char *at = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memset(at, 3, 8 * PAGE);
    works("odd", (long)mremap(at + 1, PAGE, PAGE, 0));
    works("to nothing", (long)mremap(at, PAGE, 0, 0));
    works("unknown flag", (long)mremap(at, PAGE, PAGE, 8));
    works("fixed without moving", (long)mremap(at, PAGE, PAGE, MREMAP_FIXED, at + PAGE));
    works("fixed upon itself", (long)mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, at + PAGE));
    works("fixed at an odd place", (long)mremap(at, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, at + 5));
    works("no room", (long)mremap(at, 4 * PAGE, 5 * PAGE, 0));
    works("of nothing, private", (long)mremap(at, 0, PAGE, MREMAP_MAYMOVE));
    check("smaller", mremap(at, 8 * PAGE, 6 * PAGE, 0) == at);
    layout("then", at, 8);
    works("not mapped", (long)mremap(at + 6 * PAGE, PAGE, PAGE, 0));
    works("beyond the end", (long)mremap(at + 5 * PAGE, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE));
    mprotect(at + PAGE, PAGE, PROT_READ);
    works("two mappings", (long)mremap(at, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE));
    works("keeping, other length", (long)mremap(at + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
    works("keeping, without moving", (long)mremap(at + 2 * PAGE, PAGE, PAGE, MREMAP_DONTUNMAP, NULL));
    char *moved = mremap(at + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    works("keeping", (long)moved);
    if (moved != MAP_FAILED)
        printf("new %d, old %d\n", moved[5], at[2 * PAGE + 5]);
    munmap(at, 8 * PAGE);
    char *shared = map(2, PROT_READ | PROT_WRITE, MAP_SHARED);
    shared[0] = 9;
    char *twice = mremap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE);
    works("of nothing, shared", (long)twice);
    if (twice != MAP_FAILED) {
        twice[1] = 8;
        printf("the same: %d %d\n", twice[0], shared[1]);
        munmap(twice, 2 * PAGE);
    }
    char *kept = mremap(shared, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    works("keeping, shared", (long)kept);
    if (kept != MAP_FAILED)
        printf("both: %d %d\n", kept[0], shared[0]);
    munmap(shared, 2 * PAGE);
}

static void advising(void) {
    static const struct {
        const char *name;
        int code;
    } advices[] = {{"NORMAL", 0}, {"RANDOM", 1}, {"SEQUENTIAL", 2}, {"WILLNEED", 3}, {"FREE", 8}, {"DONTFORK", 10},
        {"DOFORK", 11}, {"MERGEABLE", 12}, {"UNMERGEABLE", 13}, {"HUGEPAGE", 14}, {"NOHUGEPAGE", 15}, {"DONTDUMP", 16},
        {"DODUMP", 17}, {"WIPEONFORK", 18}, {"KEEPONFORK", 19}, {"COLD", 20}, {"PAGEOUT", 21}, {"POPULATE_READ", 22},
        {"POPULATE_WRITE", 23}, {"DONTNEED_LOCKED", 24}, {"REMOVE", 9}, {"DONTNEED", 4}, {"unknown", 77}, {"5", 5}};
    char *at = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    char *shared = map(8, PROT_READ | PROT_WRITE, MAP_SHARED);
    int fd = memfd_create("story", 0);
    ftruncate(fd, 8 * PAGE);
    char *file = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *of_file = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++) {
        printf("%s:", advices[i].name);
        int code = advices[i].code;
        char *places[] = {at, shared, file, of_file};
        for (int place = 0; place < 4; place++) {
            // Whether equal pages are found is a matter of the kernel's configuration.
            int result = madvise(places[place], PAGE, code);
            printf(" %s", result == 0 ? "0" : strerrorname_np(errno));
        }
        int odd = madvise(at + 1, PAGE, code);
        printf(" odd %s", odd == 0 ? "0" : strerrorname_np(errno));
        int nothing = madvise(at, 0, code);
        printf(" nothing %s\n", nothing == 0 ? "0" : strerrorname_np(errno));
    }
    munmap(at + 4 * PAGE, PAGE);
    memset(at, 5, 4 * PAGE);
    show("DONTNEED over a gap", madvise(at + 2 * PAGE, 6 * PAGE, MADV_DONTNEED));
    printf("%d %d\n", at[PAGE], at[3 * PAGE]);
    show("WILLNEED over a gap", madvise(at + 2 * PAGE, 6 * PAGE, MADV_WILLNEED));
    show("DONTFORK over a gap", madvise(at + 2 * PAGE, 6 * PAGE, MADV_DONTFORK));
    show("POPULATE over a gap", madvise(at + 2 * PAGE, 6 * PAGE, MADV_POPULATE_READ));
    madvise(at, 4 * PAGE, MADV_DOFORK);
    memset(file, 6, 8 * PAGE);
    show("REMOVE", madvise(file, 2 * PAGE, MADV_REMOVE));
    printf("%d %d\n", file[0], file[2 * PAGE]);
    char byte = 1;
    pread(fd, &byte, 1, PAGE);
    printf("in the file %d\n", byte);
    memset(shared, 6, 8 * PAGE);
    show("REMOVE, shared without a file", madvise(shared, PAGE, MADV_REMOVE));
    printf("%d %d\n", shared[0], shared[PAGE]);
    mprotect(file, PAGE, PROT_READ);
    show("REMOVE, read only", madvise(file, PAGE, MADV_REMOVE));
    // What a child finds.
    memset(at, 5, 4 * PAGE);
    show("WIPEONFORK", madvise(at, PAGE, MADV_WIPEONFORK));
    show("DONTFORK", madvise(at + PAGE, PAGE, MADV_DONTFORK));
    fflush(stdout);
    if (fork() == 0) {
        int second = touch(at + PAGE, 0);
        printf("in the child: %d, signal %d, %d\n", at[0], second, at[2 * PAGE]);
        fflush(stdout);
        if (fork() == 0) {
            at[0] = 4;
            printf("in its child: %d\n", at[0]);
            fflush(stdout);
            _exit(0);
        }
        wait(NULL);
        _exit(0);
    }
    wait(NULL);
    printf("in the parent: %d %d\n", at[0], at[PAGE]);
    char *rights = map(2, PROT_READ, MAP_PRIVATE);
    show("POPULATE_WRITE, read only", madvise(rights, PAGE, MADV_POPULATE_WRITE));
    mprotect(rights, PAGE, PROT_NONE);
    show("POPULATE_READ, nothing", madvise(rights, PAGE, MADV_POPULATE_READ));
    ftruncate(fd, PAGE);
    show("POPULATE_READ beyond the end", madvise(of_file + 4 * PAGE, PAGE, MADV_POPULATE_READ));
    close(fd);
}

static void locking(void) {
    char *at = map(16, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    struct rlimit limit = {64 * 1024, 64 * 1024};
    long before = status_field("VmLck:");
    printf("locked at first: %ld\n", before);
    show("lock", mlock(at + 5, 2 * PAGE));
    printf("locked: %ld\n", status_field("VmLck:"));
    unsigned char resident[16] = {0};
    mincore(at, 16 * PAGE, resident);
    printf("there: %d %d %d\n", resident[0] & 1, resident[1] & 1, resident[2] & 1);
    show("lock again", mlock(at, PAGE));
    printf("locked: %ld\n", status_field("VmLck:"));
    show("on fault", mlock2(at + 8 * PAGE, PAGE, MLOCK_ONFAULT));
    show("unknown flag", mlock2(at + 8 * PAGE, PAGE, 8));
    printf("locked: %ld\n", status_field("VmLck:"));
    show("DONTNEED of locked", madvise(at, PAGE, MADV_DONTNEED));
    show("DONTNEED_LOCKED", madvise(at, PAGE, MADV_DONTNEED_LOCKED));
    show("unlock", munlock(at, PAGE));
    printf("locked: %ld\n", status_field("VmLck:"));
    munmap(at + 12 * PAGE, PAGE);
    show("over a gap", mlock(at + 11 * PAGE, 3 * PAGE));
    printf("locked: %ld\n", status_field("VmLck:"));
    show("unlock over a gap", munlock(at + 11 * PAGE, 3 * PAGE));
    show("wraps", mlock(at, (size_t)-1));
    show("nothing", mlock(at, 0));
    fflush(stdout);
    if (fork() == 0) {
        printf("a child has locked %ld\n", status_field("VmLck:"));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    show("unlock all", munlockall());
    printf("locked: %ld\n", status_field("VmLck:"));
    show("no flags", mlockall(0));
    show("unknown flags", mlockall(8));
    show("on fault alone", mlockall(MCL_ONFAULT));
    show("future", mlockall(MCL_FUTURE));
    char *later = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    printf("locked: %ld\n", status_field("VmLck:"));
    munmap(later, 2 * PAGE);
    show("unlock all", munlockall());
    show("MAP_LOCKED", (later = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_LOCKED)) == MAP_FAILED);
    printf("locked: %ld\n", status_field("VmLck:"));
    munmap(later, 2 * PAGE);
    printf("locked: %ld\n", status_field("VmLck:"));
    char *unreadable = map(1, PROT_NONE, MAP_PRIVATE);
    show("what cannot be read", mlock(unreadable, PAGE));
    munlockall();
    setrlimit(RLIMIT_MEMLOCK, &limit);
    // The limit is for those without the right to lock as they like.
    if (geteuid() != 0) {
        char *many = map(32, PROT_READ | PROT_WRITE, MAP_PRIVATE);
        show("more than the limit", mlock(many, 32 * PAGE));
        show("all", mlockall(MCL_CURRENT));
    }
}

static void synchronizing(void) {
    char *at = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    show("both", msync(at, PAGE, MS_SYNC | MS_ASYNC));
    show("neither", msync(at, PAGE, 0));
    show("unknown", msync(at, PAGE, 64));
    show("odd", msync(at + 1, PAGE, MS_SYNC));
    show("nothing", msync(at, 0, MS_SYNC));
    show("nothing where nothing is", msync((void *)PAGE, 0, MS_SYNC));
    munmap(at + PAGE, PAGE);
    show("over a gap", msync(at, 4 * PAGE, MS_SYNC));
    show("over a gap, later", msync(at, 4 * PAGE, MS_ASYNC));
    mlock(at, PAGE);
    show("invalidate what is locked", msync(at, PAGE, MS_SYNC | MS_INVALIDATE));
    show("synchronize it", msync(at, PAGE, MS_SYNC));
    munlock(at, PAGE);
    show("invalidate", msync(at, PAGE, MS_SYNC | MS_INVALIDATE));
    show("wraps", msync(at, (size_t)-1, MS_SYNC));

    unsigned char states[8];
    show("mincore, odd", mincore(at + 1, PAGE, states));
    show("mincore, over a gap", mincore(at, 4 * PAGE, states));
    show("mincore, nothing", mincore(at, 0, states));
    show("mincore, no place", mincore(at, PAGE, (unsigned char *)8));
    show("mincore, too long", mincore(at, (size_t)-1, states));
}

static void sealing(void) {
    int plain = memfd_create("plain", 0);
    show("seals of a plain one", fcntl(plain, F_GET_SEALS));
    show("sealing it", fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    works("unknown flag", memfd_create("x", 0x40));
    works("both", memfd_create("x", MFD_EXEC | MFD_NOEXEC_SEAL));
    works("no name", memfd_create(NULL, 0));
    char name[300];
    memset(name, 'a', sizeof(name));
    name[249] = 0;
    works("a long name", memfd_create(name, 0));
    name[249] = 'a', name[250] = 0;
    works("too long a name", memfd_create(name, 0));
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    show("seals", fcntl(fd, F_GET_SEALS));
    ftruncate(fd, 4 * PAGE);
    show("unknown seal", fcntl(fd, F_ADD_SEALS, 0x100));
    show("shrink", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    show("shorter", ftruncate(fd, PAGE));
    show("longer", ftruncate(fd, 5 * PAGE));
    show("grow", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    show("longer", ftruncate(fd, 6 * PAGE));
    show("the same", ftruncate(fd, 5 * PAGE));
    show("written past the end", pwrite(fd, "xyz", 3, 5 * PAGE - 1));
    show("allocated past the end", fallocate(fd, 0, 0, 6 * PAGE));
    show("seals", fcntl(fd, F_GET_SEALS));
    char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    show("write, mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(at, PAGE);
    at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    show("write, mapped for reading", fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    show("written", pwrite(fd, "x", 1, 0));
    works("mapped for writing", (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    works("mapped for reading", (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
    works("private", (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    show("hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
    int written = memfd_create("written", MFD_ALLOW_SEALING);
    ftruncate(written, PAGE);
    show("write", fcntl(written, F_ADD_SEALS, F_SEAL_WRITE));
    show("written", write(written, "x", 1));
    at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, written, 0);
    works("mapped for reading", (long)at);
    if (at != MAP_FAILED)
        show("made writable", mprotect(at, PAGE, PROT_READ | PROT_WRITE));
    show("seal", fcntl(written, F_ADD_SEALS, F_SEAL_SEAL));
    show("another", fcntl(written, F_ADD_SEALS, F_SEAL_GROW));
    show("seals", fcntl(written, F_GET_SEALS));
    int other = open("/dev/null", O_RDWR);
    show("of a device", fcntl(other, F_GET_SEALS));
    // Of Linux since 6.3.
    int executable = memfd_create("not", MFD_NOEXEC_SEAL);
    struct stat status = {0};
    fstat(executable, &status);
    int is_sealed = (status.st_mode & 07777) == 0666 && fcntl(executable, F_GET_SEALS) == 0x20;
    check("never executable", executable < 0 || (is_sealed && fchmod(executable, 0777) != 0));
}

static void limits(void) {
    struct rlimit limit, old;
    char *start = sbrk(0);
    show("break below", brk(start - (1 << 20)) == 0 ? 0 : -1);
    check("moved", (char *)sbrk(0) <= start);
    brk(start);
    getrlimit(RLIMIT_DATA, &old);
    limit = (struct rlimit){1 << 20, old.rlim_max};
    show("data", setrlimit(RLIMIT_DATA, &limit));
    works("more than that", (long)mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    works("not to be written", (long)mmap(NULL, 8 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    works("shared", (long)mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    works("break", (long)sbrk(8 << 20));
    setrlimit(RLIMIT_DATA, &old);
    getrlimit(RLIMIT_AS, &old);
    limit = (struct rlimit){256 << 20, old.rlim_max};
    show("address space", setrlimit(RLIMIT_AS, &limit));
    works("more than that", (long)mmap(NULL, 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    char *some = mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    works("less", (long)some);
    works("grown", (long)mremap(some, 64 << 20, 512 << 20, MREMAP_MAYMOVE));
    works("in place of that", (long)mmap(some, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    works("break", (long)sbrk(512 << 20));
    setrlimit(RLIMIT_AS, &old);
}

static void others(void) {
    char from[16] = "0123456789abcde", to[16] = "";
    struct iovec local = {to, 8}, remote = {from, 8};
    pid_t own = getpid();
    show("read own", process_vm_readv(own, &local, 1, &remote, 1, 0));
    printf("%.8s\n", to);
    show("flags", process_vm_readv(own, &local, 1, &remote, 1, 1));
    show("nobody", process_vm_readv(999999, &local, 1, &remote, 1, 0));
    show("none", process_vm_readv(own, &local, 1, &remote, 0, 0));
    show("too many", process_vm_readv(own, &local, 1, &remote, 2000, 0));
    struct iovec bad = {(void *)16, 8};
    show("bad", process_vm_readv(own, &local, 1, &bad, 1, 0));
    show("bad here", process_vm_readv(own, &bad, 1, &remote, 1, 0));
    struct iovec both[] = {{from, 4}, {(void *)16, 4}};
    show("half", process_vm_readv(own, &local, 1, both, 2, 0));
    char *pair = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memset(pair, 'p', PAGE);
    munmap(pair + PAGE, PAGE);
    static char room[2 * PAGE];
    struct iovec over = {pair, 2 * PAGE}, here = {room, 2 * PAGE};
    show("over the end", process_vm_readv(own, &here, 1, &over, 1, 0));
    static char shown[16];
    int ends[2], back_ends[2];
    pipe(ends);
    pipe(back_ends);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        strcpy(shown, "a child's own");
        write(ends[1], "x", 1);
        read(back_ends[0], &byte, 1);
        printf("written from outside: %s\n", shown);
        fflush(stdout);
        _exit(0);
    }
    char byte;
    read(ends[0], &byte, 1);
    struct iovec of_child = {shown, 14};
    local.iov_len = 14;
    show("of a child", process_vm_readv(child, &local, 1, &of_child, 1, 0));
    printf("%s, and %zu here\n", to, strlen(shown));
    strcpy(to, "by its parent");
    show("to a child", process_vm_writev(child, &local, 1, &of_child, 1, 0));
    mprotect(pair, PAGE, PROT_READ);
    write(back_ends[1], "x", 1);
    wait(NULL);
    over.iov_len = 8;
    show("to what is read only", process_vm_writev(own, &local, 1, &over, 1, 0));
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    struct sigaction action = {.sa_handler = caught, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    static const struct {
        const char *name;
        void (*part)(void);
    } parts[] = {{"mapping", mapping}, {"protecting", protecting}, {"moving", moving}, {"advising", advising}, {"locking", locking},
        {"synchronizing", synchronizing}, {"sealing", sealing}, {"limits", limits}, {"others", others}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (count < 2 || strcmp(arguments[1], parts[i].name) == 0) {
            printf("-- %s\n", parts[i].name);
            parts[i].part();
            fflush(stdout);
        }
    return 0;
}
