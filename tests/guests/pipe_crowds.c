// Many writers and many readers of one pipe: every record arrives once and whole, whoever waits for whom. Then a stream from process to
// process in odd pieces, and a writer that waits while its reader takes bytes one by one.
#include "story.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define WRITERS 4
#define READERS 3
#define RECORDS 800
#define WORDS 64

static int ends[2];
static atomic_long received[WRITERS], sums[WRITERS], broken;

// Records of 512 bytes, one, three or eight at a time: a write of at most PIPE_BUF goes in as a whole.
static void *write_records(void *argument) {
    static const int sizes[] = {1, 3, 8};
    uint64_t who = (uint64_t)(uintptr_t)argument;
    uint64_t records[8][WORDS];
    for (uint64_t next = 0; next < RECORDS;) {
        uint64_t count = (uint64_t)sizes[(next + who) % 3];
        if (count > RECORDS - next)
            count = RECORDS - next;
        for (uint64_t record = 0; record < count; record++)
            for (uint64_t word = 0; word < WORDS; word++)
                records[record][word] = who << 48 | (next + record) << 16 | word;
        if (write(ends[1], records, count * sizeof records[0]) != (ssize_t)(count * sizeof records[0]))
            broken++;
        next += count;
    }
    return NULL;
}

// One record at a time, some, or all there is.
static void *read_records(void *argument) {
    static const size_t sizes[READERS] = {1, 8, 128};
    static _Thread_local uint64_t records[128][WORDS];
    size_t most = sizes[(uintptr_t)argument] * sizeof records[0];
    for (ssize_t got; (got = read(ends[0], records, most)) != 0;) {
        if (got < 0 || got % (ssize_t)sizeof records[0] != 0) {
            broken++;
            break;
        }
        for (size_t record = 0; record < (size_t)got / sizeof records[0]; record++) {
            uint64_t first = records[record][0], who = first >> 48;
            for (uint64_t word = 0; word < WORDS; word++)
                if (records[record][word] != first + word)
                    broken++;
            if (who < WRITERS) {
                received[who]++;
                sums[who] += (long)(first >> 16 & 0xffffffff);
            }
        }
    }
    return NULL;
}

static void crowd(void) {
    pthread_t writers[WRITERS], readers[READERS];
    show("pipe", pipe(ends));
    for (uintptr_t i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, read_records, (void *)i);
    for (uintptr_t i = 0; i < WRITERS; i++)
        pthread_create(&writers[i], NULL, write_records, (void *)i);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    close(ends[1]);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    close(ends[0]);
    show("broken", broken);
    for (int i = 0; i < WRITERS; i++)
        printf("from %d: %ld records, sum %ld\n", i, received[i], sums[i]);
}

// The next length of a piece: anything from a byte to more than the pipe holds.
static size_t piece(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % 4 == 0 ? 1 + (*state >> 16) % 90000 : 1 + (*state >> 16) % 600;
}

static void stream(void) {
    enum { LENGTH = 600011 };
    static unsigned char bytes[90001];
    show("pipe", pipe(ends));
    pid_t child = fork();
    uint32_t state = child == 0 ? 1 : 7;
    if (child == 0) {
        for (long done = 0; done < LENGTH;) {
            size_t count = piece(&state);
            if ((long)count > LENGTH - done)
                count = (size_t)(LENGTH - done);
            for (size_t i = 0; i < count; i++)
                bytes[i] = (unsigned char)((done + (long)i) % 253);
            if (write(ends[1], bytes, count) != (ssize_t)count)
                _exit(1);
            done += (long)count;
        }
        _exit(0);
    }
    close(ends[1]);
    long done = 0, wrong = 0;
    for (ssize_t got; (got = read(ends[0], bytes, piece(&state))) > 0; done += got)
        for (ssize_t i = 0; i < got; i++)
            wrong += bytes[i] != (done + i) % 253;
    int status;
    waitpid(child, &status, 0);
    close(ends[0]);
    printf("stream of %ld, %ld wrong, status %d\n", done, wrong, status);
}

static void *write_much(void *argument) {
    static char bytes[72000];
    *(ssize_t *)argument = write(ends[1], bytes, sizeof bytes);
    return NULL;
}

// What is written beyond the pipe's size goes on as it is read, and is told when all is in.
static void by_and_by(void) {
    pthread_t writer;
    ssize_t written = 0;
    long total = 0;
    char bytes[4096];
    show("pipe", pipe(ends));
    pthread_create(&writer, NULL, write_much, &written);
    for (; total < 8192; total++)
        if (read(ends[0], bytes, 1) != 1)
            break;
    show("one by one", total);
    pthread_join(writer, NULL);
    show("written", written);
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], bytes, sizeof bytes)) > 0;)
        total += got;
    show("in all", total);
    close(ends[0]);
}

int main(void) {
    crowd();
    stream();
    by_and_by();
    return 0;
}
