// pread64, pwrite64: places that cannot be, and files that have no places.
#include "../story.h"
#include <sys/eventfd.h>
#include <sys/socket.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789");
    char buffer[16];
    SHOW(pread(file, buffer, 4, 8));
    SHOW(pread(file, buffer, 4, 10));
    SHOW(pread(file, buffer, 0, 1 << 20));
    SHOW(pread(file, buffer, 1, -1));
    SHOW(pread(file, buffer, 1, INT64_MIN));
    SHOW(pread(file, buffer, 1, INT64_MAX));
    SHOW(pread(file, buffer, 2, INT64_MAX));
    SHOW(pread(file, NOWHERE, 4, 2));
    SHOW(pread(file, NOWHERE, 0, 2));
    SHOW(pread(-1, buffer, 1, 0));
    SHOW(pread(-1, buffer, 1, -1));
    SHOW(pwrite(file, "abc", 3, 8));
    SHOW(pwrite(file, "abc", 3, -1));
    SHOW(pwrite(file, "abc", 0, 100));
    SHOW(pwrite(file, NOWHERE, 3, 0));
    SHOW(pwrite(-1, "abc", 3, 0));
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(lseek(file, 0, SEEK_END));
    SHOW(pread(open("file", O_WRONLY), buffer, 1, 0));
    SHOW(pwrite(open("file", O_RDONLY), buffer, 1, 0));
    SHOW(pread(open("file", O_PATH), buffer, 1, 0));
    SHOW(pread(open(".", O_RDONLY), buffer, 1, 0));
    SHOW(pwrite(open(".", O_RDONLY), buffer, 1, 0));

    int ends[2], sockets[2];
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    SHOW(pread(ends[0], buffer, 1, 0));
    SHOW(pwrite(ends[1], buffer, 1, 0));
    SHOW(pread(ends[0], buffer, 1, -1));
    SHOW(pread(sockets[0], buffer, 1, 0));
    SHOW(pwrite(sockets[0], buffer, 1, 0));
    int event = eventfd(1, 0);
    SHOW(pread(event, buffer, 8, 0));
    SHOW(pwrite(event, buffer, 8, 0));
    SHOW(pread(open("/dev/zero", O_RDONLY), buffer, 8, 1 << 30));
    SHOW(pread(open("/dev/null", O_RDONLY), buffer, 8, 5));
    SHOW(pwrite(open("/dev/null", O_WRONLY), buffer, 8, 5));
    return 0;
}
