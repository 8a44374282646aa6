// A large file read in order through a mapping, again by another thread right behind, and while it is written through a descriptor: what was
// written is there when the call is done. Then it grows shorter, and what is gone is SIGBUS.
#include "story.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#define LENGTH (96L << 20)
#define WORDS (LENGTH / 8)

static int file;
static sigjmp_buf beyond;

static uint64_t word_at(long index) {
    return (uint64_t)index * 0x9e3779b97f4a7c15;
}

static void out_of_file(int signal) {
    siglongjmp(beyond, signal);
}

// Every word of a mapping of its own, in order.
static void *go_through(void *argument) {
    const uint64_t *words = mmap(NULL, LENGTH, PROT_READ, *(int *)argument, file, 0);
    long wrong = words == MAP_FAILED;
    for (long i = 0; i < WORDS && words != MAP_FAILED; i++)
        wrong += words[i] != word_at(i);
    munmap((void *)words, LENGTH);
    return (void *)wrong;
}

int main(void) {
    int is_private = MAP_PRIVATE, is_shared = MAP_SHARED;
    int writer = open("large", O_WRONLY | O_CREAT, 0644);
    static uint64_t block[1 << 17];
    for (long done = 0; done < WORDS; done += 1 << 17) {
        for (long i = 0; i < 1 << 17; i++)
            block[i] = word_at(done + i);
        if (write(writer, block, sizeof block) != sizeof block)
            return 1;
    }
    // Who has it open for writing may change it at any time.
    close(writer);
    file = open("large", O_RDONLY);
    pthread_t threads[3];
    void *wrong;
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, go_through, i == 1 ? &is_private : &is_shared);
        usleep(3000);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &wrong);
        show("wrong words", (long)wrong);
    }

    writer = open("large", O_WRONLY);
    // Written behind, at and ahead of where the reading is.
    const volatile uint64_t *words = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, file, 0);
    long stale = 0, other = 0;
    uint64_t new = 1;
    for (long i = 0; i < WORDS; i += 64 * 1024) {
        long places[3] = {i / 2, i, i + 63 * 1024};
        for (int p = 0; p < 3; p++, new++) {
            if (pwrite(writer, &new, 8, places[p] * 8) != 8)
                other++;
            stale += words[places[p]] != new;
        }
        for (long near = i + 1; near < i + 63 * 1024; near += 97)
            other += words[near] != word_at(near) && words[near] > new;
    }
    show("stale", stale);
    show("other", other);

    signal(SIGBUS, out_of_file);
    show("cut", ftruncate(writer, LENGTH / 2 - 4096));
    show("before the end", words[LENGTH / 16 - 513] != 0);
    int caught = sigsetjmp(beyond, 1);
    if (caught == 0)
        (void)words[LENGTH / 16];
    show("behind it", caught == SIGBUS);
    return 0;
}
