// select, pselect6: sets that change in place, times that run down, and what cannot be waited for.
#include "../story.h"
#include <signal.h>
#include <sys/select.h>

static void nothing(int signal) {
    (void)signal;
}

int main(void) {
    int ends[2];
    pipe(ends);
    fd_set read_set, write_set, except_set;
    struct timeval none = {0, 0};
    FD_ZERO(&read_set);
    FD_ZERO(&write_set);
    FD_ZERO(&except_set);
    FD_SET(ends[0], &read_set);
    FD_SET(ends[1], &write_set);
    FD_SET(ends[0], &except_set);
    SHOW(select(ends[1] + 1, &read_set, &write_set, &except_set, &none));
    printf("%d %d %d\n", FD_ISSET(ends[0], &read_set), FD_ISSET(ends[1], &write_set) != 0, FD_ISSET(ends[0], &except_set));
    write(ends[1], "x", 1);
    FD_SET(ends[0], &read_set);
    SHOW(select(ends[1] + 1, &read_set, &write_set, NULL, NULL));
    // One beyond the count is not looked at.
    FD_SET(ends[0], &read_set);
    SHOW(select(ends[0], &read_set, NULL, NULL, &none));
    SHOW(select(0, NULL, NULL, NULL, &none));
    SHOW(select(-1, NULL, NULL, NULL, &none));
    FD_ZERO(&read_set);
    SHOW(syscall(SYS_select, 10, NOWHERE, NULL, NULL, &none));
    SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, NOWHERE));
    struct timeval bad = {0, -1}, negative = {-1, 0}, carried = {0, 1000001};
    SHOW(select(0, NULL, NULL, NULL, &bad));
    SHOW(select(0, NULL, NULL, NULL, &negative));
    carried.tv_usec = 20000;
    struct timespec start = now(CLOCK_MONOTONIC);
    SHOW(select(0, NULL, NULL, NULL, &carried));
    CHECK(seconds_between(start, now(CLOCK_MONOTONIC)) >= 0.019);
    SHOW(carried.tv_usec);
    struct timeval longer = {100, 0};
    FD_ZERO(&read_set);
    FD_SET(ends[0], &read_set);
    SHOW(select(ends[0] + 1, &read_set, NULL, NULL, &longer));
    CHECK(longer.tv_sec == 99 || longer.tv_sec == 100);
    SHOW(select(1024, &read_set, NULL, NULL, &none));
    char byte;
    read(ends[0], &byte, 1);

    signal(SIGUSR1, nothing);
    sigset_t set, open_set;
    sigemptyset(&open_set);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    struct timespec some = {0, 10000000}, odd = {0, 1000000000};
    FD_ZERO(&read_set);
    FD_SET(ends[0], &read_set);
    SHOW(pselect(ends[0] + 1, &read_set, NULL, NULL, &some, NULL));
    FD_SET(ends[0], &read_set);
    SHOW(pselect(ends[0] + 1, &read_set, NULL, NULL, NULL, &open_set));
    SHOW(FD_ISSET(ends[0], &read_set) != 0);
    SHOW(pselect(0, NULL, NULL, NULL, &odd, NULL));
    struct { const void *set; size_t size; } mask = {&open_set, 7};
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &some, &mask));
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &some, NOWHERE));
    mask.size = 8;
    mask.set = NOWHERE;
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &some, &mask));
    some.tv_nsec = 5000000;
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &some, NULL));
    SHOW(some.tv_nsec);
    return 0;
}
