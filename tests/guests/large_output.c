// As many bytes as asked for, in a pattern that shows a lost, doubled or moved piece.
#include "story.h"

int main(int argc, char **argv) {
    long size = argc > 1 ? atol(argv[1]) : 8 << 20;
    static char block[60000];
    for (long at = 0; at < size;) {
        long room = size - at < (long)sizeof block ? size - at : (long)sizeof block;
        for (long i = 0; i < room; i++) {
            unsigned long line = (unsigned long)(at + i) / 16, column = (unsigned long)(at + i) % 16;
            block[i] = column == 15 ? '\n' : "0123456789abcdef"[(line >> (4 * (14 - column))) & 15];
        }
        for (long done = 0; done < room;) {
            ssize_t written = write(1, block + done, (size_t)(room - done));
            if (written < 0) {
                perror("write");
                return 1;
            }
            done += written;
        }
        at += room;
    }
    return 0;
}
