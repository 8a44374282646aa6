// Files with gaps: what was never written reads as nothing, wherever it is, and takes no part in copying what is around.
#include "../story.h"

static long nonzero(int file, off_t from, long len) {
    char *bytes = malloc((size_t)len);
    ssize_t got = pread(file, bytes, (size_t)len, from);
    long count = 0;
    for (ssize_t i = 0; i < got; i++)
        count += bytes[i] != 0;
    free(bytes);
    return got == len ? count : -got - 1;
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "");
    static const off_t places[] = {0, 4095, 4096, 70000, 1 << 20, 5000000, (off_t)1 << 32, ((off_t)1 << 32) + 8191};
    for (int i = 0; i < 8; i++)
        SHOW(pwrite(file, "xy", 2, places[i]));
    SHOW(lseek(file, 0, SEEK_END));
    for (int i = 0; i < 8; i++) {
        char two[2];
        pread(file, two, 2, places[i]);
        printf("%ld %.2s\n", (long)places[i], two);
    }
    SHOW(nonzero(file, 0, 10000));
    SHOW(nonzero(file, 10000, 60000));
    SHOW(nonzero(file, 60000, 20000));
    SHOW(nonzero(file, ((off_t)1 << 32) - 5000, 10000));
    SHOW(nonzero(file, ((off_t)1 << 32) + 8000, 193));
    char *mapped = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, file, 0);
    long count = 0;
    for (int i = 0; i < 1 << 20; i++)
        count += mapped[i] != 0;
    SHOW(count);
    // Cut and made longer again: what was cut off is gone.
    SHOW(ftruncate(file, 4096));
    SHOW(ftruncate(file, 200000));
    SHOW(nonzero(file, 4095, 195905));
    SHOW(nonzero(file, 0, 4096));
    struct stat status;
    fstat(file, &status);
    CHECK(status.st_blocks * 512 < 200000);
    unlink("file");
    return 0;
}
