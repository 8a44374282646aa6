// fallocate: room ahead of writing, holes, and what cannot be allocated.
#include "../story.h"
#include <linux/falloc.h>

static long size(int file) {
    struct stat status;
    fstat(file, &status);
    return status.st_size;
}

static int is_zero(int file, long from, long to) {
    for (char byte; from < to; from++)
        if (pread(file, &byte, 1, from) != 1 || byte != 0)
            return 0;
    return 1;
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789");
    SHOW(fallocate(file, 0, 0, 100));
    SHOW(size(file));
    SHOW(is_zero(file, 10, 100));
    SHOW(fallocate(file, 0, 0, 50));
    SHOW(size(file));
    SHOW(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 100000));
    SHOW(size(file));
    SHOW(posix_fallocate(file, 9000, 1000));
    SHOW(size(file));
    char text[8193];
    memset(text, 'x', sizeof text);
    SHOW(pwrite(file, text, sizeof text, 0));
    SHOW(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000));
    SHOW(is_zero(file, 100, 5100));
    SHOW(is_zero(file, 99, 101));
    SHOW(is_zero(file, 5100, 5101));
    SHOW(size(file));
    SHOW(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 9999, 100000));
    SHOW(size(file));

    SHOW(fallocate(file, 0, -1, 10));
    SHOW(fallocate(file, 0, 0, 0));
    SHOW(fallocate(file, 0, 0, -1));
    SHOW(fallocate(file, 0, INT64_MAX, 1));
    SHOW(fallocate(file, 0, INT64_MAX - 5, 10));
    SHOW(fallocate(file, FALLOC_FL_PUNCH_HOLE, 0, 10));
    SHOW(fallocate(file, 0x4000, 0, 10));
    SHOW(fallocate(-1, 0, 0, 10));
    SHOW(fallocate(open("file", O_RDONLY), 0, 0, 10));
    SHOW(fallocate(open("file", O_PATH), 0, 0, 10));
    SHOW(fallocate(open(".", O_RDONLY), 0, 0, 10));
    SHOW(fallocate(open("/dev/null", O_RDWR), 0, 0, 10));
    int ends[2];
    pipe(ends);
    SHOW(fallocate(ends[1], 0, 0, 10));
    SHOW(fallocate(ends[0], 0, 0, 10));
    return 0;
}
