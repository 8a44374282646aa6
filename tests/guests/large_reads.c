// Eight threads read a file of the host through one descriptor and through their own, in pieces from a word to more than a request holds, into
// memory that is not there at first; then the same while the file is cut and grows again. Every word that comes is the right one.
#include "story.h"
#include <pthread.h>
#include <stdatomic.h>

#define THREADS 8
#define LENGTH (3L << 20)
#define CUT (1L << 20)
#define MOST (3L << 19)

static int file;
static atomic_long wrong, short_reads, failed;
static atomic_int is_cut, is_over;

static uint64_t word_at(long index) {
    return (uint64_t)index * 0x9e3779b97f4a7c15;
}

static const long sizes[] = {8, 4096, 16384, 65536, 200 * 1024, 1 << 20, MOST};

// Reads all of the file, from a place of its own on.
static void *read_all(void *argument) {
    long who = (long)(intptr_t)argument;
    int own = who % 2 == 0 ? file : open("large", O_RDONLY);
    uint64_t *to = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 7; round++) {
        long size = sizes[(who + round) % 7];
        // Of the small sizes only a part.
        long steps = LENGTH / size < 8 ? LENGTH / size : 8;
        for (long step = 0; step < steps; step++) {
            long offset = (step * 7919 + who * 13) % (LENGTH / size) * size;
            ssize_t got = pread(own, to, (size_t)size, offset);
            if (got < 0)
                failed++;
            if (got < size)
                short_reads++;
            for (long i = 0; i < got / 8; i++)
                if (to[i] != word_at(offset / 8 + i) && !(to[i] == 0 && atomic_load(&is_cut)))
                    wrong++;
        }
    }
    munmap(to, MOST);
    if (own != file)
        close(own);
    return NULL;
}

// Cuts the file and writes again what it held.
static void *cut(void *argument) {
    uint64_t *words = argument;
    while (!atomic_load(&is_over)) {
        if (ftruncate(file, CUT) != 0)
            failed++;
        for (long done = CUT; done < LENGTH; done += 1 << 20)
            if (pwrite(file, (char *)words + done, 1 << 20, done) != 1 << 20)
                failed++;
    }
    return NULL;
}

static void round_of(const char *what) {
    pthread_t threads[THREADS];
    wrong = short_reads = failed = 0;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, read_all, (void *)(intptr_t)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%s: %ld wrong, %ld failed\n", what, wrong, failed);
}

int main(void) {
    file = open("large", O_RDWR | O_CREAT, 0644);
    uint64_t *words = malloc(LENGTH);
    for (long i = 0; i < LENGTH / 8; i++)
        words[i] = word_at(i);
    show("written", write(file, words, LENGTH));
    round_of("as it is");
    show("short", short_reads);
    pthread_t cutter;
    is_cut = 1;
    pthread_create(&cutter, NULL, cut, words);
    round_of("while it is cut");
    is_over = 1;
    pthread_join(cutter, NULL);
    return 0;
}
