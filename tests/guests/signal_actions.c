// Handlers: who called, how often, with what blocked, and what happens without one.
#include "story.h"
#include <signal.h>

static volatile sig_atomic_t count;
static volatile sig_atomic_t last;
static volatile int sender_is_self, code;
static sigset_t during;

static void plain(int signal) {
    count++;
    last = signal;
}

static void detailed(int signal, siginfo_t *info, void *context) {
    plain(signal);
    sender_is_self = info->si_pid == getpid() && info->si_uid == getuid();
    code = info->si_code;
    check("a context is given", context != NULL);
    sigprocmask(SIG_BLOCK, NULL, &during);
}

int main(void) {
    struct sigaction action = {.sa_handler = plain}, old;
    show("first handler", sigaction(SIGUSR1, &action, &old));
    check("the default was there before", old.sa_handler == SIG_DFL);
    show("raise", raise(SIGUSR1));
    show("handled", count);

    sigaction(SIGUSR1, NULL, &old);
    check("the handler can be read back", old.sa_handler == plain);

    struct sigaction info = {.sa_sigaction = detailed, .sa_flags = SA_SIGINFO};
    sigaddset(&info.sa_mask, SIGTERM);
    sigaction(SIGUSR2, &info, NULL);
    kill(getpid(), SIGUSR2);
    check("the sender is this process", sender_is_self);
    show("code of kill", code == SI_USER);
    show("its own signal is blocked", sigismember(&during, SIGUSR2));
    show("so is the one in its mask", sigismember(&during, SIGTERM));
    show("another is not", sigismember(&during, SIGUSR1));
    sigprocmask(SIG_BLOCK, NULL, &during);
    show("afterwards nothing is blocked", sigismember(&during, SIGUSR2) + sigismember(&during, SIGTERM));

    union sigval value = {.sival_int = 1234};
    info.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGUSR2, &info, NULL);
    show("sigqueue", sigqueue(getpid(), SIGUSR2, value));
    show("code of sigqueue", code == SI_QUEUE);
    show("with SA_NODEFER its own signal is not blocked", sigismember(&during, SIGUSR2));

    count = 0;
    struct sigaction once = {.sa_handler = plain, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGURG, &once, NULL);
    raise(SIGURG);
    raise(SIGURG);
    show("handled once", count);
    sigaction(SIGURG, NULL, &old);
    check("then the default is back", old.sa_handler == SIG_DFL);

    signal(SIGTERM, SIG_IGN);
    raise(SIGTERM);
    raise(SIGCHLD);
    raise(SIGWINCH);
    raise(SIGCONT);
    puts("ignored signals change nothing");

    show("SIGKILL has no handler", sigaction(SIGKILL, &action, NULL));
    show("SIGSTOP has no handler", sigaction(SIGSTOP, &action, NULL));
    show("signal 0 asks whether", kill(getpid(), 0));
    show("signal 65", kill(getpid(), 65));
    show("signal -1", kill(getpid(), -1));
    show("nobody", kill(999999, 0));

    signal(SIGRTMIN + 3, plain);
    raise(SIGRTMIN + 3);
    check("real-time signals exist", last == SIGRTMIN + 3);
    return 0;
}
