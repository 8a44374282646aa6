// What the measuring programs share: a clock, a way to repeat, and the lines they print.
//
//   NAME VALUE            one result; times are nanoseconds, other units stand in the name
//   NAME error: REASON    this one could not be measured here, the others can
//
// A program runs one subcommand, natively or in a partition, and says nothing else on standard output.
#ifndef MEASURE_H
#define MEASURE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4096, MEBIBYTE = 1 << 20 };

// How long one result is measured for, and how long it warms up before.
static const int64_t BUDGET_NS = 150 * 1000 * 1000;
static const int64_t WARM_UP_NS = 15 * 1000 * 1000;

static inline int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

// Each line goes out at once: what follows it may not end.
static inline void report(const char *name, double value)
{
    printf("%s %.3f\n", name, value);
    fflush(stdout);
}

static inline void report_error(const char *name, const char *reason)
{
    printf("%s error: %s\n", name, reason);
    fflush(stdout);
}

static inline void report_errno(const char *name, const char *step)
{
    printf("%s error: %s: %s\n", name, step, strerror(errno));
    fflush(stdout);
}

// Calls an operation until the budget is used up, in batches so that the clock does not count; nanoseconds a
// call, or a negative number if a call failed.
static inline double repeat(int (*operation)(void *), void *argument, int batch)
{
    int64_t start = now_ns(), warm = start + WARM_UP_NS, now = start, count = 0;
    int is_warm = 0;
    for (;;) {
        for (int i = 0; i < batch; i++)
            if (operation(argument) < 0)
                return -1;
        count += batch;
        now = now_ns();
        if (!is_warm && now >= warm) {
            is_warm = 1;
            count = 0;
            start = now;
        } else if (is_warm && now - start >= BUDGET_NS) {
            return (double)(now - start) / (double)count;
        }
    }
}

// Repeats an operation and prints what it takes.
static inline void measure(const char *name, int (*operation)(void *), void *argument, int batch)
{
    double ns = repeat(operation, argument, batch);
    if (ns < 0)
        report_errno(name, "a call failed");
    else
        report(name, ns);
}

static inline int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

// The median of a series, which it sorts.
static inline double median_of(int64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare_times);
    return count == 0 ? 0 : (double)(times[(count - 1) / 2] + times[count / 2]) / 2;
}

#endif
