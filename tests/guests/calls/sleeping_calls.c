// nanosleep, clock_nanosleep: how long, on which clock, and what is left when a signal comes.
#include "../story.h"
#include <signal.h>
#include <sys/time.h>

static void nothing(int signal) {
    (void)signal;
}

static int lasted(struct timespec start, double at_least) {
    double seconds = seconds_between(start, now(CLOCK_MONOTONIC));
    return seconds >= at_least && seconds < at_least + 2;
}

static long sleep_on(clockid_t clock, int flags, struct timespec time) {
    return syscall(SYS_clock_nanosleep, clock, flags, &time, NULL);
}

int main(void) {
    struct timespec start, rest, some = {0, 10000000};
    start = now(CLOCK_MONOTONIC);
    SHOW(nanosleep(&some, NULL));
    CHECK(lasted(start, 0.01));
    static const struct timespec bad[] = {{-1, 0}, {0, -1}, {0, 1000000000}, {0, INT64_MAX}, {INT64_MIN, 0}};
    for (int i = 0; i < 5; i++)
        SHOW(nanosleep(&bad[i], NULL));
    SHOW(nanosleep(&(struct timespec){0, 0}, NULL));
    SHOW(nanosleep(NOWHERE, NULL));
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
    for (int i = 0; i < 4; i++) {
        start = now(CLOCK_MONOTONIC);
        SHOW(sleep_on(clocks[i], 0, some));
        CHECK(lasted(start, 0.01));
        struct timespec at = now(clocks[i]);
        at.tv_nsec += 10000000;
        if (at.tv_nsec >= 1000000000)
            at.tv_sec++, at.tv_nsec -= 1000000000;
        start = now(CLOCK_MONOTONIC);
        SHOW(sleep_on(clocks[i], TIMER_ABSTIME, at));
        CHECK(lasted(start, 0.009));
        SHOW(sleep_on(clocks[i], TIMER_ABSTIME, (struct timespec){1, 0}));
    }
    SHOW(sleep_on(CLOCK_MONOTONIC_RAW, 0, some));
    SHOW(sleep_on(CLOCK_MONOTONIC_COARSE, 0, some));
    SHOW(sleep_on(CLOCK_THREAD_CPUTIME_ID, 0, some));
    SHOW(sleep_on(99, 0, some));
    SHOW(sleep_on(CLOCK_MONOTONIC, 0, bad[2]));
    SHOW(sleep_on(CLOCK_MONOTONIC, TIMER_ABSTIME, bad[0]));

    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    struct timespec longer = {10, 0};
    ualarm(20000, 0);
    SHOW(nanosleep(&longer, &rest));
    CHECK(rest.tv_sec == 9 && rest.tv_nsec > 0);
    ualarm(20000, 0);
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &longer, &rest));
    CHECK(rest.tv_sec == 9);
    struct timespec at = now(CLOCK_MONOTONIC);
    at.tv_sec += 10;
    rest.tv_sec = 77;
    ualarm(20000, 0);
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, &rest));
    SHOW(rest.tv_sec);
    ualarm(20000, 0);
    SHOW(nanosleep(&longer, NULL));
    ualarm(20000, 0);
    SHOW(nanosleep(&longer, NOWHERE));
    // A handler that lets calls go on does not let sleeping go on.
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    ualarm(20000, 0);
    SHOW(nanosleep(&longer, &rest));
    return 0;
}
