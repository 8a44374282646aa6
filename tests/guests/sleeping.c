// Sleeping lasts as long as asked, or longer; until a moment; and wrong times are refused.
#include "story.h"

static void slept(const char *what, struct timespec start, double least) {
    double time = seconds_between(start, now(CLOCK_MONOTONIC));
    check(what, time >= least && time < least + 10);
}

int main(void) {
    struct timespec start = now(CLOCK_MONOTONIC);
    struct timespec time = {.tv_nsec = 30000000};
    show("nanosleep", nanosleep(&time, NULL));
    slept("30 milliseconds", start, 0.030);
    start = now(CLOCK_MONOTONIC);
    show("usleep", usleep(10000));
    slept("10 milliseconds", start, 0.010);
    start = now(CLOCK_MONOTONIC);
    for (int i = 0; i < 20; i++) {
        time.tv_nsec = 500000;
        nanosleep(&time, NULL);
    }
    slept("twenty times half a millisecond", start, 0.010);
    start = now(CLOCK_MONOTONIC);
    time = start;
    time.tv_nsec += 20000000;
    if (time.tv_nsec >= 1000000000)
        time.tv_sec++, time.tv_nsec -= 1000000000;
    show("until a moment", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL));
    slept("20 milliseconds later", start, 0.020);
    show("until a moment that has passed", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, NULL));
    time = now(CLOCK_REALTIME);
    time.tv_nsec = 0;
    time.tv_sec += 1;
    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, NULL);
    check("until the next full second", now(CLOCK_REALTIME).tv_sec >= time.tv_sec);
    start = now(CLOCK_MONOTONIC);
    time = (struct timespec){.tv_sec = 4, .tv_nsec = 400000000};
    show("longer than 32 bits count nanoseconds", nanosleep(&time, NULL));
    slept("4.4 seconds", start, 4.4);
    time = (struct timespec){.tv_nsec = 1000000000};
    show("a billion nanoseconds", nanosleep(&time, NULL));
    time = (struct timespec){.tv_sec = -1};
    show("a negative time", nanosleep(&time, NULL));
    time = (struct timespec){0};
    show("no time at all", nanosleep(&time, NULL));
    show("from a bad address", nanosleep((void *)16, NULL));
    return 0;
}
