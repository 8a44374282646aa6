// madvise, mincore, msync, mlock: advice that changes what is there, and places where nothing is.
#include "../story.h"

int main(void) {
    enter_story_directory();
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    int file = new_file("file", "0123456789");
    char *place = mmap(NULL, 4 * 4096, rw, anonymous, -1, 0);
    // All that is mapped is mapped before there is a hole that it could fill.
    char *private = mmap(NULL, 4096, rw, MAP_PRIVATE, file, 0), *shared = mmap(NULL, 4096, rw, MAP_SHARED, file, 0);
    char *fresh = mmap(NULL, 4 * 4096, rw, anonymous, -1, 0);
    munmap(place + 2 * 4096, 4096);
    memset(place, 'x', 8192);
    SHOW(madvise(place, 4096, MADV_DONTNEED));
    printf("%d %c\n", place[0], place[4096]);
    SHOW(madvise(place + 1, 4096, MADV_DONTNEED));
    SHOW(madvise(place, 0, MADV_DONTNEED));
    SHOW(madvise(place, 4 * 4096, MADV_DONTNEED));
    SHOW(place[4096]);
    SHOW(madvise(place, 4096, 9999));
    SHOW(madvise(place, (size_t)-4096, MADV_DONTNEED));
    SHOW(madvise(place, 8192, MADV_NORMAL));
    SHOW(madvise(place, 8192, MADV_RANDOM));
    SHOW(madvise(place, 8192, MADV_SEQUENTIAL));
    SHOW(madvise(place, 8192, MADV_WILLNEED));
    SHOW(madvise(place, 4 * 4096, MADV_NORMAL));
    SHOW(madvise(place, 8192, MADV_FREE));
    SHOW(madvise(place, 8192, MADV_DONTFORK));
    SHOW(madvise(place, 8192, MADV_DOFORK));
    SHOW(madvise(place, 8192, MADV_DONTDUMP));
    SHOW(madvise(place, 8192, MADV_DODUMP));
    private[0] = 'P';
    SHOW(madvise(private, 4096, MADV_DONTNEED));
    printf("%c\n", private[0]);
    SHOW(madvise(private, 4096, MADV_FREE));
    unsigned char there[4] = {9, 9, 9, 9};
    SHOW(madvise(fresh, 4096, 23));
    SHOW(mincore(fresh, 1, there));
    SHOW(there[0] & 1);

    SHOW(mincore(place, 8192, there));
    SHOW(mincore(place + 1, 4096, there));
    SHOW(mincore(place, 0, there));
    SHOW(mincore(place, 4 * 4096, there));
    SHOW(mincore(place, 8192, NOWHERE));
    SHOW(mincore(place, (size_t)-1, there));

    shared[0] = 'S';
    SHOW(msync(shared, 4096, MS_SYNC));
    SHOW(msync(shared, 4096, MS_ASYNC));
    SHOW(msync(shared, 4096, MS_SYNC | MS_INVALIDATE));
    SHOW(msync(shared, 4096, MS_SYNC | MS_ASYNC));
    SHOW(msync(shared, 4096, 0x100));
    SHOW(msync(shared + 1, 4096, MS_SYNC));
    SHOW(msync(shared, 0, MS_SYNC));
    SHOW(msync(place, 4 * 4096, MS_SYNC));
    SHOW(msync(place, (size_t)-4096, MS_SYNC));
    char byte;
    SHOW(pread(file, &byte, 1, 0));
    printf("%c\n", byte);

    SHOW(mlock(place, 8192));
    SHOW(mlock(place + 1, 1));
    SHOW(mlock(place, 4 * 4096));
    SHOW(munlock(place, 8192));
    SHOW(munlock(place, 4 * 4096));
    SHOW(mlock2(place, 4096, 0));
    SHOW(mlock2(place, 4096, MLOCK_ONFAULT));
    SHOW(mlock2(place, 4096, 2));
    SHOW(mlockall(0));
    SHOW(mlockall(99));
    SHOW(munlockall());
    return 0;
}
