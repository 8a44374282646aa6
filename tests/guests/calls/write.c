// write: bad buffers and descriptors, ends that are closed, the largest file, and buffers of which only the start is there.
#include "../story.h"
#include <signal.h>
#include <sys/socket.h>

int main(void) {
    enter_story_directory();
    signal(SIGPIPE, SIG_IGN);
    int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    SHOW(write(file, NOWHERE, 0));
    SHOW(write(file, NOWHERE, 5));
    SHOW(write(file, (char *)(uintptr_t)0xffff800000000000, 5));
    SHOW(lseek(file, 0, SEEK_END));
    char *end = before_the_end(4);
    memcpy(end, "abcd", 4);
    SHOW(write(file, end, 4));
    long count = write(file, end, 10);
    check("some bytes or none", count == 4 || (count == -1 && errno == EFAULT));
    ftruncate(file, 4);
    SHOW(write(-1, end, 1));
    SHOW(write(-1, NOWHERE, 0));
    SHOW(write(open("file", O_RDONLY), end, 1));
    SHOW(write(open("file", O_RDONLY), end, 0));
    SHOW(write(open("file", O_PATH), end, 1));
    SHOW(write(open(".", O_RDONLY), end, 1));

    // Beyond 4 GiB but within what every file system holds: the file has a hole.
    SHOW(lseek(file, 5000000000, SEEK_SET));
    SHOW(write(file, "x", 1));
    SHOW(lseek(file, 0, SEEK_END));
    SHOW(ftruncate(file, 4));
    SHOW(pwrite(file, "x", 1, 0x7fffffffffffffff));
    SHOW(pwrite(file, "xy", 2, 0x7fffffffffffffff));
    SHOW(lseek(file, 0, SEEK_END));

    int appending = open("file", O_RDWR | O_APPEND);
    lseek(appending, 0, SEEK_SET);
    SHOW(write(appending, "12", 2));
    SHOW(lseek(appending, 0, SEEK_CUR));
    // Linux appends even when a place is given.
    SHOW(pwrite(appending, "34", 2, 0));
    SHOW(lseek(appending, 0, SEEK_END));
    char text[16] = {0};
    SHOW(pread(appending, text, 15, 0));
    puts(text);

    int ends[2];
    pipe(ends);
    SHOW(write(ends[0], end, 1));
    SHOW(write(ends[1], NOWHERE, 5));
    SHOW(write(ends[1], end, 0));
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    char piece[4096] = {0};
    long total = 0;
    while ((count = write(ends[1], piece, sizeof piece)) > 0)
        total += count;
    show("full", count);
    // Older kernels leave a part of the last page.
    SHOW(total > 60000 && total <= 65536);
    SHOW(write(ends[1], piece, 1));
    SHOW(write(ends[1], piece, 0));
    close(ends[0]);
    SHOW(write(ends[1], piece, 1));
    SHOW(write(ends[1], piece, 0));

    int sockets[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    SHOW(write(sockets[0], NOWHERE, 5));
    close(sockets[1]);
    SHOW(write(sockets[0], piece, 1));
    SHOW(write(socket(AF_UNIX, SOCK_STREAM, 0), piece, 1));
    SHOW(write(open("/dev/full", O_WRONLY), piece, 1));
    SHOW(write(open("/dev/null", O_WRONLY), NOWHERE, 100));
    return 0;
}
