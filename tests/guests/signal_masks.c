// Blocked signals wait: they stay pending, come once, and come when they are let through.
#include "story.h"
#include <signal.h>

static volatile sig_atomic_t count;
static char order[16];
static volatile sig_atomic_t place;

static void handler(int signal) {
    count++;
    order[place++] = signal == SIGUSR1 ? '1' : signal == SIGUSR2 ? '2' : 'r';
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    show("block", sigprocmask(SIG_BLOCK, &set, &old));
    raise(SIGUSR1);
    raise(SIGUSR1);
    show("nothing came", count);
    sigpending(&pending);
    show("it is pending", sigismember(&pending, SIGUSR1));
    show("another is not", sigismember(&pending, SIGUSR2));
    show("unblock", sigprocmask(SIG_SETMASK, &old, NULL));
    show("two became one", count);
    sigpending(&pending);
    show("nothing is pending", sigismember(&pending, SIGUSR1));

    // Real-time signals are counted.
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    count = 0;
    for (int i = 0; i < 3; i++)
        kill(getpid(), SIGRTMIN);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    show("three real-time signals stay three", count);

    // sigsuspend opens the mask for as long as it waits.
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR2);
    count = 0;
    sigset_t open_mask;
    sigemptyset(&open_mask);
    show("sigsuspend", sigsuspend(&open_mask));
    show("one came", count);
    sigprocmask(SIG_BLOCK, NULL, &old);
    show("the mask is back", sigismember(&old, SIGUSR1) + sigismember(&old, SIGUSR2));

    // A blocked signal can be taken without a handler.
    raise(SIGUSR1);
    siginfo_t info;
    show("sigwaitinfo", sigwaitinfo(&set, &info) == SIGUSR1);
    show("its code", info.si_code == SI_TKILL || info.si_code == SI_USER);
    struct timespec brief = {.tv_nsec = 10000000};
    show("nothing more", sigtimedwait(&set, &info, &brief));
    show("handlers were not called", count);

    // SIGKILL and SIGSTOP cannot be blocked; asking is no error.
    sigfillset(&set);
    show("block everything", sigprocmask(SIG_SETMASK, &set, NULL));
    sigprocmask(SIG_BLOCK, NULL, &old);
    show("SIGKILL and SIGSTOP are not blocked", sigismember(&old, SIGKILL) + sigismember(&old, SIGSTOP));
    show("an unknown way", sigprocmask(99, &set, NULL));
    return 0;
}
