// Who is told of a file by signals (F_SETOWN and its like; SIGURG), and which of several epolls tells (EPOLLEXCLUSIVE).
#include "story.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { PROCESSES = 4 };

static volatile sig_atomic_t urgent, code, sender;

static void on_urgent(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    urgent++;
    code = info->si_code;
    sender = info->si_pid;
}

static void connect_both(int ends[2]) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    bind(listener, (void *)&here, len);
    listen(listener, 1);
    getsockname(listener, (void *)&here, &len);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(ends[0], (void *)&here, len);
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void owners(int file) {
    struct f_owner_ex owner = {9, 9};
    int number = 9;
    show("nobody at first", fcntl(file, F_GETOWN));
    show("nobody", fcntl(file, F_GETOWN_EX, &owner));
    printf("kind %d number %d\n", owner.type, owner.pid);
    show("no such process", fcntl(file, F_SETOWN, 0x3fffffff));
    show("no such group", fcntl(file, F_SETOWN, -0x3fffffff));
    show("no group at all", fcntl(file, F_SETOWN, (int)0x80000000));
    show("me", fcntl(file, F_SETOWN, getpid()));
    check("it is me", fcntl(file, F_GETOWN) == getpid());
    show("my group", fcntl(file, F_SETOWN, -getpgrp()));
    show("as a structure", fcntl(file, F_GETOWN_EX, &owner));
    check("my group's", owner.type == F_OWNER_PGRP && owner.pid == getpgrp());
    owner.type = F_OWNER_TID;
    owner.pid = gettid();
    show("a thread", fcntl(file, F_SETOWN_EX, &owner));
    check("the thread", fcntl(file, F_GETOWN) == gettid());
    owner.type = 3;
    show("an unknown kind", fcntl(file, F_SETOWN_EX, &owner));
    show("nowhere", fcntl(file, F_SETOWN_EX, NOWHERE));
    show("none again", fcntl(file, F_SETOWN, 0));
    show("none", fcntl(file, F_GETOWN));
    show("signal", fcntl(file, F_GETSIG));
    show("another signal", fcntl(file, F_SETSIG, SIGUSR1));
    show("that signal", fcntl(file, F_GETSIG));
    show("no signal", fcntl(file, F_SETSIG, 65));
    show("the usual", fcntl(file, F_SETSIG, 0));
    number = getpid();
    show("by ioctl", ioctl(file, FIOSETOWN, &number));
    number = 0;
    show("told by ioctl", ioctl(file, FIOGETOWN, &number));
    printf("me: %d\n", number == getpid());
    number = -getpgrp();
    show("by the other", ioctl(file, SIOCSPGRP, &number));
    show("told by the other", ioctl(file, SIOCGPGRP, &number));
    printf("my group: %d\n", number == -getpgrp());
    fcntl(file, F_SETOWN, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(fcntl(file, F_SETOWN, getpid()) == 0 ? 0 : 1);
    waitpid(child, NULL, 0);
    show("somebody who is gone", fcntl(file, F_GETOWN));
}

static int within_a_second(volatile sig_atomic_t *value, int wanted) {
    for (int i = 0; i < 1000 && *value != wanted; i++)
        usleep(1000);
    return *value == wanted;
}

static void signals(void) {
    int ends[2];
    struct sigaction action = {.sa_sigaction = on_urgent, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGURG, &action, NULL);
    connect_both(ends);
    owners(ends[1]);
    fcntl(ends[1], F_SETOWN, 0);
    show("urgent, nobody is told", send(ends[0], "a", 1, MSG_OOB));
    usleep(20000);
    show("signals", urgent);
    fcntl(ends[1], F_SETOWN, getpid());
    show("not urgent", send(ends[0], "b", 1, 0));
    usleep(20000);
    show("signals", urgent);
    show("urgent", send(ends[0], "c", 1, MSG_OOB));
    check("told", within_a_second(&urgent, 1));
    printf("code %d sender %d\n", code, sender);
    fcntl(ends[1], F_SETSIG, SIGUSR1);
    fcntl(ends[1], F_SETOWN, -getpgrp());
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        urgent = 0;
        _exit(within_a_second(&urgent, 1) ? 7 : 8);
    }
    usleep(100000);
    show("urgent, to the group", send(ends[0], "d", 1, MSG_OOB));
    int status = 0;
    waitpid(child, &status, 0);
    printf("the child %#x, me %d\n", (unsigned)status, within_a_second(&urgent, 2));
    close(ends[0]);
    close(ends[1]);
}

static int watch(int file, unsigned events) {
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = events, .data.u64 = 5};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) == 0 ? epoll : -1;
}

// How many of several processes, which all watch, are told of one thing.
static int told(int file, unsigned events, int writer, void (*happen)(int)) {
    pid_t children[PROCESSES];
    int ready[2], count = 0;
    pipe(ready);
    fflush(stdout);
    for (int i = 0; i < PROCESSES; i++)
        if ((children[i] = fork()) == 0) {
            struct epoll_event event;
            int epoll = watch(file, events);
            write(ready[1], "r", 1);
            _exit(epoll < 0 ? 9 : epoll_wait(epoll, &event, 1, 3000));
        }
    char byte;
    for (int i = 0; i < PROCESSES; i++)
        read(ready[0], &byte, 1);
    usleep(400000);
    happen(writer);
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        waitpid(children[i], &status, 0);
        count += WEXITSTATUS(status);
    }
    close(ready[0]);
    close(ready[1]);
    return count;
}

static void write_byte(int file) {
    write(file, "x", 1);
}

static struct sockaddr_in listening;
static void connect_once(int file) {
    (void)file;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    connect(client, (void *)&listening, sizeof listening);
}

static void exclusive(void) {
    int ends[2];
    pipe(ends);
    show("all are told", told(ends[0], EPOLLIN, ends[1], write_byte));
    char byte;
    read(ends[0], &byte, 1);
    show("one is told", told(ends[0], EPOLLIN | EPOLLEXCLUSIVE, ends[1], write_byte));
    // Who comes when it is true already is told too.
    struct epoll_event event;
    int late = watch(ends[0], EPOLLIN | EPOLLEXCLUSIVE), later = watch(ends[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLET);
    show("late", epoll_wait(late, &event, 1, 0));
    show("later", epoll_wait(later, &event, 1, 0));
    show("later once more", epoll_wait(later, &event, 1, 0));
    read(ends[0], &byte, 1);
    show("nothing any more", epoll_wait(late, &event, 1, 0));
    show("with a wake lock", watch(ends[0], EPOLLIN | EPOLLWAKEUP | EPOLLEXCLUSIVE) >= 0);
    show("only once", watch(ends[0], EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE));
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof listening;
    listening.sin_family = AF_INET;
    listening.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener, (void *)&listening, len);
    listen(listener, 8);
    getsockname(listener, (void *)&listening, &len);
    show("one has the connection", told(listener, EPOLLIN | EPOLLEXCLUSIVE, -1, connect_once));
}

int main(void) {
    // A group that is there, whoever started this.
    setpgid(0, 0);
    signals();
    exclusive();
    return 0;
}
