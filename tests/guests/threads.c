// Threads: made, joined, locked, waiting for each other, signalled, named, and gone with the process.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#define MANY 32

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter, turn;
static __thread long own = 5;
static atomic_int signalled, running;

static void *count(void *argument) {
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
    }
    own += (long)argument;
    return (void *)own;
}

static void *take_turns(void *argument) {
    long side = (long)argument;
    for (int round = 0; round < 200; round++) {
        pthread_mutex_lock(&lock);
        while (turn % 2 != side)
            pthread_cond_wait(&changed, &lock);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *meet(void *argument) {
    (void)argument;
    long serial = 0;
    for (int round = 0; round < 20; round++)
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    return (void *)serial;
}

static void handler(int number) {
    (void)number;
    signalled++;
}

static void *sleep_until_signalled(void *argument) {
    (void)argument;
    running = 1;
    struct timespec moment = {.tv_nsec = 1000000};
    while (!signalled)
        nanosleep(&moment, NULL);
    char name[16] = "";
    prctl(PR_SET_NAME, "a thread's name");
    prctl(PR_GET_NAME, name);
    return strdup(name);
}

static void *leave(void *argument) { pthread_exit(argument); }

static void *work_for_ever(void *argument) {
    running++;
    while (running)
        (*(volatile long *)argument)++;
    return NULL;
}

static void *wait_for_ever(void *argument) {
    (void)argument;
    running++;
    pthread_mutex_lock(&lock);
    while (running)
        pthread_cond_wait(&changed, &lock);
    return NULL;
}

int main(void) {
    pthread_t threads[MANY];
    long sum = 0;
    for (long i = 0; i < MANY; i++)
        show("create", pthread_create(&threads[i], NULL, count, (void *)i));
    for (int i = 0; i < MANY; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("counted %ld, their own variables add up to %ld, mine is %ld\n", counter, sum, own);

    for (long i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, take_turns, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("turns %ld\n", turn);

    pthread_barrier_init(&barrier, NULL, 5);
    sum = 0;
    for (int i = 0; i < 5; i++)
        pthread_create(&threads[i], NULL, meet, NULL);
    for (int i = 0; i < 5; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("met %ld times\n", sum);

    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&threads[0], NULL, sleep_until_signalled, NULL);
    while (!running)
        sched_yield();
    show("signal", pthread_kill(threads[0], SIGUSR1));
    void *name;
    pthread_join(threads[0], &name);
    printf("%d signal, name '%s'\n", signalled, (char *)name);

    pthread_create(&threads[0], NULL, leave, (void *)77);
    void *result;
    pthread_join(threads[0], &result);
    show("left with", (long)result);

    struct timespec soon = now(CLOCK_REALTIME);
    soon.tv_nsec += 5000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_sec++;
        soon.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&lock);
    printf("nobody came: %s\n", strerror(pthread_cond_timedwait(&changed, &lock, &soon)));
    pthread_mutex_unlock(&lock);

    running = 0;
    static volatile long sink;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, work_for_ever, (void *)&sink);
    for (int i = 2; i < 6; i++)
        pthread_create(&threads[i], NULL, wait_for_ever, NULL);
    while (running != 6)
        sched_yield();
    puts("they end with the process");
    fflush(stdout);
    exit(9);
}
