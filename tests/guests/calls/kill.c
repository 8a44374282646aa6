// kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo: to whom, what, and who may not.
#include "../story.h"
#include <pthread.h>
#include <signal.h>

static volatile int got, code, value;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    got = signal;
    code = info->si_code;
    value = info->si_value.sival_int;
}

static void told(const char *what) {
    printf("%s: signal %d code %d\n", what, got == SIGUSR1 ? 1 : got, code);
    got = code = 0;
}

static void idle(void) {
    pause();
}

static long queue(pid_t pid, int signal, int with_code) {
    siginfo_t info = {.si_code = with_code};
    info.si_value.sival_int = 99;
    return syscall(SYS_rt_sigqueueinfo, pid, signal, &info);
}

static long queue_to_thread(pid_t pid, pid_t tid, int signal, int with_code) {
    siginfo_t info = {.si_code = with_code};
    return syscall(SYS_rt_tgsigqueueinfo, pid, tid, signal, &info);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    pid_t pid = getpid(), tid = gettid();
    SHOW(kill(pid, 0));
    SHOW(kill(pid, SIGUSR1));
    told("kill");
    SHOW(kill(pid, 65));
    SHOW(kill(pid, -1));
    SHOW(kill(0x3fffffff, 0));
    SHOW(kill(0x3fffffff, 65));
    SHOW(kill(-0x3fffffff, SIGUSR1));
    SHOW(kill(INT32_MIN, SIGUSR1));
    SHOW(syscall(SYS_tkill, tid, SIGUSR1));
    told("tkill");
    SHOW(syscall(SYS_tkill, 0, SIGUSR1));
    SHOW(syscall(SYS_tkill, -1, SIGUSR1));
    SHOW(syscall(SYS_tkill, 0x3fffffff, SIGUSR1));
    SHOW(syscall(SYS_tkill, tid, 65));
    SHOW(tgkill(pid, tid, SIGUSR1));
    told("tgkill");
    SHOW(tgkill(pid, tid, 0));
    SHOW(tgkill(0, tid, SIGUSR1));
    SHOW(tgkill(pid, 0, SIGUSR1));
    SHOW(tgkill(pid, -1, SIGUSR1));
    SHOW(tgkill(0x3fffffff, tid, SIGUSR1));
    SHOW(tgkill(pid, 0x3fffffff, SIGUSR1));
    SHOW(tgkill(pid, tid, -1));
    SHOW(queue(pid, SIGUSR1, SI_QUEUE));
    told("queued");
    SHOW(value);
    SHOW(queue(pid, SIGUSR1, -77));
    told("a code of one's own");
    SHOW(queue(pid, SIGUSR1, SI_USER));
    told("as if from kill, to oneself");
    SHOW(queue(pid, 0, SI_QUEUE));
    SHOW(queue(pid, 65, SI_QUEUE));
    SHOW(queue(0x3fffffff, SIGUSR1, SI_QUEUE));
    SHOW(queue(-1, SIGUSR1, SI_QUEUE));
    SHOW(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, NOWHERE));
    SHOW(queue_to_thread(pid, tid, SIGUSR1, SI_QUEUE));
    told("queued to the thread");
    SHOW(queue_to_thread(pid, 0, SIGUSR1, SI_QUEUE));
    SHOW(queue_to_thread(0x3fffffff, tid, SIGUSR1, SI_QUEUE));
    SHOW(queue_to_thread(pid, tid, 65, SI_QUEUE));

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        idle();
        _exit(0);
    }
    SHOW(kill(child, 0));
    SHOW(tgkill(pid, child, SIGUSR1));
    SHOW(queue(child, SIGTERM, SI_USER));
    SHOW(queue(child, SIGTERM, SI_TKILL));
    SHOW(queue(child, SIGTERM, SI_QUEUE));
    int status;
    waitpid(child, &status, 0);
    SHOW(WTERMSIG(status) == SIGTERM);
    SHOW(kill(child, 0));
    child = fork();
    if (child == 0)
        _exit(0);
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
    // A zombie can be sent anything; it makes no difference.
    SHOW(kill(child, SIGKILL));
    waitpid(child, &status, 0);
    SHOW(WIFEXITED(status));
    return 0;
}
