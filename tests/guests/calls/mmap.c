// mmap: every argument that cannot be, and what files may be mapped how.
#include "../story.h"

static long map(void *at, size_t len, int prot, int flags, int fd, off_t offset) {
    void *place = mmap(at, len, prot, flags, fd, offset);
    if (place == MAP_FAILED)
        return -1;
    munmap(place, len);
    return 0;
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789"), reading = open("file", O_RDONLY), writing = open("file", O_WRONLY);
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    SHOW(map(NULL, 4096, rw, anonymous, -1, 0));
    SHOW(map(NULL, 1, rw, anonymous, -1, 0));
    SHOW(map(NULL, 0, rw, anonymous, -1, 0));
    SHOW(map(NULL, (size_t)-1, rw, anonymous, -1, 0));
    SHOW(map(NULL, (size_t)1 << 47, rw, anonymous, -1, 0));
    SHOW(map(NULL, 4096, rw, MAP_ANONYMOUS, -1, 0));
    SHOW(map(NULL, 4096, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    SHOW(map(NULL, 4096, rw, anonymous, 77, 0));
    SHOW(map(NULL, 4096, rw, anonymous, -1, 1));
    SHOW(map(NULL, 4096, rw, anonymous, -1, 4096));
    SHOW(map((void *)5, 4096, rw, anonymous, -1, 0));
    SHOW(map((void *)0x10000001, 4096, rw, anonymous | MAP_FIXED, -1, 0));
    SHOW(map((void *)(uintptr_t)0x7ffffffff000, 4096, rw, anonymous | MAP_FIXED, -1, 0));
    SHOW(map((void *)(uintptr_t)0xffff800000000000, 4096, rw, anonymous | MAP_FIXED, -1, 0));
    SHOW(map(NULL, 4096, PROT_NONE, anonymous, -1, 0));
    SHOW(map(NULL, 4096, rw | PROT_EXEC, anonymous, -1, 0));
    char *there = mmap(NULL, 8192, rw, anonymous, -1, 0);
    SHOW(map(there, 4096, rw, anonymous | MAP_FIXED_NOREPLACE, -1, 0));
    there[4096] = 7;
    CHECK(mmap(there, 4096, rw, anonymous, -1, 0) != there);
    CHECK(mmap(there, 4096, rw, anonymous | MAP_FIXED, -1, 0) == there);
    SHOW(there[4096]);

    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, 77, 0));
    SHOW(map(NULL, 4096, PROT_READ, 0, file, 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 1));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, file, -4096));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 1 << 20));
    SHOW(map(NULL, 8192, PROT_READ, MAP_SHARED, file, INT64_MAX - 4095));
    SHOW(map(NULL, 4096, rw, MAP_SHARED, reading, 0));
    SHOW(map(NULL, 4096, rw, MAP_PRIVATE, reading, 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_SHARED, reading, 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, writing, 0));
    SHOW(map(NULL, 4096, PROT_WRITE, MAP_SHARED, writing, 0));
    SHOW(map(NULL, 4096, rw, MAP_SHARED_VALIDATE, file, 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, open("file", O_PATH), 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
    int ends[2];
    pipe(ends);
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, ends[0], 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE, open("/dev/null", O_RDWR), 0));
    SHOW(map(NULL, 4096, rw, MAP_PRIVATE, open("/dev/zero", O_RDWR), 0));
    SHOW(map(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_POPULATE | MAP_LOCKED, file, 0));

    SHOW(munmap(there, 0));
    SHOW(munmap(there + 1, 4096));
    SHOW(munmap(there, (size_t)-1));
    SHOW(munmap((void *)(uintptr_t)0xffff800000000000, 4096));
    SHOW(munmap(there, 100));
    SHOW(munmap(there, 100));
    SHOW(munmap(there, 8192));
    return 0;
}
