// Two threads and their kernel: making them, and waking each other.
//
//   threads create | parked | quick | spinning
//
// All ping-pongs measure one round trip: A wakes B, B wakes A.
//   parked     each waits, after it was woken, until the other has surely gone to sleep
//   quick      each answers at once: a kernel may spin for a moment before it halts a processor
//   spinning   no kernel at all, only the cache line: the floor, if both really run at the same time
#include "measure.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { PARKED, QUICK, SPINNING };

// Longer than any kernel spins before it halts.
static const int64_t PAUSE_NS = 200 * 1000;

// Whose turn it is: 0 is A's, 1 is B's; on cache lines of their own.
static _Alignas(128) atomic_int turn;
static _Alignas(128) atomic_int is_over;

static void await_turn(int mine, enum kind kind)
{
    while (atomic_load(&turn) != mine && !atomic_load(&is_over))
        if (kind != SPINNING)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - mine, NULL, NULL, 0);
}

static void pass_turn(int mine, enum kind kind)
{
    if (kind == PARKED)
        for (int64_t end = now_ns() + PAUSE_NS; now_ns() < end;)
            ;
    atomic_store(&turn, 1 - mine);
    if (kind != SPINNING)
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *answer(void *argument)
{
    enum kind kind = *(enum kind *)argument;
    while (!atomic_load(&is_over)) {
        await_turn(1, kind);
        if (!atomic_load(&is_over))
            pass_turn(1, kind);
    }
    return NULL;
}

static int round_trip(void *argument)
{
    enum kind kind = *(enum kind *)argument;
    pass_turn(0, kind);
    await_turn(0, kind);
    return 0;
}

static void ping_pong(const char *name, enum kind kind)
{
    pthread_t other;
    int error = pthread_create(&other, NULL, answer, &kind);
    if (error != 0) {
        report_error(name, strerror(error));
        return;
    }
    double ns = repeat(round_trip, &kind, kind == SPINNING ? 100 : 10);
    report(name, kind == PARKED ? ns - 2.0 * (double)PAUSE_NS : ns);
    atomic_store(&is_over, 1);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0);
    pthread_join(other, NULL);
}

static void *nothing(void *argument)
{
    return argument;
}

static int create_and_join(void *unused)
{
    (void)unused;
    pthread_t thread;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    if (error == 0)
        error = pthread_join(thread, NULL);
    errno = error;
    return error == 0 ? 0 : -1;
}

int main(int count, char **words)
{
    const char *command = count > 1 ? words[1] : "";
    if (strcmp(command, "create") == 0) {
        // The warm-up leaves a thread's stack, and whatever the kernel keeps, for the measured ones.
        measure("create_join", create_and_join, NULL, 5);
    } else if (strcmp(command, "parked") == 0) {
        ping_pong("ping_pong_parked", PARKED);
    } else if (strcmp(command, "quick") == 0) {
        ping_pong("ping_pong", QUICK);
    } else if (strcmp(command, "spinning") == 0) {
        ping_pong("ping_pong_spinning", SPINNING);
    } else {
        fprintf(stderr, "usage: threads create | parked | quick | spinning\n");
        return 2;
    }
    return 0;
}
