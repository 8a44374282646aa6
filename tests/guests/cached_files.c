// What is cached of files makes room: a program reads more of them in small pieces than it has memory, and then uses most of that.
#include "story.h"

#define LENGTH (40L << 20)

int main(void) {
    enter_story_directory();
    int file = open("large", O_RDWR | O_CREAT | O_TRUNC, 0644);
    static char megabyte[1 << 20];
    for (long at = 0; at < LENGTH; at += sizeof megabyte) {
        memset(megabyte, 'a' + (int)(at >> 20) % 26, sizeof megabyte);
        (void)!pwrite(file, megabyte, sizeof megabyte, at);
    }
    close(file);
    file = open("large", O_RDONLY);
    long wrong = 0;
    static char page[4096];
    for (int round = 0; round < 2; round++) {
        for (long at = 0; at < LENGTH; at += sizeof page)
            wrong += pread(file, page, sizeof page, at) != sizeof page || page[17] != 'a' + (int)(at >> 20) % 26;
        size_t size = 16 << 20;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, round + 1, size);
        for (size_t at = 0; at < size; at += 4096)
            wrong += memory[at] != round + 1;
        munmap(memory, size);
    }
    show("wrong", wrong);
    unlink("large");
    return 0;
}
