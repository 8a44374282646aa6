// What C libraries build on futexes: locks of every kind, conditions with times, barriers, cancelling.
// flags: -pthread
#include "../story.h"
#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int sum, onces, cleaned;

static void only_once(void) {
    onces++;
}

static void clean(void *value) {
    __atomic_add_fetch(&cleaned, (int)(long)value, __ATOMIC_SEQ_CST);
}

static void *work(void *argument) {
    pthread_barrier_wait(&barrier);
    pthread_once(&once, only_once);
    pthread_setspecific(key, argument);
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&plain);
        sum++;
        pthread_mutex_unlock(&plain);
        pthread_spin_lock(&spin);
        sum++;
        pthread_spin_unlock(&spin);
        pthread_rwlock_wrlock(&rw);
        sum++;
        pthread_rwlock_unlock(&rw);
        pthread_rwlock_rdlock(&rw);
        pthread_rwlock_unlock(&rw);
    }
    return argument;
}

static void *sleeps(void *argument) {
    pthread_cleanup_push(clean, (void *)100L);
    sem_post(argument);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

static struct timespec soon(clockid_t clock) {
    struct timespec at = now(clock);
    at.tv_nsec += 5000000;
    if (at.tv_nsec >= 1000000000)
        at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}

int main(void) {
    pthread_t threads[4];
    void *result;
    pthread_spin_init(&spin, 0);
    pthread_barrier_init(&barrier, NULL, 4);
    pthread_key_create(&key, clean);
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    long total = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &result);
        total += (long)result;
    }
    // Some of the adding was under different locks: only that nothing hangs is sure, and what each lock protects alone.
    CHECK(sum > 2000 && sum <= 6000);
    printf("%ld %d %d\n", total, onces, cleaned);

    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_t checked, again, inheriting;
    pthread_mutex_init(&checked, &attributes);
    SHOW(pthread_mutex_lock(&checked));
    SHOW(pthread_mutex_lock(&checked) == EDEADLK);
    SHOW(pthread_mutex_unlock(&checked));
    SHOW(pthread_mutex_unlock(&checked) == EPERM);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&again, &attributes);
    SHOW(pthread_mutex_lock(&again) + pthread_mutex_lock(&again) + pthread_mutex_unlock(&again) + pthread_mutex_unlock(&again));
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&inheriting, &attributes);
    SHOW(pthread_mutex_lock(&inheriting) + pthread_mutex_unlock(&inheriting));
    pthread_mutex_lock(&plain);
    SHOW(pthread_mutex_trylock(&plain) == EBUSY);
    struct timespec at = soon(CLOCK_REALTIME);
    SHOW(pthread_mutex_timedlock(&plain, &at) == ETIMEDOUT);
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER, monotonic;
    at = soon(CLOCK_REALTIME);
    SHOW(pthread_cond_timedwait(&condition, &plain, &at) == ETIMEDOUT);
    pthread_condattr_t by_monotonic;
    pthread_condattr_init(&by_monotonic);
    pthread_condattr_setclock(&by_monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&monotonic, &by_monotonic);
    at = soon(CLOCK_MONOTONIC);
    SHOW(pthread_cond_timedwait(&monotonic, &plain, &at) == ETIMEDOUT);
    pthread_rwlock_rdlock(&rw);
    SHOW(pthread_rwlock_trywrlock(&rw) == EBUSY);
    SHOW(pthread_rwlock_tryrdlock(&rw));
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    SHOW(sem_trywait(&semaphore));
    at = soon(CLOCK_REALTIME);
    SHOW(sem_timedwait(&semaphore, &at));
    pthread_create(&threads[0], NULL, sleeps, &semaphore);
    sem_wait(&semaphore);
    SHOW(pthread_cancel(threads[0]));
    pthread_join(threads[0], &result);
    SHOW(result == PTHREAD_CANCELED);
    SHOW(cleaned);
    pthread_create(&threads[0], NULL, work, NULL);
    SHOW(pthread_detach(threads[0]));
    return 0;
}
