// truncate, ftruncate: what becomes of the bytes, and what has no size to be changed.
#include "../story.h"
#include <sys/socket.h>

static long size(const char *name) {
    struct stat status;
    return stat(name, &status) == 0 ? status.st_size : -1;
}

int main(void) {
    enter_story_directory();
    char byte = 1;
    int file = new_file("file", "0123456789");
    SHOW(truncate("file", 4));
    SHOW(size("file"));
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(truncate("file", 10000));
    SHOW(size("file"));
    SHOW(pread(file, &byte, 1, 5));
    SHOW(byte);
    SHOW(pread(file, &byte, 1, 9999));
    SHOW(ftruncate(file, 0));
    SHOW(size("file"));
    SHOW(write(file, "x", 1));
    SHOW(size("file"));
    SHOW(pread(file, &byte, 1, 0));
    SHOW(byte);
    SHOW(truncate("file", 5000000000));
    SHOW(size("file"));
    SHOW(ftruncate(file, 11));

    SHOW(truncate("file", -1));
    SHOW(truncate("file", INT64_MIN));
    SHOW(truncate("nothing", 0));
    SHOW(truncate("", 0));
    SHOW(truncate("file/x", 0));
    SHOW(truncate(".", 0));
    SHOW(truncate(NULL, 0));
    SHOW(truncate(NOWHERE, -1));
    symlink("file", "link");
    symlink("loop", "loop");
    SHOW(truncate("link", 3));
    SHOW(size("file"));
    SHOW(truncate("loop", 3));
    SHOW(truncate("/dev/null", 0));
    SHOW(ftruncate(file, -1));
    SHOW(ftruncate(-1, 0));
    SHOW(ftruncate(-1, -1));
    SHOW(ftruncate(open("file", O_RDONLY), 0));
    SHOW(ftruncate(open("file", O_PATH), 0));
    SHOW(ftruncate(open(".", O_RDONLY), 0));
    SHOW(ftruncate(open("/dev/null", O_RDWR), 0));
    int ends[2];
    pipe(ends);
    SHOW(ftruncate(ends[1], 0));
    SHOW(ftruncate(socket(AF_UNIX, SOCK_STREAM, 0), 0));
    SHOW(ftruncate(open("file", O_WRONLY | O_APPEND), 1));
    chmod("file", 0444);
    long result = truncate("file", 0);
    check("only user 0 may", getuid() == 0 ? result == 0 : result == -1 && errno == EACCES);
    SHOW(ftruncate(file, 7));
    SHOW(size("file"));
    return 0;
}
