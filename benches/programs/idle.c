// A program that does nothing for as long as its standard input is open: what a partition costs that waits for
// work. It says when it is ready, and answers every line that it is sent, which proves that it still lives.
#include <stdio.h>

int main(void)
{
    char line[64];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        puts("alive");
        fflush(stdout);
    }
    return 0;
}
