// timerfd: once, again and again, at a time, never; and what is no time.
#include "../story.h"
#include <poll.h>
#include <sys/timerfd.h>

static long set(int fd, int flags, long value_s, long value_ns, long period_s, long period_ns) {
    struct itimerspec setting = {.it_value = {value_s, value_ns}, .it_interval = {period_s, period_ns}};
    return timerfd_settime(fd, flags, &setting, NULL);
}

int main(void) {
    uint64_t count;
    struct itimerspec setting;
    SHOW(timerfd_create(CLOCK_MONOTONIC, 0x10));
    SHOW(timerfd_create(99, 0));
    SHOW(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    WORKS(timerfd_create(CLOCK_REALTIME, 0));
    WORKS(timerfd_create(CLOCK_BOOTTIME, 0));
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    SHOW(fcntl(timer, F_GETFD));
    SHOW(read(timer, &count, 8));
    SHOW(timerfd_gettime(timer, &setting));
    SHOW(setting.it_value.tv_sec + setting.it_value.tv_nsec);
    SHOW(set(timer, 0, 0, 200000000, 0, 0));
    SHOW(timerfd_gettime(timer, &setting));
    CHECK(setting.it_value.tv_sec == 0 && setting.it_value.tv_nsec > 0 && setting.it_value.tv_nsec <= 200000000);
    struct pollfd one = {.fd = timer, .events = POLLIN | POLLOUT};
    SHOW(poll(&one, 1, 0));
    SHOW(poll(&one, 1, -1));
    SHOW(one.revents);
    SHOW(read(timer, &count, 8));
    SHOW(count);
    SHOW(read(timer, &count, 8));
    SHOW(timerfd_gettime(timer, &setting));
    SHOW(setting.it_value.tv_nsec);
    SHOW(set(timer, 0, 0, 1, 0, 2000000));
    usleep(21000);
    SHOW(read(timer, &count, 8));
    CHECK(count >= 9);
    SHOW(timerfd_gettime(timer, &setting));
    SHOW(setting.it_interval.tv_nsec);
    struct itimerspec off = {0}, old;
    SHOW(timerfd_settime(timer, 0, &off, &old));
    SHOW(old.it_interval.tv_nsec);
    usleep(5000);
    SHOW(read(timer, &count, 8));
    // A time that is over is now.
    SHOW(set(timer, TFD_TIMER_ABSTIME, 1, 0, 0, 0));
    SHOW(poll(&one, 1, 10000));
    SHOW(read(timer, &count, 8));
    struct timespec at = now(CLOCK_MONOTONIC);
    SHOW(set(timer, TFD_TIMER_ABSTIME, at.tv_sec + 1000, 0, 0, 0));
    SHOW(timerfd_gettime(timer, &setting));
    CHECK(setting.it_value.tv_sec > 990 && setting.it_value.tv_sec <= 1000);
    SHOW(set(timer, 0, -1, 0, 0, 0));
    SHOW(set(timer, 0, 0, 1000000000, 0, 0));
    SHOW(set(timer, 0, 0, -1, 0, 0));
    SHOW(set(timer, 0, 1, 0, 0, 1000000000));
    SHOW(set(timer, 0x10, 1, 0, 0, 0));
    SHOW(set(-1, 0, 1, 0, 0, 0));
    SHOW(set(0, 0, 1, 0, 0, 0));
    SHOW(timerfd_settime(timer, 0, NOWHERE, NULL));
    SHOW(timerfd_gettime(timer, NOWHERE));
    SHOW(timerfd_gettime(-1, &setting));
    SHOW(timerfd_gettime(0, &setting));
    SHOW(read(timer, &count, 7));
    SHOW(write(timer, &count, 8));
    return 0;
}
