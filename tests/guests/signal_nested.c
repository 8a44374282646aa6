// A handler is interrupted by another one, which is interrupted by a third; all of them find their way back.
#include "story.h"
#include <signal.h>

static int depth;

static void tell(const char *what, int signal) {
    printf("%*s%s %s\n", depth * 2, "", what, sigabbrev_np(signal));
}

static void handler(int signal) {
    depth++;
    tell("enter", signal);
    if (signal == SIGUSR1)
        raise(SIGUSR2);
    if (signal == SIGUSR2)
        raise(SIGHUP);
    tell("leave", signal);
    depth--;
}

// While this one runs, SIGUSR2 is blocked: it comes right after.
static void postponing(int signal) {
    depth++;
    tell("enter", signal);
    raise(SIGUSR2);
    tell("leave", signal);
    depth--;
}

static void recursive(int signal) {
    depth++;
    tell("enter", signal);
    if (depth < 5)
        raise(signal);
    tell("leave", signal);
    depth--;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    raise(SIGUSR1);
    puts("again, with the second one postponed");
    struct sigaction masked = {.sa_handler = postponing};
    sigaddset(&masked.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &masked, NULL);
    raise(SIGUSR1);
    puts("and one that interrupts itself");
    struct sigaction again = {.sa_handler = recursive, .sa_flags = SA_NODEFER};
    sigaction(SIGINT, &again, NULL);
    raise(SIGINT);
    return 0;
}
