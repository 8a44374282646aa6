// Threads that only compute, for as many milliseconds as the second argument says.
#include "story.h"
#include <pthread.h>

static long end_ns;

static long now_ns(void) {
    struct timespec time = now(CLOCK_MONOTONIC);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static void *compute(void *argument) {
    volatile long *sum = argument;
    while (now_ns() < end_ns)
        for (int i = 0; i < 1000; i++)
            *sum += i;
    return NULL;
}

int main(int count, char **words) {
    if (count != 3)
        return 2;
    int threads = atoi(words[1]);
    end_ns = now_ns() + atol(words[2]) * 1000000;
    static long sums[64];
    pthread_t others[64];
    for (int i = 1; i < threads && i < 64; i++)
        if (pthread_create(&others[i], NULL, compute, &sums[i]) != 0)
            return 3;
    compute(&sums[0]);
    for (int i = 1; i < threads && i < 64; i++)
        pthread_join(others[i], NULL);
    return 0;
}
