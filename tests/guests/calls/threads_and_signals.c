// Signals and threads: masks of each thread, signals for one, signals for any, and waiting for them.
// flags: -pthread
#include "../story.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

static sem_t ready, done;
static volatile pthread_t handled_by;
static volatile int count;

static void on_signal(int signal) {
    (void)signal;
    handled_by = pthread_self();
    count++;
    sem_post(&done);
}

static void *waits(void *argument) {
    sem_post(&ready);
    sem_wait((sem_t *)argument);
    return NULL;
}

static void *blocks(void *argument) {
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sem_post(&ready);
    sem_wait((sem_t *)argument);
    sigpending(&pending);
    return (void *)(long)sigismember(&pending, SIGUSR1);
}

static void *awaits(void *argument) {
    sigset_t set;
    int signal = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sem_post(&ready);
    (void)argument;
    sigwait(&set, &signal);
    return (void *)(long)(signal == SIGUSR2);
}

int main(void) {
    sem_t stop;
    pthread_t one, two;
    sem_init(&ready, 0, 0);
    sem_init(&done, 0, 0);
    sem_init(&stop, 0, 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&one, NULL, waits, &stop);
    sem_wait(&ready);
    SHOW(pthread_kill(one, 0));
    SHOW(pthread_kill(one, 65) == EINVAL);
    SHOW(pthread_kill(one, SIGUSR1));
    sem_wait(&done);
    CHECK(pthread_equal(handled_by, one));
    // The main thread blocks it: another one takes what is for the process.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    SHOW(kill(getpid(), SIGUSR1));
    sem_wait(&done);
    CHECK(pthread_equal(handled_by, one));
    SHOW(count);
    sem_post(&stop);
    pthread_join(one, NULL);
    // All block it: it waits for whoever opens first.
    void *result;
    pthread_create(&two, NULL, blocks, &stop);
    sem_wait(&ready);
    kill(getpid(), SIGUSR1);
    sem_post(&stop);
    pthread_join(two, &result);
    SHOW((long)result);
    SHOW(count);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    SHOW(count);
    CHECK(pthread_equal(handled_by, pthread_self()));
    // One for a thread that blocks it is for nobody else.
    pthread_create(&two, NULL, blocks, &stop);
    sem_wait(&ready);
    pthread_kill(two, SIGUSR1);
    SHOW(count);
    sem_post(&stop);
    pthread_join(two, &result);
    SHOW((long)result);
    SHOW(count);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&one, NULL, awaits, NULL);
    sem_wait(&ready);
    SHOW(kill(getpid(), SIGUSR2));
    pthread_join(one, &result);
    SHOW((long)result);
    return 0;
}
