// signalfd: signals that are read, who sent them, and which never come that way.
#include "../story.h"
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

int main(void) {
    sigset_t set;
    struct signalfd_siginfo info[3];
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigdelset(&set, SIGUSR2);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(read(fd, info, sizeof info));
    raise(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR2);
    union sigval value = {.sival_int = 42};
    sigqueue(getpid(), SIGRTMIN, value);
    sigqueue(getpid(), SIGRTMIN, value);
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT};
    SHOW(poll(&one, 1, 0));
    SHOW(read(fd, info, sizeof info[0] - 1));
    ssize_t size = read(fd, info, sizeof info);
    SHOW(size / (ssize_t)sizeof info[0]);
    for (size_t i = 0; i < (size_t)size / sizeof info[0]; i++)
        printf("%s code %d value %d from %s\n", info[i].ssi_signo == SIGUSR1 ? "USR1" : info[i].ssi_signo == (unsigned)SIGRTMIN ? "RTMIN" : "?",
               info[i].ssi_code, info[i].ssi_int, info[i].ssi_pid == (unsigned)getpid() && info[i].ssi_uid == getuid() ? "me" : "FAIL");
    SHOW(read(fd, info, sizeof info));
    SHOW(poll(&one, 1, 0));
    // The same descriptor with another set.
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGKILL);
    SHOW(signalfd(fd, &set, 0) == fd);
    SHOW(read(fd, info, sizeof info) / (ssize_t)sizeof info[0]);
    SHOW(info[0].ssi_signo == SIGUSR2);
    SHOW(signalfd(0, &set, 0));
    SHOW(signalfd(77, &set, 0));
    SHOW(signalfd(-2, &set, 0));
    SHOW(signalfd(-1, &set, 1));
    SHOW(syscall(SYS_signalfd4, -1, &set, 7, 0));
    SHOW(syscall(SYS_signalfd4, -1, NOWHERE, 8, 0));
    WORKS(syscall(SYS_signalfd, -1, &set, 8));
    raise(SIGUSR2);
    SHOW(read(fd, NOWHERE, sizeof info));
    SHOW(write(fd, info, sizeof info));
    return 0;
}
