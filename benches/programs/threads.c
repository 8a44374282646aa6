// Two threads and their kernel: making them, waking each other, and passing bytes through a pipe.
//
//   threads create | parked | quick | spinning | pipe
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

// One thread writes as fast as the other reads, 64 KiB at a time; every word that comes out is the next number.
static const size_t STREAM = 64 * 1024;

static void *write_stream(void *argument)
{
    int descriptor = *(int *)argument;
    static uint64_t words[64 * 1024 / 8];
    for (uint64_t next = 0; !atomic_load(&is_over);) {
        for (size_t i = 0; i < STREAM / 8; i++)
            words[i] = next++;
        for (size_t done = 0; done < STREAM;) {
            ssize_t put = write(descriptor, (char *)words + done, STREAM - done);
            if (put <= 0)
                return "write";
            done += (size_t)put;
        }
    }
    close(descriptor);
    return NULL;
}

static void pipe_stream(const char *name)
{
    int ends[2];
    pthread_t writer;
    static uint64_t words[64 * 1024 / 8];
    if (pipe(ends) < 0 || pthread_create(&writer, NULL, write_stream, &ends[1]) != 0) {
        report_errno(name, "pipe");
        return;
    }
    uint64_t next = 0, total = 0, measured = 0;
    int64_t start = now_ns(), now = start, warm = start + WARM_UP_NS;
    size_t kept = 0;
    ssize_t got;
    while ((got = read(ends[0], (char *)words + kept, STREAM - kept)) > 0) {
        kept += (size_t)got;
        for (size_t i = 0; i < kept / 8; i++)
            if (words[i] != next++) {
                report_error(name, "bytes came out wrong");
                exit(1);
            }
        total += kept / 8 * 8;
        memmove(words, (char *)words + kept / 8 * 8, kept % 8);
        kept %= 8;
        if (atomic_load(&is_over))
            continue;
        now = now_ns();
        if (now < warm)
            start = now, total = 0;
        else if (now - start > 2 * BUDGET_NS)
            measured = total, atomic_store(&is_over, 1);
    }
    void *failed = NULL;
    pthread_join(writer, &failed);
    close(ends[0]);
    if (got < 0 || failed != NULL)
        report_errno(name, got < 0 ? "read" : failed);
    else
        report(name, (double)measured / MEBIBYTE / ((double)(now - start) / 1e9));
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
    } else if (strcmp(command, "pipe") == 0) {
        pipe_stream("pipe_stream_mib_per_s");
    } else {
        fprintf(stderr, "usage: threads create | parked | quick | spinning | pipe\n");
        return 2;
    }
    return 0;
}
