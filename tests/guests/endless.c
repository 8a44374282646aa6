// Writes lines for ever; when it cannot, it says why on standard error and leaves with 9.
#include "story.h"
#include <signal.h>

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "ignore") == 0)
        signal(SIGPIPE, SIG_IGN);
    for (unsigned long i = 0;; i++) {
        char line[40];
        int length = snprintf(line, sizeof line, "line %lu\n", i);
        if (write(1, line, (size_t)length) < 0) {
            fprintf(stderr, "write: %s\n", strerrorname_np(errno));
            return 9;
        }
    }
}
