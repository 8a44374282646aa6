// Takes memory and frees it, in several ways, at the word of its input; what it takes again is zero.
// link: static
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>
#include "story.h"

static size_t size;

static unsigned char *take(int advice) {
    unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        exit(1);
    madvise(memory, size, advice);
    for (size_t at = 0; at < size; at += 4096) {
        // All of what was there is looked at: it was somebody's before.
        for (size_t word = 0; word < 4096; word += 512)
            if (*(unsigned long *)(memory + at + word) != 0) {
                puts("not zero");
                exit(2);
            }
        *(unsigned long *)(memory + at + 8 * (at / 4096 % 512)) = at + 1;
    }
    return memory;
}

static void wait_for_word(const char *said) {
    char byte;
    puts(said);
    fflush(stdout);
    if (read(0, &byte, 1) != 1)
        exit(3);
}

int main(int argc, char **argv) {
    size = (size_t)atoi(argc > 1 ? argv[1] : "64") << 20;
    unsigned char *memory = take(MADV_HUGEPAGE);
    wait_for_word("large pages taken");
    munmap(memory, size);
    wait_for_word("large pages unmapped");
    memory = take(MADV_NOHUGEPAGE);
    wait_for_word("small pages taken");
    madvise(memory, size, MADV_DONTNEED);
    wait_for_word("small pages dropped");
    munmap(memory, size);
    memory = take(MADV_HUGEPAGE);
    munmap(memory, size);
    puts("done");
    return 0;
}
