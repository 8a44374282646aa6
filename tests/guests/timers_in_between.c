// An alarm rings although the processor's timer was set for something else before, which has rung while the program waited for a file.
#include "story.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

enum { ROUNDS = 12 };

static volatile sig_atomic_t has_rung;

static void ring(int signal) {
    (void)signal;
    has_rung = 1;
}

static void *wake(void *fd) {
    usleep(3000);
    write(*(int *)fd, "x", 1);
    return NULL;
}

int main(void) {
    signal(SIGALRM, ring);
    int ends[2], rang = 0;
    pipe(ends);
    for (int round = 0; round < ROUNDS; round++) {
        char name[64], byte;
        pthread_t waker;
        struct pollfd entry = {.fd = ends[0], .events = POLLIN};
        has_rung = 0;
        // A wait with a deadline that ends before it.
        pthread_create(&waker, NULL, wake, &ends[1]);
        poll(&entry, 1, 40);
        read(ends[0], &byte, 1);
        pthread_join(waker, NULL);
        struct itimerval after = {.it_value.tv_usec = 150000};
        setitimer(ITIMER_REAL, &after, NULL);
        // Files that are not there, until that deadline is over.
        struct timespec start = now(CLOCK_MONOTONIC);
        for (int number = 0; seconds_between(start, now(CLOCK_MONOTONIC)) < 0.06; number++) {
            snprintf(name, sizeof name, "nothing-%d-%d", round, number);
            access(name, F_OK);
        }
        // Then nothing but computing.
        while (!has_rung && seconds_between(start, now(CLOCK_MONOTONIC)) < 5)
            ;
        rang += has_rung;
    }
    printf("rang %d of %d\n", rang, ROUNDS);
    return 0;
}
