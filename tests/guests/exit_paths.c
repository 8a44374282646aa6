// The ways out: handlers and buffers run on some of them and not on others.
#include "story.h"

static void first(void) { puts("registered first, runs last"); }
static void second(void) { puts("registered second, runs first"); }
static void quick(void) { write(1, "quick handler\n", 14); }

__attribute__((destructor)) static void destructor(void) { puts("destructor"); }

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "return";
    atexit(first);
    atexit(second);
    at_quick_exit(quick);
    write(1, "written at once\n", 16);
    printf("held in a buffer");
    if (strcmp(way, "exit") == 0)
        exit(3);
    if (strcmp(way, "_exit") == 0)
        _exit(4);
    if (strcmp(way, "quick_exit") == 0)
        quick_exit(5);
    if (strcmp(way, "exit_thread") == 0) {
        fflush(stdout);
        syscall(SYS_exit, 6);
    }
    return 2;
}
