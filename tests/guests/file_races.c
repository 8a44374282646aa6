// Threads that read a file through descriptors, with its own mappings as the buffers and the sources, while others fault on
// mappings of it, truncate it, write it and take the mappings away. All of it has to go on, and every byte has to be one
// that somebody wrote.
#include "story.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>

#define PAGES 64
#define LENGTH (PAGES * 4096L)
#define ROUNDS 10

static int file;
static atomic_int wrong;
static _Thread_local sigjmp_buf beyond;

// Contents: page p is made of the byte p, or of p + 100 once rewritten; beyond a truncation zero for a while.
static int is_possible(long page, unsigned char byte) {
    return byte == 0 || byte == (unsigned char)page || byte == (unsigned char)(page + 100);
}

static void out_of_file(int signal) {
    siglongjmp(beyond, signal);
}

// Reads the file into private mappings of the same file that are not present yet.
static void *read_into_mappings(void *argument) {
    long step = (long)argument;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char *volatile to = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
        for (volatile long page = 0; page + step <= PAGES; page += step)
            if (pread(file, to + page * 4096, (size_t)step * 4096, page * 4096) > 0 && sigsetjmp(beyond, 1) == 0 &&
                !is_possible(page, to[page * 4096]))
                wrong++;
        munmap(to, LENGTH);
    }
    return NULL;
}

// Writes the file from shared mappings of the same file.
static void *write_from_mappings(void *argument) {
    (void)argument;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char *from = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, file, 0);
        for (long page = 0; page < PAGES; page += 7)
            if (pwrite(file, from + page * 4096, 4096, page * 4096) == -1 && errno != EFAULT)
                wrong++;
        munmap(from, LENGTH);
    }
    return NULL;
}

// Looks at every page; what is beyond the end at the moment is SIGBUS.
static void *touch_mappings(void *argument) {
    int flags = argument == NULL ? MAP_PRIVATE : MAP_SHARED;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char *volatile pages = mmap(NULL, LENGTH, PROT_READ, flags, file, 0);
        for (volatile long page = 0; page < PAGES; page++)
            if (sigsetjmp(beyond, 1) == 0 && !is_possible(page, pages[page * 4096 + 17]))
                wrong++;
        munmap(pages, LENGTH);
    }
    return NULL;
}

static void *change(void *argument) {
    (void)argument;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char page[4096];
        for (int number = round % 3; number < PAGES; number += 3) {
            memset(page, number + (round & 1 ? 100 : 0), sizeof page);
            if (pwrite(file, page, sizeof page, number * 4096L) != sizeof page)
                wrong++;
        }
        if (round % 8 == 0 && (ftruncate(file, LENGTH / 2) != 0 || ftruncate(file, LENGTH) != 0))
            wrong++;
    }
    return NULL;
}

int main(void) {
    enter_story_directory();
    struct sigaction action = {.sa_handler = out_of_file};
    sigaction(SIGBUS, &action, NULL);
    file = open("races", O_RDWR | O_CREAT | O_TRUNC, 0644);
    for (int number = 0; number < PAGES; number++) {
        unsigned char page[4096];
        memset(page, number, sizeof page);
        (void)!write(file, page, sizeof page);
    }
    pthread_t threads[6];
    pthread_create(&threads[0], NULL, read_into_mappings, (void *)1);
    pthread_create(&threads[1], NULL, read_into_mappings, (void *)16);
    pthread_create(&threads[2], NULL, write_from_mappings, NULL);
    pthread_create(&threads[3], NULL, touch_mappings, NULL);
    pthread_create(&threads[4], NULL, touch_mappings, (void *)1);
    pthread_create(&threads[5], NULL, change, NULL);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    show("bytes that nobody wrote", wrong);
    struct stat status;
    fstat(file, &status);
    show("size", (long)status.st_size);
    puts("all went on");
    unlink("races");
    return 0;
}
