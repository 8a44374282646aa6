// poll, ppoll: what is ready on every kind of file, and what no list can be.
#include "../story.h"
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void ready(const char *what, int fd, int events) {
    struct pollfd one = {.fd = fd, .events = (short)events};
    int count = poll(&one, 1, 0);
    printf("%s: %d %#x\n", what, count, one.revents);
}

static void nothing(int signal) {
    (void)signal;
}

int main(void) {
    enter_story_directory();
    const int all = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM;
    int file = new_file("file", ""), ends[2], sockets[2];
    ready("a file", file, all);
    ready("a directory", open(".", O_RDONLY), POLLIN | POLLOUT);
    ready("closed", 77, POLLIN);
    ready("negative", -5, POLLIN);
    ready("only a path", open("file", O_PATH), POLLIN);
    ready("/dev/null", open("/dev/null", O_RDWR), POLLIN | POLLOUT);
    pipe(ends);
    ready("an empty pipe", ends[0], all);
    ready("its other end", ends[1], all);
    write(ends[1], "x", 1);
    ready("with a byte", ends[0], all);
    ready("not asked for", ends[0], POLLPRI);
    close(ends[1]);
    ready("without writer, a byte left", ends[0], all);
    char byte;
    read(ends[0], &byte, 1);
    ready("without writer", ends[0], all);
    ready("asked for nothing", ends[0], 0);
    pipe(ends);
    close(ends[0]);
    ready("without reader", ends[1], all);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    ready("a socket", sockets[0], all);
    write(sockets[1], "x", 1);
    ready("with a byte", sockets[0], all);
    shutdown(sockets[1], SHUT_WR);
    ready("with an end", sockets[0], all);
    close(sockets[1]);
    ready("without peer", sockets[0], all);
    ready("never connected", socket(AF_UNIX, SOCK_STREAM, 0), all);
    int event = eventfd(0, 0);
    ready("an event", event, POLLIN | POLLOUT | POLLPRI);
    eventfd_write(event, 1);
    ready("that happened", event, POLLIN | POLLOUT | POLLPRI);
    eventfd_write(event, 0xfffffffffffffffd);
    ready("to the brim", event, POLLIN | POLLOUT | POLLPRI);

    struct pollfd two[2] = {{.fd = event, .events = POLLIN}, {.fd = 77, .events = POLLIN, .revents = 9}};
    SHOW(poll(two, 2, 0));
    printf("%#x %#x\n", two[0].revents, two[1].revents);
    SHOW(poll(NULL, 0, 0));
    SHOW(poll(NOWHERE, 0, 1));
    SHOW(poll(NOWHERE, 1, 0));
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    SHOW(poll(two, limit.rlim_cur + 1, 0));
    SHOW(poll(two, (nfds_t)-1, 0));
    struct pollfd *end = (void *)before_the_end(sizeof *end);
    *end = two[0];
    SHOW(poll(end, 1, 0));
    SHOW(poll(end, 2, 0));

    pipe(ends);
    struct pollfd quiet = {.fd = ends[0], .events = POLLIN};
    struct timespec start = now(CLOCK_MONOTONIC);
    SHOW(poll(&quiet, 1, 20));
    CHECK(seconds_between(start, now(CLOCK_MONOTONIC)) >= 0.019);
    struct timespec some = {0, 10000000}, bad = {0, 1000000000}, negative = {-1, 0};
    SHOW(ppoll(&quiet, 1, &some, NULL));
    SHOW(ppoll(&quiet, 1, &bad, NULL));
    SHOW(ppoll(&quiet, 1, &negative, NULL));
    SHOW(syscall(SYS_ppoll, &quiet, 1, NOWHERE, NULL, 8));
    SHOW(syscall(SYS_ppoll, &quiet, 1, NULL, NOWHERE, 8));
    SHOW(syscall(SYS_ppoll, &quiet, 1, NULL, &some, 9));
    signal(SIGUSR1, nothing);
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    SHOW(ppoll(&quiet, 1, &some, NULL));
    SHOW(ppoll(&quiet, 1, NULL, &none));
    sigprocmask(SIG_BLOCK, NULL, &set);
    SHOW(sigismember(&set, SIGUSR1));
    return 0;
}
