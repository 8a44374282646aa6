// read: bad buffers, bad descriptors, sizes that are too large, and buffers of which only the start can be used.
#include "../story.h"
#include <sys/socket.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789");
    char buffer[64];
    SHOW(lseek(file, 0, SEEK_SET));
    SHOW(read(file, NULL, 0));
    SHOW(read(file, NOWHERE, 0));
    SHOW(read(file, NOWHERE, 4));
    SHOW(lseek(file, 0, SEEK_CUR));
    char *end = before_the_end(4);
    long count = read(file, end, 10);
    check("some bytes or none", count == 4 || (count == -1 && errno == EFAULT));
    SHOW(pread(file, end, 4, 2));
    printf("%.4s\n", end);
    SHOW(read(-1, buffer, 1));
    SHOW(read(4095, buffer, 1));
    SHOW(read(-1, NOWHERE, 0));
    SHOW(lseek(file, 0, SEEK_SET));
    SHOW(read(file, buffer, 0x7fffffffffffffff) == -1 || errno == 0);
    SHOW(lseek(file, 5, SEEK_SET));
    SHOW(read(file, (char *)(uintptr_t)0xffff800000000000, 5));
    SHOW(read(file, (char *)(uintptr_t)0xfffffffffffffff0, 32));
    SHOW(read(file, buffer, sizeof buffer));
    SHOW(read(file, buffer, sizeof buffer));
    SHOW(lseek(file, 1000, SEEK_SET));
    SHOW(read(file, buffer, 1));
    SHOW(read(open("file", O_WRONLY), buffer, 1));
    SHOW(read(open(".", O_RDONLY), buffer, 1));
    SHOW(read(open(".", O_PATH), buffer, 1));
    SHOW(read(open(".", O_RDONLY), NOWHERE, 1));

    int ends[2];
    pipe(ends);
    SHOW(read(ends[1], buffer, 1));
    SHOW(write(ends[1], "abcdef", 6));
    SHOW(read(ends[0], NOWHERE, 3));
    SHOW(read(ends[0], NULL, 0));
    SHOW(read(ends[0], buffer, 2));
    SHOW(read(ends[0], end, 4));
    printf("%.4s\n", end);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    SHOW(read(ends[0], buffer, 1));
    SHOW(read(ends[0], NULL, 0));
    close(ends[1]);
    SHOW(read(ends[0], buffer, 1));

    int sockets[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets);
    SHOW(read(sockets[0], buffer, 1));
    SHOW(read(sockets[0], NULL, 0));
    close(sockets[1]);
    SHOW(read(sockets[0], buffer, 1));
    SHOW(read(open("/dev/null", O_RDONLY), buffer, 10));
    SHOW(read(open("/dev/null", O_RDONLY), NOWHERE, 10));
    SHOW(read(open("/dev/zero", O_RDONLY), NOWHERE, 10));
    return 0;
}
