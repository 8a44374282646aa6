// clock_gettime, clock_getres, gettimeofday, time, clock_settime: every clock, and those that are none.
#include "../story.h"
#include <sys/time.h>
#include <time.h>

static long get(clockid_t clock, void *time) {
    return syscall(SYS_clock_gettime, clock, time);
}

int main(void) {
    struct timespec time, after, resolution;
    for (clockid_t clock = 0; clock <= 12; clock++) {
        // Those that wake a machine are there if it has a clock that can.
        if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
            continue;
        long result = get(clock, &time);
        printf("clock %d: %s", clock, result == 0 ? "works" : strerrorname_np(errno));
        result = syscall(SYS_clock_getres, clock, &resolution);
        printf(", %s\n", result == 0 ? "works" : strerrorname_np(errno));
        if (result != 0)
            continue;
        get(clock, &after);
        if (after.tv_sec < time.tv_sec || (after.tv_sec == time.tv_sec && after.tv_nsec < time.tv_nsec) || time.tv_nsec >= 1000000000)
            puts("FAIL goes backwards");
        if (resolution.tv_sec != 0 || resolution.tv_nsec < 1 || resolution.tv_nsec > 10000000)
            puts("FAIL resolution");
    }
    SHOW(get(-1, &time));
    SHOW(get(99, &time));
    SHOW(get(CLOCK_REALTIME, NOWHERE));
    SHOW(get(CLOCK_THREAD_CPUTIME_ID, NOWHERE));
    SHOW(syscall(SYS_clock_getres, 99, &resolution));
    SHOW(syscall(SYS_clock_getres, CLOCK_REALTIME, NULL));
    SHOW(syscall(SYS_clock_getres, CLOCK_REALTIME, NOWHERE));
    clockid_t own;
    SHOW(clock_getcpuclockid(0, &own));
    SHOW(get(own, &time));
    SHOW(clock_getcpuclockid(getpid(), &own));
    SHOW(get(own, &time));
    SHOW(clock_getcpuclockid(0x3fffff, &own) == ESRCH);

    struct timeval micro;
    struct timezone zone;
    SHOW(syscall(SYS_gettimeofday, &micro, &zone));
    get(CLOCK_REALTIME, &time);
    CHECK(labs(time.tv_sec - micro.tv_sec) <= 1 && micro.tv_usec < 1000000);
    SHOW(syscall(SYS_gettimeofday, NULL, NULL));
    SHOW(syscall(SYS_gettimeofday, NOWHERE, NULL));
    SHOW(syscall(SYS_gettimeofday, NULL, NOWHERE));
    time_t seconds = 0;
    CHECK(labs(syscall(SYS_time, &seconds) - time.tv_sec) <= 1);
    CHECK(labs(seconds - time.tv_sec) <= 1);
    SHOW(syscall(SYS_time, NOWHERE));

    // Nobody but user 0 sets a clock, and no clock that only runs can be set at all.
    SHOW(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &time));
    SHOW(syscall(SYS_clock_settime, 99, &time));
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, NOWHERE));
    time.tv_nsec = 1000000000;
    long result = syscall(SYS_clock_settime, CLOCK_REALTIME, &time);
    check("no time", result == -1 && (errno == EINVAL || errno == EPERM));
    micro.tv_usec = 1000000;
    result = syscall(SYS_settimeofday, &micro, NULL);
    check("no time", result == -1 && (errno == EINVAL || errno == EPERM));
    return 0;
}
