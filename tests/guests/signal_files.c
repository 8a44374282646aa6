// Signals that are read (signalfd): one at a time and several, with values, in epoll, from another thread, and what fails.
#include "story.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static void tell(const char *what, const struct signalfd_siginfo *info) {
    printf("%s: signal %u code %d int %d%s%s\n", what, info->ssi_signo, info->ssi_code, info->ssi_int,
           info->ssi_pid == (unsigned)getpid() ? " from us" : "", info->ssi_uid == getuid() ? " from this user" : "");
}

static void *later(void *unused) {
    (void)unused;
    usleep(30000);
    kill(getpid(), SIGUSR2);
    return NULL;
}

int main(void) {
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGKILL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct signalfd_siginfo info[4];
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    works("signalfd", fd);
    show("close on exec", fcntl(fd, F_GETFD));
    show("nothing", read(fd, info, sizeof info));
    kill(getpid(), SIGUSR1);
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT};
    show("poll", poll(&entry, 1, 0));
    show("in", entry.revents);
    show("too small", read(fd, info, 127));
    show("read", read(fd, info, sizeof info));
    tell("sent", info);
    show("poll", poll(&entry, 1, 0));
    raise(SIGUSR1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 8});
    show("read one", read(fd, info, sizeof info[0] + 100));
    tell("to the thread", info);
    show("read the rest", read(fd, info, sizeof info));
    tell("first", &info[0]);
    tell("second", &info[1]);
    show("write", write(fd, info, 8));
    sigset_t pending;
    sigpending(&pending);
    show("none is pending", sigismember(&pending, SIGRTMIN));

    puts("# another set");
    sigset_t other;
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    sigprocmask(SIG_BLOCK, &other, NULL);
    show("change", signalfd(fd, &other, 0) == fd);
    kill(getpid(), SIGUSR1);
    show("not this one", read(fd, info, sizeof info));
    kill(getpid(), SIGUSR2);
    show("this one", read(fd, info, sizeof info));
    signalfd(fd, &set, 0);
    show("what waited", read(fd, info, sizeof info));
    signalfd(fd, &other, 0);

    puts("# waiting");
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 5};
    show("watch", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    show("nothing", epoll_wait(epoll, &event, 1, 0));
    pthread_t thread;
    pthread_create(&thread, NULL, later, NULL);
    show("something", epoll_wait(epoll, &event, 1, 5000));
    pthread_join(thread, NULL);
    show("read", read(fd, info, sizeof info));
    fcntl(fd, F_SETFL, 0);
    pthread_create(&thread, NULL, later, NULL);
    show("read until it comes", read(fd, info, sizeof info));
    pthread_join(thread, NULL);

    puts("# what fails");
    int ends[2];
    (void)!pipe(ends);
    show("no signal file", signalfd(ends[0], &set, 0));
    show("no file", signalfd(999, &set, 0));
    show("unknown flag", signalfd(-1, &set, 1));
    show("bad set", syscall(SYS_signalfd4, -1, 8, 8, 0));
    show("bad size", syscall(SYS_signalfd4, -1, &set, 4, 0));
    show("the older call", syscall(SYS_signalfd, fd, &none, 8) == fd);
    return 0;
}
