// Says that it is ready, then waits: by sleeping, by reading, by working.
#include "story.h"
#include <signal.h>

static void handler(int signal) {
    (void)signal;
    static const char text[] = "the program was asked to end\n";
    (void)!write(1, text, sizeof text - 1);
    _exit(33);
}

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "sleep";
    (void)!write(1, "ready\n", 6);
    if (strcmp(way, "handle") == 0)
        signal(SIGTERM, handler);
    if (strcmp(way, "read") == 0) {
        char byte;
        return read(0, &byte, 1) == 0 ? 0 : 1;
    }
    if (strcmp(way, "work") == 0)
        for (volatile unsigned long i = 0;; i++)
            ;
    for (;;)
        sleep(1000);
}
