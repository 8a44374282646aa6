// A pipe within one process: what goes in comes out, it has a capacity, an end, and can be polled.
#include "story.h"
#include <poll.h>
#include <sys/ioctl.h>

int main(void) {
    int ends[2];
    show("pipe", pipe(ends));
    show("write", write(ends[1], "first", 5));
    show("write", write(ends[1], "second", 6));
    int waiting;
    show("ask how much", ioctl(ends[0], FIONREAD, &waiting));
    show("waiting", waiting);
    char buffer[100] = {0};
    show("read a part", read(ends[0], buffer, 7));
    puts(buffer);
    memset(buffer, 0, sizeof buffer);
    show("read the rest", read(ends[0], buffer, 100));
    puts(buffer);

    struct pollfd both[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLOUT}};
    show("poll", poll(both, 2, 0));
    printf("reading %d writing %d\n", both[0].revents, both[1].revents);
    (void)!write(ends[1], "x", 1);
    show("poll", poll(both, 2, 0));
    printf("reading %d writing %d\n", both[0].revents, both[1].revents);
    (void)!read(ends[0], buffer, 1);

    show("nonblocking", fcntl(ends[0], F_SETFL, O_NONBLOCK) | fcntl(ends[1], F_SETFL, O_NONBLOCK));
    show("read of nothing", read(ends[0], buffer, 1));
    static char block[4096];
    long total = 0;
    for (ssize_t count; (count = write(ends[1], block, sizeof block)) > 0;)
        total += count;
    show("capacity", total);
    show("full", write(ends[1], block, 1));
    show("poll", poll(both + 1, 1, 0));
    show("size", fcntl(ends[1], F_GETPIPE_SZ));
    int other[2];
    (void)!pipe(other);
    show("half the size", fcntl(other[1], F_SETPIPE_SZ, 32768));
    show("both ends know", fcntl(other[0], F_GETPIPE_SZ));
    show("an odd size", fcntl(other[0], F_SETPIPE_SZ, 5000));
    show("no size", fcntl(other[0], F_SETPIPE_SZ, 0));
    char filling[6000] = {7};
    fcntl(other[1], F_SETPIPE_SZ, 16384);
    show("fill it a little", write(other[1], filling, sizeof filling));
    show("too small for what is in it", fcntl(other[1], F_SETPIPE_SZ, 4096));
    show("larger", fcntl(other[1], F_SETPIPE_SZ, 131072));
    show("what was in it is", read(other[0], filling, sizeof filling));
    show("of a file that is no pipe", fcntl(open("/", O_RDONLY), F_GETPIPE_SZ));
    close(other[0]);
    close(other[1]);
    while (read(ends[0], block, sizeof block) > 0)
        ;
    show("write to its read end", write(ends[0], "x", 1));
    show("read from its write end", read(ends[1], buffer, 1));
    show("seek", lseek(ends[0], 0, SEEK_SET));
    show("pread", pread(ends[0], buffer, 1, 0));

    (void)!write(ends[1], "last", 4);
    close(ends[1]);
    show("poll", poll(both, 1, 0));
    printf("data %d hangup %d\n", !!(both[0].revents & POLLIN), !!(both[0].revents & POLLHUP));
    show("what was in it", read(ends[0], buffer, 100));
    show("then the end", read(ends[0], buffer, 100));
    show("and again", read(ends[0], buffer, 100));
    poll(both, 1, 0);
    printf("data %d hangup %d\n", !!(both[0].revents & POLLIN), !!(both[0].revents & POLLHUP));

    show("pipe2", pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    show("its flags", fcntl(ends[0], F_GETFD) + (fcntl(ends[1], F_GETFL) & O_NONBLOCK));
    show("unknown flags", pipe2(ends, 0x10000000));
    struct stat status;
    fstat(ends[0], &status);
    show("its kind", S_ISFIFO(status.st_mode));
    return 0;
}
