// The clocks go forward, agree with each other, and know today's date (seconds since 1970, given as an argument).
#include "story.h"
#include <sys/time.h>
#include <sys/times.h>

int main(int argc, char **argv) {
    int backwards = 0;
    struct timespec last = now(CLOCK_MONOTONIC), start = last;
    for (int i = 0; i < 100000; i++) {
        struct timespec time = now(CLOCK_MONOTONIC);
        backwards += seconds_between(last, time) < 0;
        last = time;
    }
    show("times the clock went backwards", backwards);
    check("but it went forwards", seconds_between(start, last) > 0);

    if (argc > 1) {
        long told = atol(argv[1]);
        check("it is today", labs(now(CLOCK_REALTIME).tv_sec - told) <= 60);
    }
    struct timeval of_day;
    show("gettimeofday", gettimeofday(&of_day, NULL));
    check("agrees with clock_gettime", labs(of_day.tv_sec - now(CLOCK_REALTIME).tv_sec) <= 2);
    check("agrees with time", labs(time(NULL) - of_day.tv_sec) <= 2);
    check("the system call agrees with the library", labs(syscall(SYS_time, NULL) - of_day.tv_sec) <= 2);
    struct timespec direct;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &direct);
    double apart = seconds_between(direct, now(CLOCK_MONOTONIC));
    check("for the monotonic clock too", apart >= 0 && apart < 2);

    clockid_t clocks[] = {CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_REALTIME_COARSE, CLOCK_BOOTTIME,
                          CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    const char *names[] = {"raw", "coarse", "coarse real time", "since boot", "of the process", "of the thread"};
    for (int i = 0; i < 6; i++) {
        struct timespec one, two, resolution;
        int result = clock_gettime(clocks[i], &one);
        volatile unsigned long spent = 0;
        for (int k = 0; k < 200000; k++)
            spent += (unsigned long)k;
        result |= clock_gettime(clocks[i], &two) | clock_getres(clocks[i], &resolution);
        show(names[i], result);
        check("does not go backwards", seconds_between(one, two) >= 0);
        check("has a resolution", resolution.tv_sec == 0 && resolution.tv_nsec > 0 && resolution.tv_nsec <= 10000000);
    }
    show("an unknown clock", clock_gettime(99, &direct));
    struct timespec before = now(CLOCK_PROCESS_CPUTIME_ID);
    start = now(CLOCK_MONOTONIC);
    volatile double x = 1;
    while (seconds_between(start, now(CLOCK_MONOTONIC)) < 0.05)
        for (int i = 0; i < 1000; i++)
            x = x * 1.0000001;
    check("working takes processor time", seconds_between(before, now(CLOCK_PROCESS_CPUTIME_ID)) > 0.0005);
    struct tms used;
    check("times", times(&used) != (clock_t)-1);
    check("clock", clock() != (clock_t)-1);

    setenv("TZ", "UTC0", 1);
    time_t moment = 951827696;
    struct tm broken;
    gmtime_r(&moment, &broken);
    char text[100];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a %j", &broken);
    puts(text);
    show("and back", mktime(&broken));
    printf("%s", ctime(&moment));
    return 0;
}
