// Transfers that nobody waits for (io_submit): on a file, and on the disk at /dev/vda if there is one. Static.
#include "story.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { BLOCK = 4096, MANY = 64, SIZE = 1 << 20 };
static unsigned char memory[MANY][BLOCK] __attribute__((aligned(BLOCK)));
static struct iocb jobs[MANY], *list[MANY];
static struct io_event events[MANY];

static long setup(unsigned most, aio_context_t *context) { return syscall(SYS_io_setup, most, context); }
static long destroy(aio_context_t context) { return syscall(SYS_io_destroy, context); }
static long submit(aio_context_t context, long count) { return syscall(SYS_io_submit, context, count, list); }
static long get(aio_context_t context, long least, long most, struct timespec *timeout) {
    return syscall(SYS_io_getevents, context, least, most, events, timeout);
}

static void prepare(int number, int code, int file, void *buffer, size_t length, off_t offset) {
    memset(&jobs[number], 0, sizeof jobs[number]);
    jobs[number].aio_lio_opcode = code;
    jobs[number].aio_fildes = file;
    jobs[number].aio_buf = (uintptr_t)buffer;
    jobs[number].aio_nbytes = length;
    jobs[number].aio_offset = offset;
    jobs[number].aio_data = 1000 + number;
    list[number] = &jobs[number];
}

// All of them at once; every one is told of once, with this result.
static int all(aio_context_t context, long count, long result) {
    char seen[MANY] = { 0 };
    if (submit(context, count) != count)
        return 0;
    for (long done = 0; done < count;) {
        long got = get(context, 1, MANY, NULL);
        if (got < 1)
            return 0;
        for (long i = 0; i < got; i++, done++) {
            unsigned long number = events[i].data - 1000;
            if (number >= (unsigned long)count || seen[number]++ || events[i].res != result || events[i].res2 ||
                events[i].obj != (uintptr_t)&jobs[number])
                return 0;
        }
    }
    return 1;
}

static void transfers(aio_context_t context, int file, const char *where) {
    char name[80];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            memset(memory[i], i + round, BLOCK);
            prepare(i, IOCB_CMD_PWRITE, file, memory[i], BLOCK, (off_t)(MANY - i) * BLOCK);
        }
        snprintf(name, sizeof name, "%s: many are written, %d", where, round);
        check(name, all(context, MANY, BLOCK));
        for (int i = 0; i < MANY; i++) {
            memset(memory[i], 0xff, BLOCK);
            prepare(i, IOCB_CMD_PREAD, file, memory[i], BLOCK, (off_t)(MANY - i) * BLOCK);
        }
        snprintf(name, sizeof name, "%s: many are read, %d", where, round);
        check(name, all(context, MANY, BLOCK));
        int wrong = 0;
        for (int i = 0; i < MANY; i++)
            for (int at = 0; at < BLOCK; at++)
                wrong += memory[i][at] != (unsigned char)(i + round);
        snprintf(name, sizeof name, "%s: what was written is read, %d", where, round);
        check(name, wrong == 0);
    }
    struct iovec pieces[3] = { { memory[3], 512 }, { memory[5] + 512, 1024 }, { memory[1], 512 } };
    prepare(0, IOCB_CMD_PREADV, file, pieces, 3, BLOCK);
    memset(memory, 0, sizeof memory);
    snprintf(name, sizeof name, "%s: pieces", where);
    check(name, all(context, 1, 2048) && memory[5][512] == MANY + 1 && memory[5][1535] == MANY + 1 && !memory[5][511]);
    prepare(0, IOCB_CMD_PREAD, file, memory[0] + 1, 100, BLOCK + 7);
    snprintf(name, sizeof name, "%s: any place, any length", where);
    check(name, all(context, 1, 100) && memory[0][1] == MANY + 1 && memory[0][100] == MANY + 1 && !memory[0][101]);
    prepare(0, IOCB_CMD_PREAD, file, (void *)8, BLOCK, 0);
    snprintf(name, sizeof name, "%s: bad memory", where);
    check(name, all(context, 1, -EFAULT));
    prepare(0, IOCB_CMD_FSYNC, file, NULL, 0, 0);
    prepare(1, IOCB_CMD_FDSYNC, file, NULL, 0, 0);
    snprintf(name, sizeof name, "%s: synchronised", where);
    check(name, all(context, 2, 0));
    // Somebody is told by a counter.
    int counter = eventfd(0, 0);
    uint64_t count = 0;
    for (int i = 0; i < 2; i++) {
        prepare(i, IOCB_CMD_PREAD, file, memory[i], BLOCK, 0);
        jobs[i].aio_flags = IOCB_FLAG_RESFD;
        jobs[i].aio_resfd = counter;
    }
    snprintf(name, sizeof name, "%s: a counter", where);
    check(name, submit(context, 2) == 2);
    for (uint64_t more; count < 2 && read(counter, &more, 8) == 8;)
        count += more;
    check(name, count == 2 && get(context, 2, 2, NULL) == 2);
    close(counter);
    // A context and a process that end while something is under way.
    aio_context_t other = 0;
    for (int i = 0; i < MANY; i++)
        prepare(i, IOCB_CMD_PREAD, file, memory[i], BLOCK, (off_t)i * BLOCK);
    snprintf(name, sizeof name, "%s: the end of a context", where);
    check(name, setup(MANY, &other) == 0 && submit(other, MANY) == MANY && destroy(other) == 0);
    pid_t child = fork();
    if (child == 0) {
        other = 0;
        _exit(setup(MANY, &other) || submit(other, MANY) != MANY);
    }
    int status = -1;
    waitpid(child, &status, 0);
    snprintf(name, sizeof name, "%s: the end of a process", where);
    check(name, status == 0);
}

int main(void) {
    aio_context_t context = 0, wrong = 1;
    check("no room for none", setup(0, &context) == -1 && errno == EINVAL);
    check("nor in use", setup(1, &wrong) == -1 && errno == EINVAL);
    check("nor nowhere", setup(1, (aio_context_t *)8) == -1 && errno == EFAULT);
    check("a context", setup(MANY, &context) == 0 && context != 0);
    struct timespec soon = { 0, 10 * 1000 * 1000 }, now = { 0, 0 };
    check("nothing is done", get(context, 1, 1, &soon) == 0);
    check("at once", get(context, 0, 1, NULL) == 0 && get(context, 1, 1, &now) == 0);
    check("bad counts", get(context, 2, 1, NULL) == -1 && errno == EINVAL);
    check("bad context", get(wrong, 1, 1, NULL) == -1 && errno == EINVAL);
    check("nothing is nothing", submit(context, 0) == 0);
    check("less is not", submit(context, -1) == -1 && errno == EINVAL);
    check("nothing to cancel", syscall(SYS_io_cancel, context, &jobs[0], events) == -1 && errno == EINVAL);

    char path[] = "/tmp/asynchronous-XXXXXX";
    int file = mkstemp(path);
    unlink(path);
    check("a file", file >= 0 && ftruncate(file, SIZE) == 0);
    transfers(context, file, "file");
    int disk = open("/dev/vda", O_RDWR | O_DIRECT);
    if (disk >= 0 && getenv("SEPTUM_DISK"))
        transfers(context, disk, "disk");

    prepare(0, IOCB_CMD_PREAD, -1, memory[0], BLOCK, 0);
    check("no file", submit(context, 1) == -1 && errno == EBADF);
    prepare(0, IOCB_CMD_PREAD, file, memory[0], BLOCK, 0);
    prepare(1, 77, file, memory[0], BLOCK, 0);
    check("what comes before a bad one is done", submit(context, 2) == 1 && get(context, 1, 2, NULL) == 1);
    prepare(0, 77, file, memory[0], BLOCK, 0);
    check("no such operation", submit(context, 1) == -1 && errno == EINVAL);
    prepare(0, IOCB_CMD_PREAD, file, memory[0], BLOCK, -1);
    check("no such place", submit(context, 1) == -1 && errno == EINVAL);
    list[0] = (struct iocb *)8;
    check("no description", submit(context, 1) == -1 && errno == EFAULT);
    prepare(0, IOCB_CMD_PREAD, file, memory[0], BLOCK, 0);
    jobs[0].aio_flags = IOCB_FLAG_RESFD;
    jobs[0].aio_resfd = file;
    check("no counter", submit(context, 1) == -1 && errno == EINVAL);
    int reader = open("/dev/null", O_WRONLY);
    prepare(0, IOCB_CMD_PREAD, reader, memory[0], BLOCK, 0);
    check("not readable", submit(context, 1) == -1 && errno == EBADF);
    check("it ends once", destroy(context) == 0 && destroy(context) == -1 && errno == EINVAL);
    return 0;
}
