// rt_sigaction, rt_sigprocmask, rt_sigpending, rt_sigsuspend, rt_sigtimedwait: sets, sizes and addresses.
#include "../story.h"
#include <signal.h>

static volatile int count;

static void on_signal(int signal) {
    (void)signal;
    count++;
}

static long with_timeout(const sigset_t *set, siginfo_t *info, long ns) {
    struct timespec time = {0, ns};
    return syscall(SYS_rt_sigtimedwait, set, info, &time, 8);
}

int main(void) {
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigset_t set, empty, pending;
    siginfo_t info;
    sigemptyset(&empty);
    sigemptyset(&set);
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NOWHERE, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NOWHERE, 8));
    SHOW(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, -1, NULL, NULL, 8));
    SHOW(sigaction(SIGKILL, NULL, &old));
    SHOW(sigaction(SIGKILL, &action, NULL));
    SHOW(sigaction(SIGSTOP, &action, NULL));
    action.sa_flags = SA_RESTART | SA_NODEFER;
    SHOW(sigaction(SIGUSR1, &action, NULL));
    SHOW(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_handler == on_signal && (old.sa_flags & (SA_RESTART | SA_NODEFER)) == (SA_RESTART | SA_NODEFER));

    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGKILL);
    sigaddset(&set, SIGSTOP);
    SHOW(sigprocmask(SIG_BLOCK, &set, NULL));
    SHOW(sigprocmask(99, NULL, &pending));
    SHOW(sigismember(&pending, SIGUSR1));
    SHOW(sigismember(&pending, SIGKILL));
    SHOW(syscall(SYS_rt_sigprocmask, 99, &set, NULL, 8));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NOWHERE, NULL, 8));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NOWHERE, 8));
    SHOW(sigpending(&pending));
    SHOW(sigismember(&pending, SIGUSR1));
    raise(SIGUSR1);
    SHOW(count);
    SHOW(sigpending(&pending));
    SHOW(sigismember(&pending, SIGUSR1));
    SHOW(syscall(SYS_rt_sigpending, NOWHERE, 8));
    SHOW(syscall(SYS_rt_sigpending, &pending, 9));
    SHOW(sigsuspend(&empty));
    SHOW(count);
    SHOW(syscall(SYS_rt_sigsuspend, NOWHERE, 8));
    SHOW(syscall(SYS_rt_sigsuspend, &empty, 4));
    sigprocmask(0, NULL, &pending);
    SHOW(sigismember(&pending, SIGUSR1));

    SHOW(with_timeout(&set, &info, 0));
    SHOW(with_timeout(&set, &info, 5000000));
    SHOW(with_timeout(&set, &info, 1000000000));
    SHOW(with_timeout(&set, &info, -1));
    raise(SIGUSR1);
    SHOW(with_timeout(&set, &info, 0) == SIGUSR1);
    SHOW(info.si_signo == SIGUSR1 && info.si_pid == getpid());
    raise(SIGUSR1);
    SHOW(with_timeout(&set, NULL, 0) == SIGUSR1);
    SHOW(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 4));
    SHOW(syscall(SYS_rt_sigtimedwait, NOWHERE, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigtimedwait, &set, NULL, NOWHERE, 8));
    // Another signal than those that are waited for, with a handler.
    action.sa_flags = 0;
    sigaction(SIGALRM, &action, NULL);
    ualarm(10000, 0);
    SHOW(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8));

    // What is set to be ignored is dropped, also when it waits already.
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigpending(&pending);
    SHOW(sigismember(&pending, SIGUSR1));
    raise(SIGUSR1);
    sigpending(&pending);
    SHOW(sigismember(&pending, SIGUSR1));
    // Usual signals are there once, real-time ones as often as they came, in order.
    signal(SIGUSR1, SIG_DFL);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 1});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 2});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 3});
    raise(SIGUSR2);
    raise(SIGUSR2);
    raise(SIGUSR1);
    for (long number; (number = with_timeout(&set, &info, 0)) > 0;)
        printf("%s %d\n", number == SIGUSR1 ? "USR1" : number == SIGUSR2 ? "USR2" : number == SIGRTMIN ? "RTMIN" : "RTMIN+1", info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
    return 0;
}
