// Calls that wait, interrupted by a signal: which end with EINTR, and which go on when the handler wishes so.
#include "../story.h"
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

static int ends[2], sockets[2];
static volatile int count;

// The second signal brings what is waited for, so that nothing waits for ever.
static void on_alarm(int signal) {
    (void)signal;
    if (++count == 2) {
        write(ends[1], "x", 1);
        write(sockets[1], "x", 1);
    }
}

static long do_read(void) {
    char byte;
    return read(ends[0], &byte, 1);
}

static long do_recv(void) {
    char byte;
    return recv(sockets[0], &byte, 1, 0);
}

static long do_poll(void) {
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    return poll(&one, 1, 2000);
}

static long do_select(void) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    return select(ends[0] + 1, &set, NULL, NULL, NULL);
}

static long do_epoll(void) {
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
    long result = epoll_wait(epoll, &event, 1, 2000);
    int error = errno;
    close(epoll);
    errno = error;
    return result;
}

static long do_sleep(void) {
    return nanosleep(&(struct timespec){2, 0}, NULL);
}

static long do_sigwait(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return sigwaitinfo(&set, NULL);
}

static long do_wait(void) {
    // The child ends a little after the second signal.
    pid_t child = fork();
    if (child == 0) {
        usleep(90000);
        _exit(0);
    }
    long result = waitpid(child, NULL, 0);
    int error = errno;
    if (result == -1)
        while (waitpid(child, NULL, 0) == -1)
            ;
    errno = error;
    return result == child ? 1 : result;
}

static void try(const char *what, long (*call)(void)) {
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
        sigaction(SIGALRM, &action, NULL);
        count = 0;
        struct itimerval timer = {.it_value = {0, 20000}, .it_interval = {0, 30000}}, off = {0};
        fflush(stdout);
        setitimer(ITIMER_REAL, &timer, NULL);
        long result = call();
        int error = errno;
        setitimer(ITIMER_REAL, &off, NULL);
        printf("%s%s: %s\n", what, flags ? ", restarting" : "", result == -1 ? strerrorname_np(error) : "goes on");
        char rest[10];
        recv(sockets[0], rest, sizeof rest, MSG_DONTWAIT);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        read(ends[0], rest, sizeof rest);
        fcntl(ends[0], F_SETFL, 0);
    }
}

int main(void) {
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    try("read", do_read);
    try("recv", do_recv);
    try("poll", do_poll);
    try("select", do_select);
    try("epoll_wait", do_epoll);
    try("nanosleep", do_sleep);
    try("sigwaitinfo", do_sigwait);
    try("waitpid", do_wait);
    return 0;
}
