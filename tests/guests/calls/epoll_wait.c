// epoll_wait, epoll_pwait, epoll_pwait2: levels, edges, once; what is closed meanwhile; times; masks; and where events cannot go.
#include "../story.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int epoll;

static void events(const char *what) {
    struct epoll_event found[8];
    int count = epoll_wait(epoll, found, 8, 0);
    printf("%s: %d", what, count);
    for (int i = 0; i < count; i++)
        printf(" [%#x %lu]", found[i].events, (unsigned long)found[i].data.u64);
    puts("");
}

static void watch(int operation, int fd, unsigned wanted, unsigned long data) {
    struct epoll_event event = {.events = wanted, .data.u64 = data};
    if (epoll_ctl(epoll, operation, fd, &event) != 0)
        printf("FAIL %s\n", strerrorname_np(errno));
}

static void nothing(int signal) {
    (void)signal;
}

static void *wait_for_one(void *found) {
    return (void *)(long)epoll_wait(epoll, found, 1, 20000);
}

// Whoever waits for what an epoll watches keeps none of it open: when one end is closed meanwhile, the other hears of it.
static void closed_meanwhile(const char *what, int watched, int closed) {
    struct epoll_event found = {0};
    pthread_t waiter;
    void *count;
    watch(EPOLL_CTL_ADD, watched, EPOLLIN | EPOLLRDHUP | EPOLLET, 21);
    watch(EPOLL_CTL_ADD, closed, EPOLLIN | EPOLLET, 22);
    pthread_create(&waiter, NULL, wait_for_one, &found);
    usleep(50000);
    close(closed);
    pthread_join(waiter, &count);
    printf("%s: %ld [%#x %lu]\n", what, (long)count, found.events, (unsigned long)found.data.u64);
    close(watched);
}

static void address_meanwhile(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event found = {0};
    socklen_t length = sizeof address;
    int ends[2], first = socket(AF_INET, SOCK_DGRAM, 0), second = socket(AF_INET, SOCK_DGRAM, 0);
    pthread_t waiter;
    pipe(ends);
    bind(first, (struct sockaddr *)&address, sizeof address);
    getsockname(first, (struct sockaddr *)&address, &length);
    watch(EPOLL_CTL_ADD, first, EPOLLIN | EPOLLET, 23);
    watch(EPOLL_CTL_ADD, ends[0], EPOLLIN | EPOLLET, 24);
    pthread_create(&waiter, NULL, wait_for_one, &found);
    usleep(50000);
    close(first);
    SHOW(bind(second, (struct sockaddr *)&address, sizeof address));
    close(ends[1]);
    pthread_join(waiter, NULL);
    close(ends[0]);
    close(second);
}

int main(void) {
    int ends[2], sockets[2];
    char buffer[10];
    epoll = epoll_create1(0);
    pipe(ends);
    watch(EPOLL_CTL_ADD, ends[0], EPOLLIN, 1);
    events("nothing yet");
    write(ends[1], "ab", 2);
    events("level");
    events("still");
    read(ends[0], buffer, 1);
    events("one left");
    watch(EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLET, 2);
    events("edge");
    events("only once");
    write(ends[1], "c", 1);
    events("again when more comes");
    read(ends[0], buffer, 1);
    events("not by reading");
    watch(EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLONESHOT, 3);
    events("one shot");
    events("is over");
    write(ends[1], "d", 1);
    events("whatever comes");
    watch(EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLONESHOT, 4);
    events("until armed again");
    watch(EPOLL_CTL_MOD, ends[0], 0, 5);
    events("nothing wanted");
    watch(EPOLL_CTL_ADD, ends[1], EPOLLOUT, 6);
    events("room");
    close(ends[1]);
    events("hung up, wanted or not");
    close(ends[0]);
    events("closed, so gone");
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    watch(EPOLL_CTL_ADD, sockets[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI, 7);
    events("a socket");
    shutdown(sockets[1], SHUT_WR);
    events("half closed");
    close(sockets[1]);
    events("closed");
    close(sockets[0]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    closed_meanwhile("a socket closed meanwhile", sockets[0], sockets[1]);
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets);
    closed_meanwhile("one of packets", sockets[0], sockets[1]);
    pipe(ends);
    closed_meanwhile("a pipe", ends[0], ends[1]);
    address_meanwhile();

    struct epoll_event found;
    SHOW(epoll_wait(epoll, &found, 0, 0));
    SHOW(epoll_wait(epoll, &found, -1, 0));
    SHOW(epoll_wait(epoll, &found, INT32_MAX, 0));
    SHOW(epoll_wait(-1, &found, 1, 0));
    SHOW(epoll_wait(0, &found, 1, 0));
    SHOW(epoll_wait(epoll, NOWHERE, 1, 0));
    pipe(ends);
    watch(EPOLL_CTL_ADD, ends[1], EPOLLOUT, 8);
    SHOW(epoll_wait(epoll, NOWHERE, 1, 0));
    events("not lost");
    watch(EPOLL_CTL_DEL, ends[1], 0, 0);
    struct timespec start = now(CLOCK_MONOTONIC);
    SHOW(epoll_wait(epoll, &found, 1, 20));
    CHECK(seconds_between(start, now(CLOCK_MONOTONIC)) >= 0.019);

    signal(SIGUSR1, nothing);
    sigset_t set, open_set;
    sigemptyset(&open_set);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    SHOW(epoll_pwait(epoll, &found, 1, 5, NULL));
    SHOW(epoll_pwait(epoll, &found, 1, -1, &open_set));
    SHOW(syscall(SYS_epoll_pwait, epoll, &found, 1, 0, &open_set, 7));
    SHOW(syscall(SYS_epoll_pwait, epoll, &found, 1, 0, NOWHERE, 8));
    struct timespec some = {0, 5000000}, bad = {0, -1};
    SHOW(syscall(SYS_epoll_pwait2, epoll, &found, 1, &some, NULL, 0));
    SHOW(syscall(SYS_epoll_pwait2, epoll, &found, 1, &bad, NULL, 0));
    SHOW(syscall(SYS_epoll_pwait2, epoll, &found, 1, NOWHERE, NULL, 0));
    SHOW(syscall(SYS_epoll_pwait2, -1, &found, 1, &some, NULL, 0));
    return 0;
}
