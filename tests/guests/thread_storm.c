// Many threads that lock, wait, map, protect, unmap, make threads and signal each other at random, for as many milliseconds as the
// argument says. Nobody's memory may change under it, no wake-up may get lost (a watchdog tells), all must end.
#include "story.h"
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>

#define MANY 64
#define PAGES 16
#define PAGE 4096

static atomic_int is_over, ended, faults, mistakes, signals_taken, first_mistake;
static atomic_ulong rounds[MANY];
static atomic_int doing[MANY];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t inheriting;
static atomic_int changes;
static pthread_t threads[MANY];
static long tickets, inherited_tickets, waiting;
static _Alignas(64) atomic_int words[MANY];
static __thread sigjmp_buf escape;
static __thread volatile sig_atomic_t may_fault;

static void mistake(int line) {
    int none = 0;
    atomic_compare_exchange_strong(&first_mistake, &none, line);
    mistakes++;
}
#define expect(condition) do { if (!(condition)) mistake(__LINE__); } while (0)

static void on_fault(int number) {
    (void)number;
    if (!may_fault)
        abort();
    faults++;
    siglongjmp(escape, 1);
}

static void on_signal(int number) { signals_taken += number == SIGUSR1; }

static unsigned next(unsigned *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

// Own memory, filled, half of it taken away or protected, the rest looked at.
static void memory(int own, unsigned *seed) {
    unsigned long stamp = ((unsigned long)own << 32) | next(seed);
    unsigned long *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        expect(0);
        return;
    }
    for (int page = 0; page < PAGES; page++) {
        expect(area[page * PAGE / 8] == 0);
        area[page * PAGE / 8] = stamp + (unsigned long)page;
    }
    int gone = (int)(next(seed) % PAGES);
    unsigned how = next(seed) % 3;
    if (how == 0)
        expect(munmap((char *)area + gone * PAGE, PAGE) == 0);
    else if (how == 1)
        expect(mprotect((char *)area + gone * PAGE, PAGE, PROT_READ) == 0);
    else
        expect(madvise((char *)area + gone * PAGE, PAGE, MADV_DONTNEED) == 0);
    may_fault = 1;
    if (how == 1 && sigsetjmp(escape, 1) == 0) {
        ((volatile unsigned long *)area)[gone * PAGE / 8] = 1;
        expect(0);
    }
    may_fault = 0;
    for (int page = 0; page < PAGES; page++)
        if (page != gone)
            expect(area[page * PAGE / 8] == stamp + (unsigned long)page);
        else if (how == 1)
            expect(area[page * PAGE / 8] == stamp + (unsigned long)page);
        else if (how == 2)
            expect(area[page * PAGE / 8] == 0);
    // Somebody else may be where the page was.
    if (how != 0)
        expect(munmap(area, PAGES * PAGE) == 0);
    else
        expect(munmap(area, (size_t)gone * PAGE) == (gone == 0 ? -1 : 0) &&
               munmap((char *)area + (gone + 1) * PAGE, (size_t)(PAGES - gone - 1) * PAGE) == (gone == PAGES - 1 ? -1 : 0));
}

// A word of one's own is woken by whoever comes by; the time limit is far longer than any of them needs.
static void nap(int own, unsigned *seed) {
    struct timespec limit = {.tv_nsec = 2000000};
    int seen = words[own];
    if (next(seed) % 2)
        syscall(SYS_futex, &words[own], FUTEX_WAIT_PRIVATE, seen, &limit, NULL, 0);
    int other = (int)(next(seed) % MANY);
    words[other]++;
    syscall(SYS_futex, &words[other], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void locked(unsigned *seed) {
    pthread_mutex_lock(&lock);
    long before = tickets;
    if (next(seed) % 4 == 0)
        sched_yield();
    tickets = before + 1;
    if (next(seed) % 8 == 0 && waiting < MANY / 2 && !is_over) {
        // Two are enough to wake each other; the last one never waits.
        waiting++;
        int seen = changes;
        pthread_mutex_unlock(&lock);
        // A wake-up that gets lost is waited for until the end: nobody has a time limit here.
        syscall(SYS_futex, &changes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        pthread_mutex_lock(&lock);
        waiting--;
    } else {
        changes++;
        syscall(SYS_futex, &changes, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&inheriting);
    inherited_tickets++;
    pthread_mutex_unlock(&inheriting);
}

static void *child(void *argument) {
    atomic_fetch_add((atomic_int *)argument, 1);
    return argument;
}

static void family(int own) {
    atomic_int count = 0;
    doing[own] = 8;
    pthread_t thread;
    void *result = NULL;
    int error = pthread_create(&thread, NULL, child, &count);
    if (error == EAGAIN)
        return;
    doing[own] = 9;
    expect(error == 0 && pthread_join(thread, &result) == 0);
    expect(count == 1 && result == &count);
}

static void *work(void *argument) {
    int own = (int)(long)argument;
    unsigned seed = 12345u + (unsigned)own * 7919u;
    while (!is_over) {
        switch (doing[own] = (int)(next(&seed) % 8)) {
        case 0: case 1: case 2: memory(own, &seed); break;
        case 3: case 4: nap(own, &seed); break;
        case 5: case 6: locked(&seed); break;
        default:
            if (next(&seed) % 4 == 0)
                family(own);
            else
                pthread_kill(threads[next(&seed) % MANY], SIGUSR1);
        }
        rounds[own]++;
    }
    ended++;
    return NULL;
}

int main(int count, char **words_of_call) {
    long left_ms = count > 1 ? atol(words_of_call[1]) : 1000;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    action = (struct sigaction){.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&inheriting, &attributes);
    // Nobody signals a thread that is not there yet.
    for (int i = 0; i < MANY; i++)
        threads[i] = pthread_self();
    for (long i = 0; i < MANY; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
            return 3;
    unsigned long before[MANY];
    int stuck = 0;
    while (left_ms > 0) {
        for (int i = 0; i < MANY; i++)
            before[i] = rounds[i];
        // Slow machines need long to come round to each of 64 threads.
        long pause = left_ms < 10000 ? left_ms : 10000;
        struct timespec moment = {.tv_sec = pause / 1000, .tv_nsec = pause % 1000 * 1000000};
        while (nanosleep(&moment, &moment) != 0)
            ;
        left_ms -= pause;
        for (int i = 0; pause == 10000 && i < MANY; i++)
            if (before[i] == rounds[i]) {
                stuck++;
                fprintf(stderr, "thread %d stands still in %d after %lu rounds\n", i, (int)doing[i], before[i]);
            }
    }
    is_over = 1;
    // Those that wait for a change, until the last has seen that it is over.
    while (ended != MANY) {
        changes++;
        syscall(SYS_futex, &changes, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
    }
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    unsigned long sum = 0;
    for (int i = 0; i < MANY; i++)
        sum += rounds[i];
    check("somebody came round", sum > 0);
    check("nobody stood still", stuck == 0);
    check("the locks counted", (unsigned long)tickets == (unsigned long)inherited_tickets);
    check("memory stayed", mistakes == 0);
    check("faults were taken", sum < 10000 || faults > 0);
    if (mistakes != 0)
        printf("line %d first\n", (int)first_mistake);
    if (getenv("STORM_COUNTS") != NULL)
        printf("%lu rounds, %d faults, %d signals\n", sum, (int)faults, (int)signals_taken);
    return mistakes != 0 || stuck != 0;
}
