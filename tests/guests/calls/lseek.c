// lseek: every origin, places before the start and beyond every file, and files without a position.
#include "../story.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789");
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(lseek(file, 4, SEEK_SET));
    SHOW(lseek(file, 3, SEEK_CUR));
    SHOW(lseek(file, -3, SEEK_CUR));
    SHOW(lseek(file, 5, SEEK_END));
    SHOW(lseek(file, -10, SEEK_END));
    SHOW(lseek(file, -11, SEEK_END));
    SHOW(lseek(file, -1, SEEK_CUR));
    SHOW(lseek(file, -1, SEEK_SET));
    SHOW(lseek(file, INT64_MIN, SEEK_CUR));
    SHOW(lseek(file, 0, 5));
    SHOW(lseek(file, 0, -1));
    SHOW(lseek(file, 100, SEEK_SET));
    SHOW(lseek(file, INT64_MAX, SEEK_CUR));
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(lseek(-1, 0, SEEK_SET));
    SHOW(lseek(-1, 0, 99));
    SHOW(lseek(open("file", O_PATH), 0, SEEK_SET));
    SHOW(lseek(open("file", O_RDWR | O_APPEND), 3, SEEK_SET));

    // Data, then the hole that every file has at its end.
    SHOW(lseek(file, 0, SEEK_DATA));
    SHOW(lseek(file, 9, SEEK_DATA));
    SHOW(lseek(file, 10, SEEK_DATA));
    SHOW(lseek(file, 11, SEEK_DATA));
    SHOW(lseek(file, 0, SEEK_HOLE));
    SHOW(lseek(file, 9, SEEK_HOLE));
    SHOW(lseek(file, 10, SEEK_HOLE));
    SHOW(lseek(file, -1, SEEK_DATA));
    SHOW(lseek(file, -1, SEEK_HOLE));
    SHOW(ftruncate(file, 0));
    SHOW(lseek(file, 0, SEEK_DATA));
    SHOW(lseek(file, 0, SEEK_HOLE));

    int ends[2], sockets[2];
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    SHOW(lseek(ends[0], 0, SEEK_SET));
    SHOW(lseek(ends[1], 0, SEEK_END));
    SHOW(lseek(ends[1], 0, 99));
    SHOW(lseek(sockets[0], 0, SEEK_CUR));
    SHOW(lseek(eventfd(0, 0), 0, SEEK_SET) <= 0);
    SHOW(lseek(open("/dev/null", O_RDWR), 100, SEEK_SET));
    SHOW(lseek(open("/dev/zero", O_RDWR), 100, SEEK_SET));
    SHOW(lseek(open(".", O_RDONLY), 0, SEEK_SET));
    SHOW(lseek(open(".", O_RDONLY), -1, SEEK_SET));
    return 0;
}
