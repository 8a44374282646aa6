// Threads read pages that another thread takes away and gets anew, while a third gets and fills whatever memory is free. A
// translation that a processor remembers for too long shows as a value that cannot be.
#include "story.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define PAGES 64
#define STEP 1024
#define READERS 3

static _Atomic(unsigned) *area;
static atomic_uint epoch, wrong;
static atomic_int stop;

static void *read_all(void *argument) {
    (void)argument;
    while (!stop)
        for (int page = 0; page < PAGES; page++) {
            unsigned before = epoch, value = area[page * STEP], after = epoch;
            if (value != 0 && (value + 1 < before || value > after + 1))
                wrong++;
        }
    return NULL;
}

static void *fill_memory(void *argument) {
    (void)argument;
    while (!stop) {
        char *memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 0xff, PAGES * 4096);
        munmap(memory, PAGES * 4096);
    }
    return NULL;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    pthread_t threads[READERS + 1];
    area = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, read_all, NULL);
    pthread_create(&threads[READERS], NULL, fill_memory, NULL);
    for (int round = 1; round <= rounds; round++) {
        for (int page = 0; page < PAGES; page++)
            area[page * STEP] = (unsigned)round;
        epoch = (unsigned)round;
        mmap((void *)area, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    stop = 1;
    for (int i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
    printf("%u values that cannot be\n", wrong);
    return wrong != 0;
}
