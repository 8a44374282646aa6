// A disk, or a file as large as one, that its host has in memory.
//
//   disks read FILE             all of it, 1 MiB at a time
//   disks random FILE THREADS   4 KiB at random places, by that many threads at once
//
// With SEPTUM_DISK in the environment it is that disk instead of the file.
#include "measure.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MOST_THREADS = 64 };

static int descriptor;
static off_t length;
static atomic_int has_failed, is_over;

static void read_all(void)
{
    char *buffer = aligned_alloc(PAGE, MEBIBYTE);
    off_t done = 0;
    memset(buffer, 1, MEBIBYTE);
    int64_t start = now_ns();
    for (ssize_t got; (got = pread(descriptor, buffer, MEBIBYTE, done)) != 0; done += got)
        if (got < 0) {
            report_errno("disk_read_mib_per_s", "pread");
            return;
        }
    if (done != length)
        report_error("disk_read_mib_per_s", "it ended early");
    else
        report("disk_read_mib_per_s", (double)length / MEBIBYTE / ((double)(now_ns() - start) / 1e9));
}

static void *read_here_and_there(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument * 0x9e3779b97f4a7c15u + 1, count = 0;
    char *page = aligned_alloc(PAGE, PAGE);
    memset(page, 1, PAGE);
    for (; !atomic_load_explicit(&is_over, memory_order_relaxed); count++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        off_t place = (off_t)((state >> 33) % (uint64_t)(length / PAGE)) * PAGE;
        if (pread(descriptor, page, PAGE, place) != PAGE) {
            atomic_store(&has_failed, 1);
            break;
        }
    }
    free(page);
    return (void *)(uintptr_t)count;
}

static void read_randomly(long threads)
{
    static const struct timespec DURATION = { 0, 400 * 1000 * 1000 };
    pthread_t running[MOST_THREADS];
    uint64_t total = 0;
    int64_t start = now_ns();
    for (long i = 0; i < threads; i++)
        if (pthread_create(&running[i], NULL, read_here_and_there, (void *)(uintptr_t)(i + 1)) != 0) {
            report_error("random_4k_per_s", "pthread_create");
            exit(1);
        }
    nanosleep(&DURATION, NULL);
    atomic_store(&is_over, 1);
    for (long i = 0; i < threads; i++) {
        void *count;
        pthread_join(running[i], &count);
        total += (uint64_t)(uintptr_t)count;
    }
    if (atomic_load(&has_failed))
        report_error("random_4k_per_s", "pread");
    else
        report("random_4k_per_s", (double)total / ((double)(now_ns() - start) / 1e9));
}

int main(int count, char **words)
{
    const char *disk = getenv("SEPTUM_DISK");
    descriptor = count > 2 ? open(disk ? disk : words[2], O_RDONLY) : -1;
    if (descriptor < 0 || (length = lseek(descriptor, 0, SEEK_END)) < MEBIBYTE) {
        perror("usage: disks read|random FILE [THREADS]");
        return 2;
    }
    if (strcmp(words[1], "read") == 0) {
        read_all();
    } else if (strcmp(words[1], "random") == 0) {
        long threads = count > 3 ? atol(words[3]) : 32;
        read_randomly(threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads);
    } else {
        return 2;
    }
    return 0;
}
