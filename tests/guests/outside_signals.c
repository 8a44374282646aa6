// Tells which signals come from outside, until SIGTERM: by sleeping, by reading, by working. Links statically.
#include "story.h"
#include <signal.h>

static volatile sig_atomic_t is_over;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)context;
    char text[64];
    int length = snprintf(text, sizeof text, "got %d from %d\n", signal, (int)info->si_pid);
    (void)!write(1, text, (size_t)length);
    is_over |= signal == SIGTERM;
}

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "sleep";
    static const int handled[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGTERM, SIGCONT, 34, 40, 64};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
        sigaction(handled[i], &action, NULL);
    (void)!write(1, "ready\n", 6);
    while (!is_over) {
        if (strcmp(way, "read") == 0) {
            // It goes on after a handler, until the input ends.
            char byte;
            if (read(0, &byte, 1) == 0)
                return 8;
        } else if (strcmp(way, "work") != 0) {
            sleep(1000);
        }
    }
    return 7;
}
