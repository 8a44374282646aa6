// What one thread asks of its kernel: system calls, memory, signals, timers, pipes, names of files.
//
//   kernel getpid | fault | map | signal | timer | pipe
//   kernel touch MIB | touch-huge MIB | ticks MICROSECONDS | names FILE
#include "measure.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

// Touching all of it may take minutes where every page is a fault of 100 µs: then a part speaks for the whole.
static const int64_t TOUCH_LIMIT_NS = 1500 * 1000 * 1000LL;

static int call_getpid(void *unused)
{
    (void)unused;
    return (int)syscall(SYS_getpid);
}

static void touch(const char *name, size_t mebibytes, int advice)
{
    size_t length = mebibytes * MEBIBYTE, touched = 0;
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        report_errno(name, "mmap");
        return;
    }
    // Advice that a kernel does not know is no failure.
    if (advice >= 0)
        madvise(memory, length, advice);
    int64_t start = now_ns(), elapsed = 0;
    while (touched < length && elapsed < TOUCH_LIMIT_NS) {
        for (size_t end = touched + MEBIBYTE; touched < end; touched += PAGE)
            ((volatile char *)memory)[touched] = 1;
        elapsed = now_ns() - start;
    }
    report(name, (double)elapsed / (double)(touched / PAGE));
    char part[32];
    snprintf(part, sizeof(part), "%s_mib", name);
    report(part, (double)(touched / MEBIBYTE));
}

// Single faults: pages that are mappings of their own, so that nothing can be mapped ahead of its use.
static void fault(void)
{
    enum { PAGES = 256, STRIDE = 64 * 1024 };
    char *region = mmap(NULL, PAGES * STRIDE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) {
        report_errno("fault", "mmap");
        return;
    }
    for (int i = 0; i < PAGES; i++) {
        if (mprotect(region + i * STRIDE, PAGE, PROT_READ | PROT_WRITE) < 0) {
            report_errno("fault", "mprotect");
            return;
        }
    }
    int64_t start = now_ns();
    for (int i = 0; i < PAGES; i++)
        ((volatile char *)region)[i * STRIDE] = 1;
    report("fault", (double)(now_ns() - start) / PAGES);
}

enum { MAPPED = 16 * PAGE };

static int map_and_unmap(void *unused)
{
    (void)unused;
    void *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? -1 : munmap(memory, MAPPED);
}

static int map_touch_and_unmap(void *unused)
{
    (void)unused;
    char *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    for (int offset = 0; offset < MAPPED; offset += PAGE)
        ((volatile char *)memory)[offset] = 1;
    return munmap(memory, MAPPED);
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static int raise_signal(void *unused)
{
    (void)unused;
    return raise(SIGUSR1);
}

static void signal_delivery(void)
{
    struct sigaction action = { .sa_handler = count_signal };
    if (sigaction(SIGUSR1, &action, NULL) < 0)
        report_errno("signal", "sigaction");
    else
        measure("signal", raise_signal, NULL, 10);
}

static volatile int64_t rang_at;

static void ring(int number)
{
    (void)number;
    rang_at = now_ns();
}

// From the time that a timer was set for to the first instruction of the program's handler, while the program
// computes: the interrupt, the kernel's way, the signal frame.
static void timer_to_handler(void)
{
    enum { TIMES = 101 };
    int64_t late[TIMES];
    struct sigaction action = { .sa_handler = ring };
    if (sigaction(SIGALRM, &action, NULL) < 0) {
        report_errno("timer_running", "sigaction");
        return;
    }
    for (int i = 0; i < TIMES; i++) {
        struct itimerval timer = { .it_value = { .tv_usec = 500 + 7 * i } };
        rang_at = 0;
        int64_t deadline = now_ns() + timer.it_value.tv_usec * 1000;
        if (setitimer(ITIMER_REAL, &timer, NULL) < 0) {
            report_errno("timer_running", "setitimer");
            return;
        }
        while (rang_at == 0)
            if (now_ns() - deadline > 1000000000) {
                report_error("timer_running", "a timer did not ring within a second");
                return;
            }
        late[i] = rang_at - deadline;
    }
    report("timer_running", median_of(late, TIMES));
}

// The same while the program sleeps: from the deadline to its next instruction.
static void timer_to_sleeper(void)
{
    enum { TIMES = 101 };
    int64_t late[TIMES];
    for (int i = 0; i < TIMES; i++) {
        int64_t deadline = now_ns() + (500 + 7 * i) * 1000;
        struct timespec until = { deadline / 1000000000, deadline % 1000000000 };
        int error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        if (error != 0) {
            report_error("timer_asleep", strerror(error));
            return;
        }
        late[i] = now_ns() - deadline;
    }
    report("timer_asleep", median_of(late, TIMES));
}

// A periodic signal under load: how many of the expected ones reached the handler. Signals of one number merge
// when they come faster than they are handled, on Linux as well.
static void timer_ticks(long interval_us)
{
    enum { TICKS = 600 };
    struct sigaction action = { .sa_handler = count_signal };
    struct itimerval timer = { { .tv_usec = interval_us }, { .tv_usec = interval_us } };
    signals = 0;
    int64_t end = now_ns() + (TICKS * interval_us + interval_us / 2) * 1000LL;
    if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &timer, NULL) < 0) {
        report_errno("ticks_delivered_percent", "setitimer");
        return;
    }
    volatile double work = 1;
    while (now_ns() < end)
        work = work * 1.0000001 + 1e-9;
    struct itimerval none = { 0 };
    setitimer(ITIMER_REAL, &none, NULL);
    report("ticks_delivered_percent", 100.0 * (double)signals / TICKS);
}

// The same count by a timerfd, which remembers what nobody has read yet: none may be missing.
static void timer_count(long interval_us)
{
    enum { TICKS = 600 };
    int64_t interval = interval_us * 1000;
    struct itimerspec timer = { { .tv_nsec = interval }, { .tv_nsec = interval } };
    int descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int64_t before = now_ns();
    if (descriptor < 0 || timerfd_settime(descriptor, 0, &timer, NULL) < 0) {
        report_errno("timerfd_missed", "timerfd");
        return;
    }
    int64_t after = now_ns();
    uint64_t counted = 0, expirations;
    while (now_ns() < after + TICKS * interval)
        if (read(descriptor, &expirations, sizeof(expirations)) > 0)
            counted += expirations;
    // A tick at the very end may be in the count or not.
    int64_t least = (now_ns() - after) / interval;
    if (read(descriptor, &expirations, sizeof(expirations)) > 0)
        counted += expirations;
    int64_t most = (now_ns() - before) / interval;
    int64_t missed = (int64_t)counted < least ? least - (int64_t)counted : 0;
    if ((int64_t)counted > most)
        report_error("timerfd_missed", "rang too often");
    else
        report("timerfd_missed", (double)missed);
    close(descriptor);
}

struct pipe_job {
    int ends[2];
    size_t length;
    char *buffer;
};

static int through_pipe(void *argument)
{
    struct pipe_job *job = argument;
    if (write(job->ends[1], job->buffer, job->length) != (ssize_t)job->length)
        return -1;
    return read(job->ends[0], job->buffer, job->length) == (ssize_t)job->length ? 0 : -1;
}

static void pipes(void)
{
    static char buffer[64 * 1024];
    struct pipe_job job = { .length = 1, .buffer = buffer };
    if (pipe(job.ends) < 0) {
        report_errno("pipe_byte", "pipe");
        return;
    }
    measure("pipe_byte", through_pipe, &job, 10);
    job.length = sizeof(buffer);
    double ns = repeat(through_pipe, &job, 1);
    if (ns < 0)
        report_errno("pipe_mib_per_s", "a call failed");
    else
        report("pipe_mib_per_s", (double)sizeof(buffer) / MEBIBYTE / (ns / 1e9));
}

static int look_at(void *name)
{
    struct stat status;
    return stat(name, &status);
}

static int open_and_close(void *name)
{
    int descriptor = open(name, O_RDONLY);
    return descriptor < 0 ? -1 : close(descriptor);
}

int main(int count, char **words)
{
    const char *command = count > 1 ? words[1] : "";
    long number = count > 2 ? strtol(words[2], NULL, 10) : 0;
    if (strcmp(command, "getpid") == 0) {
        measure("getpid", call_getpid, NULL, 50);
    } else if (strcmp(command, "touch") == 0 && number > 0) {
        touch("touch", (size_t)number, -1);
    } else if (strcmp(command, "touch-huge") == 0 && number > 0) {
        touch("touch_huge", (size_t)number, MADV_HUGEPAGE);
    } else if (strcmp(command, "fault") == 0) {
        fault();
    } else if (strcmp(command, "map") == 0) {
        measure("map", map_and_unmap, NULL, 10);
        measure("map_touched", map_touch_and_unmap, NULL, 1);
    } else if (strcmp(command, "signal") == 0) {
        signal_delivery();
    } else if (strcmp(command, "timer") == 0) {
        timer_to_handler();
        timer_to_sleeper();
    } else if (strcmp(command, "ticks") == 0 && number > 0 && number < 1000000) {
        timer_ticks(number);
        timer_count(number);
    } else if (strcmp(command, "pipe") == 0) {
        pipes();
    } else if (strcmp(command, "names") == 0 && count > 2) {
        measure("stat", look_at, words[2], 10);
        measure("open_close", open_and_close, words[2], 10);
    } else {
        fprintf(stderr, "usage: kernel SUBCOMMAND; see the source\n");
        return 2;
    }
    return 0;
}
