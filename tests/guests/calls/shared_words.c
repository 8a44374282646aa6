// Memory that processes share: atomic counting, futexes across fork, and a robust lock whose owner dies.
// flags: -pthread
#include "../story.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>

struct shared {
    pthread_mutex_t robust, plain;
    pthread_cond_t changed;
    pthread_barrier_t barrier;
    sem_t semaphore;
    uint32_t word;
    int count, locked, counted, turn;
};

static struct shared *s;

static void each(int count, void (*part)(int)) {
    fflush(stdout);
    for (int i = 0; i < count; i++)
        if (fork() == 0) {
            part(i);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
}

static void add(int who) {
    (void)who;
    pthread_barrier_wait(&s->barrier);
    for (int i = 0; i < 1000; i++)
        __atomic_add_fetch(&s->count, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&s->plain);
        s->locked++;
        pthread_mutex_unlock(&s->plain);
    }
    for (int i = 0; i < 50; i++) {
        sem_wait(&s->semaphore);
        s->counted++;
        sem_post(&s->semaphore);
    }
}

static void in_turn(int who) {
    for (int i = 0; i < 20; i++) {
        pthread_mutex_lock(&s->plain);
        while (s->turn % 4 != who)
            pthread_cond_wait(&s->changed, &s->plain);
        s->turn++;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->plain);
    }
}

static void die_with_lock(int who) {
    (void)who;
    pthread_mutex_lock(&s->robust);
    _exit(0);
}

static void wake(int who) {
    (void)who;
    __atomic_store_n(&s->word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &s->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int main(void) {
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->plain, &attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->robust, &attributes);
    pthread_condattr_t shared_condition;
    pthread_condattr_init(&shared_condition);
    pthread_condattr_setpshared(&shared_condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&s->changed, &shared_condition);
    pthread_barrierattr_t shared_barrier;
    pthread_barrierattr_init(&shared_barrier);
    pthread_barrierattr_setpshared(&shared_barrier, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&s->barrier, &shared_barrier, 4);
    sem_init(&s->semaphore, 1, 1);
    each(4, add);
    printf("%d %d %d\n", s->count, s->locked, s->counted);
    each(4, in_turn);
    SHOW(s->turn);
    each(1, die_with_lock);
    SHOW(pthread_mutex_lock(&s->robust) == EOWNERDEAD);
    SHOW(pthread_mutex_consistent(&s->robust));
    SHOW(pthread_mutex_unlock(&s->robust));
    SHOW(pthread_mutex_lock(&s->robust));
    pthread_mutex_unlock(&s->robust);
    each(1, die_with_lock);
    SHOW(pthread_mutex_trylock(&s->robust) == EOWNERDEAD);
    pthread_mutex_unlock(&s->robust);
    SHOW(pthread_mutex_lock(&s->robust) == ENOTRECOVERABLE);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        usleep(5000);
        wake(0);
        _exit(0);
    }
    while (__atomic_load_n(&s->word, __ATOMIC_SEQ_CST) == 0)
        syscall(SYS_futex, &s->word, FUTEX_WAIT, 0, NULL, NULL, 0);
    SHOW(s->word);
    waitpid(child, NULL, 0);
    return 0;
}
