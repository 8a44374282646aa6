// Many real-time signals from another process: all come, in order, with their values.
#include "../story.h"
#include <signal.h>

enum { COUNT = 60 };

static volatile int next, wrong, foreign;
static volatile pid_t sender;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    wrong += info->si_value.sival_int != next++;
    foreign += info->si_pid != sender || info->si_uid != getuid() || info->si_code != SI_QUEUE;
}

static void send_all(pid_t to) {
    for (int i = 0; i < COUNT; i++)
        while (sigqueue(to, SIGRTMIN, (union sigval){.sival_int = i}) != 0)
            if (errno != EAGAIN)
                _exit(1);
    _exit(0);
}

int main(void) {
    sigset_t set;
    int status;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN, &action, NULL);
    pid_t parent = getpid();
    sender = fork();
    if (sender == 0)
        send_all(parent);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    while (waitpid(sender, &status, 0) != sender)
        ;
    while (next < COUNT && WEXITSTATUS(status) == 0)
        usleep(1000);
    printf("%d came, %d wrong, %d from others\n", next, wrong, foreign);
    // Waiting for them one by one instead.
    sigprocmask(SIG_BLOCK, &set, NULL);
    sender = fork();
    if (sender == 0)
        send_all(parent);
    siginfo_t info;
    int order = 0;
    for (int i = 0; i < COUNT; i++)
        order += sigwaitinfo(&set, &info) != SIGRTMIN || info.si_value.sival_int != i;
    waitpid(sender, &status, 0);
    printf("%d wrong\n", order);
    return 0;
}
