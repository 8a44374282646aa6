// What a thread takes over from the one that made it, what it is called, and locks that name their owner (PTHREAD_PRIO_INHERIT, robust).
#include "story.h"
#include <fenv.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <xmmintrin.h>

static atomic_int step;
static pthread_mutex_t mutex;
static _Alignas(64) atomic_uint word;

static long futex(int operation, unsigned value, const struct timespec *timeout) {
    return syscall(SYS_futex, &word, operation, value, timeout, NULL, 0);
}

static pid_t own_number(void) { return (pid_t)syscall(SYS_gettid); }

static void await(int wanted) {
    while (step != wanted)
        sched_yield();
}

static void *modes(void *argument) {
    unsigned short control;
    __asm__ volatile("fnstcw %0" : "=m"(control));
    unsigned *seen = argument;
    seen[0] = _mm_getcsr() & 0xffc0;
    seen[1] = control;
    // The next thread must not find these.
    _mm_setcsr(0x1f80 | 0x6000);
    return NULL;
}

static void inherited(void) {
    unsigned seen[2];
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        unsigned rounding = i == 1 ? _MM_ROUND_UP : _MM_ROUND_NEAREST;
        _mm_setcsr((_mm_getcsr() & ~0x6000u) | rounding);
        unsigned short control = i == 1 ? 0x27f : 0x37f;
        __asm__ volatile("fldcw %0" : : "m"(control));
        pthread_create(&thread, NULL, modes, seen);
        pthread_join(thread, NULL);
        printf("MXCSR %#x, control word %#x\n", seen[0], seen[1]);
    }
}

static void read_file(const char *format, int number, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof(path), format, number);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, size - 1, file) : 0;
    text[length] = 0;
    if (file)
        fclose(file);
}

static atomic_int number_of_other;

static void *named(void *argument) {
    (void)argument;
    prctl(PR_SET_NAME, "second");
    number_of_other = own_number();
    step = 1;
    await(2);
    char name[16];
    prctl(PR_GET_NAME, name);
    printf("it is called '%s' now\n", name);
    return NULL;
}

static void names(void) {
    char text[4096];
    pthread_t thread;
    step = 0;
    pthread_create(&thread, NULL, named, NULL);
    await(1);
    read_file("/proc/self/task/%d/comm", number_of_other, text, sizeof(text));
    printf("comm: %s", text);
    read_file("/proc/self/task/%d/comm", getpid(), text, sizeof(text));
    printf("comm of the first: %s", text);
    read_file("/proc/self/task/%d/status", number_of_other, text, sizeof(text));
    printf("status begins with: %.12s\n", text);
    char pid[32];
    snprintf(pid, sizeof(pid), "\nPid:\t%d\n", number_of_other);
    check("its number", strstr(text, pid) != NULL);
    snprintf(pid, sizeof(pid), "\nTgid:\t%d\n", getpid());
    check("its process", strstr(text, pid) != NULL);
    read_file("/proc/self/task/%d/stat", number_of_other, text, sizeof(text));
    snprintf(pid, sizeof(pid), "%d (second)", number_of_other);
    check("stat", strncmp(text, pid, strlen(pid)) == 0);
    show("renamed from outside", pthread_setname_np(thread, "another"));
    step = 2;
    pthread_join(thread, NULL);
}

static void robust_list(void) {
    struct robust_list_head *head = NULL;
    size_t size = 0;
    show("get_robust_list", syscall(SYS_get_robust_list, 0, &head, &size));
    check("a list of the usual size", head != NULL && size == sizeof(*head));
    show("of nobody", syscall(SYS_get_robust_list, 999999, &head, &size));
}

static void *count(void *argument) {
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        (*(long *)argument)++;
        if (i % 50 == 0)
            sched_yield();
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *die_with_it(void *argument) {
    (void)argument;
    pthread_mutex_lock(&mutex);
    step = 1;
    await(2);
    struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&moment, NULL);
    return NULL;
}

static void *wait_for_it(void *argument) {
    (void)argument;
    int error = pthread_mutex_lock(&mutex);
    printf("the waiter: %s\n", error == EOWNERDEAD ? "its owner died" : strerror(error));
    if (error == EOWNERDEAD)
        pthread_mutex_consistent(&mutex);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void make(int robust, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    show("inheriting", pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
    pthread_mutexattr_setrobust(&attributes, robust);
    pthread_mutexattr_settype(&attributes, type);
    show("init", pthread_mutex_init(&mutex, &attributes));
}

static void mutexes(void) {
    pthread_t threads[8];
    long counter = 0;
    make(PTHREAD_MUTEX_STALLED, PTHREAD_MUTEX_NORMAL);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, count, &counter);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    printf("counted %ld\n", counter);
    pthread_mutex_destroy(&mutex);

    make(PTHREAD_MUTEX_ROBUST, PTHREAD_MUTEX_ERRORCHECK);
    step = 0;
    pthread_create(&threads[0], NULL, die_with_it, NULL);
    await(1);
    show("busy", pthread_mutex_trylock(&mutex));
    struct timespec soon = now(CLOCK_REALTIME);
    soon.tv_nsec = (soon.tv_nsec + 3000000) % 1000000000;
    soon.tv_sec += soon.tv_nsec < 3000000;
    show("timed out", pthread_mutex_timedlock(&mutex, &soon));
    pthread_create(&threads[1], NULL, wait_for_it, NULL);
    step = 2;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    show("mine", pthread_mutex_lock(&mutex));
    show("twice", pthread_mutex_lock(&mutex));
    show("given back", pthread_mutex_unlock(&mutex));
    show("not mine", pthread_mutex_unlock(&mutex));
    pthread_mutex_destroy(&mutex);
}

static volatile sig_atomic_t handled;
static void handler(int number) { handled += number == SIGUSR1; }

static void *lock_word(void *argument) {
    (void)argument;
    number_of_other = own_number();
    step = 1;
    long result = futex(FUTEX_LOCK_PI_PRIVATE, 0, NULL);
    await(2);
    printf("locked in spite of a signal: %ld, handled %d\n", result, (int)handled);
    check("its word", (word & FUTEX_TID_MASK) == (unsigned)own_number());
    show("unlock", futex(FUTEX_UNLOCK_PI_PRIVATE, 0, NULL));
    return NULL;
}

static void words(void) {
    unsigned own = (unsigned)own_number();
    show("lock", futex(FUTEX_LOCK_PI_PRIVATE, 0, NULL));
    check("the word is mine", word == own);
    show("lock again", futex(FUTEX_LOCK_PI_PRIVATE, 0, NULL));
    show("try again", futex(FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL));
    show("wake nobody", futex(FUTEX_WAKE_PRIVATE, 1, NULL));

    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    pthread_t thread;
    step = 0;
    pthread_create(&thread, NULL, lock_word, NULL);
    await(1);
    while (!(word & FUTEX_WAITERS))
        sched_yield();
    pthread_kill(thread, SIGUSR1);
    while (!handled)
        sched_yield();
    show("hand on", futex(FUTEX_UNLOCK_PI_PRIVATE, 0, NULL));
    step = 2;
    pthread_join(thread, NULL);
    check("free", (word & FUTEX_TID_MASK) == 0);

    word = 999999;
    show("of nobody", futex(FUTEX_LOCK_PI_PRIVATE, 0, NULL));
    show("unlock another's", futex(FUTEX_UNLOCK_PI_PRIVATE, 0, NULL));
    word = FUTEX_OWNER_DIED;
    show("from the dead", futex(FUTEX_LOCK_PI_PRIVATE, 0, NULL));
    check("it says so", word == (own | FUTEX_OWNER_DIED));
    show("unlock", futex(FUTEX_UNLOCK_PI_PRIVATE, 0, NULL));
    show("word", word);
    show("odd clock", futex(FUTEX_LOCK_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, NULL));
    show("odd address", syscall(SYS_futex, (char *)&word + 1, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    show("no address", syscall(SYS_futex, NULL, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    inherited();
    names();
    robust_list();
    mutexes();
    words();
    return 0;
}
