// Writing to a pipe that nobody reads: an error for those who ignore the signal, the end for those who do not.
#include "story.h"
#include <signal.h>

static volatile sig_atomic_t count;
static void handler(int signal) { count += signal == SIGPIPE; }

int main(void) {
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    show("ignored", write(ends[1], "x", 1));
    signal(SIGPIPE, handler);
    show("handled", write(ends[1], "x", 1));
    show("handler calls", count);
    signal(SIGPIPE, SIG_DFL);
    fflush(stdout);
    write(ends[1], "x", 1);
    puts("FAIL still alive");
    return 0;
}
