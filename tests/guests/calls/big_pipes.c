// More goes through a pipe than fits: writers wait for readers, pieces of every size arrive whole and in order.
#include "../story.h"
#include <signal.h>
#include <sys/uio.h>

enum { TOTAL = 200000 };

static unsigned char at(long place) {
    return (unsigned char)(place * 7 + place / 251);
}

static void through(size_t write_size, size_t read_size) {
    int ends[2];
    pipe(ends);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        unsigned char *piece = malloc(write_size);
        for (long done = 0; done < TOTAL;) {
            size_t len = write_size < (size_t)(TOTAL - done) ? write_size : (size_t)(TOTAL - done);
            for (size_t i = 0; i < len; i++)
                piece[i] = at(done + (long)i);
            if (write(ends[1], piece, len) != (ssize_t)len)
                _exit(1);
            done += (long)len;
        }
        _exit(0);
    }
    close(ends[1]);
    unsigned char *piece = malloc(read_size);
    long done = 0, wrong = 0;
    for (ssize_t count; (count = read(ends[0], piece, read_size)) > 0; done += count)
        for (ssize_t i = 0; i < count; i++)
            wrong += piece[i] != at(done + i);
    int status;
    waitpid(child, &status, 0);
    printf("%zu to %zu: %ld bytes, %ld wrong, status %d\n", write_size, read_size, done, wrong, WEXITSTATUS(status));
    close(ends[0]);
    free(piece);
}

int main(void) {
    through(65536, 65536);
    through(5000, 65536);
    through(TOTAL, 4096);
    through(14097, 5001);
    through(100000, TOTAL);
    // A reader that goes away while the writer waits.
    int ends[2];
    pipe(ends);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        char byte;
        read(ends[0], &byte, 1);
        _exit(0);
    }
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    static char block[300000];
    long count = write(ends[1], block, sizeof block);
    check("cut short or refused", (count > 0 && count < (long)sizeof block) || errno == EPIPE);
    SHOW(write(ends[1], block, 1));
    waitpid(child, NULL, 0);
    return 0;
}
