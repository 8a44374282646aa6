// Standard input, byte for byte, to standard output; how much it was to standard error.
#include "story.h"

int main(int argc, char **argv) {
    size_t size = argc > 1 ? (size_t)atol(argv[1]) : 65536;
    char *buffer = malloc(size);
    long total = 0;
    for (ssize_t count; (count = read(0, buffer, size)) != 0;) {
        if (count < 0) {
            perror("read");
            return 1;
        }
        for (ssize_t done = 0; done < count;) {
            ssize_t written = write(1, buffer + done, (size_t)(count - done));
            if (written < 0) {
                perror("write");
                return 2;
            }
            done += written;
        }
        total += count;
    }
    fprintf(stderr, "%ld bytes\n", total);
    return 0;
}
