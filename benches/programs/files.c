// File data that the program has not seen before, and that its host has in memory.
//
//   files small FILE    4 KiB at places far from each other: right after each other, and after a pause
//   files read FILE     all of it by read(), 1 MiB at a time, summed up
//   files map FILE      all of it by mmap(), summed up
#include "measure.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Long enough for a host that polls for requests to have gone to sleep.
static const struct timespec PAUSE = { 0, 2 * 1000 * 1000 };

static int descriptor;
static size_t length;

// Reads further than a kernel reads ahead, each place once. The median, so that one that found its page
// nevertheless does not count.
static void small(const char *name, size_t first, size_t step, int is_pausing)
{
    enum { TIMES = 101 };
    static char page[PAGE];
    int64_t times[TIMES];
    size_t count = 0;
    for (size_t offset = first; count < TIMES && offset + PAGE <= length; offset += step) {
        if (is_pausing)
            nanosleep(&PAUSE, NULL);
        int64_t start = now_ns();
        if (pread(descriptor, page, PAGE, (off_t)offset) != PAGE) {
            report_errno(name, "pread");
            return;
        }
        times[count++] = now_ns() - start;
    }
    report(name, median_of(times, count));
}

static uint64_t sum_words(const uint64_t *words, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += words[i];
    return sum;
}

// Printed on standard error, so that no compiler leaves the summing out.
static void report_speed(const char *name, int64_t start, uint64_t sum)
{
    double seconds = (double)(now_ns() - start) / 1e9;
    report(name, (double)length / MEBIBYTE / seconds);
    fprintf(stderr, "sum %llu\n", (unsigned long long)sum);
}

static void read_all(void)
{
    static uint64_t buffer[MEBIBYTE / 8];
    uint64_t sum = 0;
    size_t done = 0;
    int64_t start = now_ns();
    for (ssize_t got; (got = read(descriptor, buffer, sizeof(buffer))) != 0; done += (size_t)got) {
        if (got < 0) {
            report_errno("read_mib_per_s", "read");
            return;
        }
        sum += sum_words(buffer, (size_t)got / 8);
    }
    if (done != length)
        report_error("read_mib_per_s", "the file ended early");
    else
        report_speed("read_mib_per_s", start, sum);
}

static void map_all(void)
{
    int64_t start = now_ns();
    const uint64_t *words = mmap(NULL, length, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (words == MAP_FAILED)
        report_errno("map_mib_per_s", "mmap");
    else
        report_speed("map_mib_per_s", start, sum_words(words, length / 8));
}

int main(int count, char **words)
{
    struct stat status;
    descriptor = count > 2 ? open(words[2], O_RDONLY) : -1;
    if (descriptor < 0 || fstat(descriptor, &status) < 0) {
        perror("usage: files small|read|map FILE");
        return 2;
    }
    length = (size_t)status.st_size;
    if (strcmp(words[1], "small") == 0) {
        size_t step = length / 102 / PAGE * PAGE;
        small("read_4k_awake", 0, step, 0);
        small("read_4k_asleep", step / 2 / PAGE * PAGE, step, 1);
    } else if (strcmp(words[1], "read") == 0) {
        read_all();
    } else if (strcmp(words[1], "map") == 0) {
        map_all();
    } else {
        return 2;
    }
    return 0;
}
