// eventfd: counting, semaphores, limits, and sizes that are too small.
#include "../story.h"
#include <poll.h>
#include <sys/eventfd.h>

int main(void) {
    uint64_t value = 0;
    int event = eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC);
    SHOW(fcntl(event, F_GETFD));
    SHOW(fcntl(event, F_GETFL));
    SHOW(read(event, &value, 8));
    SHOW(value);
    SHOW(read(event, &value, 8));
    SHOW(read(event, &value, 7));
    value = 3;
    SHOW(write(event, &value, 8));
    SHOW(write(event, &value, 7));
    SHOW(read(event, &value, 16) == 8 ? (long)value : -1);
    value = UINT64_MAX;
    SHOW(write(event, &value, 8));
    value = UINT64_MAX - 1;
    SHOW(write(event, &value, 8));
    value = 1;
    SHOW(write(event, &value, 8));
    value = 0;
    SHOW(write(event, &value, 8));
    SHOW(read(event, NOWHERE, 8));
    SHOW(write(event, NOWHERE, 8));
    SHOW(read(event, &value, 8));
    SHOW(value == UINT64_MAX - 1);
    SHOW(lseek(event, 0, SEEK_CUR) <= 0);

    int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    SHOW(read(semaphore, &value, 8));
    SHOW(value);
    SHOW(read(semaphore, &value, 8));
    SHOW(read(semaphore, &value, 8));
    SHOW(eventfd(0, 0x10));
    SHOW(eventfd(0, EFD_SEMAPHORE | 2));
    SHOW(syscall(SYS_eventfd, 7) >= 0);
    SHOW(syscall(SYS_eventfd2, 0, -1));

    // Who reads waits for who writes, also in another process.
    int shared = eventfd(0, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        usleep(10000);
        value = 42;
        _exit(write(shared, &value, 8) != 8);
    }
    SHOW(read(shared, &value, 8));
    SHOW(value);
    waitpid(child, NULL, 0);
    return 0;
}
