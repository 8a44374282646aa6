// mprotect, mremap: what may become what, and how far.
#include "../story.h"

int main(void) {
    enter_story_directory();
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    int file = new_file("file", "0123456789"), reading = open("file", O_RDONLY);
    (void)file;
    char *place = mmap(NULL, 5 * 4096, rw, anonymous, -1, 0);
    munmap(place + 3 * 4096, 4096);
    SHOW(mprotect(place, 4096, PROT_READ));
    SHOW(mprotect(place, 0, PROT_READ));
    SHOW(mprotect(place + 1, 4096, PROT_READ));
    SHOW(mprotect(place, 100, rw));
    SHOW(mprotect(place, 4096, 0x100));
    SHOW(mprotect(place, 5 * 4096, rw));
    SHOW(mprotect(place + 3 * 4096, 4096, rw));
    SHOW(mprotect(place, (size_t)-1, rw));
    SHOW(mprotect((void *)(uintptr_t)0xffff800000000000, 4096, rw));
    SHOW(mprotect(place, 4096, PROT_NONE));
    SHOW(read(reading, place, 1));
    SHOW(mprotect(place, 4096, PROT_READ | PROT_EXEC));
    SHOW(read(reading, place, 1));
    SHOW(mprotect(place, 4096, PROT_WRITE));
    SHOW(read(reading, place, 1));
    char *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reading, 0);
    char *private = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, reading, 0);
    SHOW(mprotect(shared, 4096, rw));
    SHOW(mprotect(private, 4096, rw));

    place = mmap(NULL, 4 * 4096, rw, anonymous, -1, 0);
    place[0] = 'a';
    place[4096] = 'b';
    munmap(place + 2 * 4096, 2 * 4096);
    SHOW(mremap(place, 4096, 0, 0) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(place + 1, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(place, 4096, 8192, 0) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(place, 4096, 8192, 0x80) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(place, 4096, 8192, MREMAP_FIXED, place + (1 << 24)) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(place, 8192, 8192, MREMAP_FIXED | MREMAP_MAYMOVE, place + 4096) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(place, 8192, 8192, MREMAP_FIXED | MREMAP_MAYMOVE, place + (1 << 24) + 1) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(place, 3 * 4096, 4 * 4096, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    SHOW(mremap((void *)4096, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    char *moved = mremap(place, 8192, 16384, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved[0] == 'a' && moved[4096] == 'b' && moved[12288] == 0);
    CHECK(mremap(moved, 16384, 4096, 0) == moved);
    SHOW(mprotect(moved + 4096, 4096, rw));
    char *target = mmap(NULL, 4096, rw, anonymous, -1, 0);
    CHECK(mremap(moved, 4096, 4096, MREMAP_FIXED | MREMAP_MAYMOVE, target) == target && target[0] == 'a');
    // With an old size of nothing, what is shared gets a second place.
    char *one = mmap(NULL, 4096, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *two = mremap(one, 0, 4096, MREMAP_MAYMOVE);
    CHECK(two != MAP_FAILED && two != one);
    one[5] = 'x';
    SHOW(two != MAP_FAILED && two[5] == 'x');
    SHOW(mremap(target, 0, 4096, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    return 0;
}
