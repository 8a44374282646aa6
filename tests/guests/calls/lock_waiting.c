// F_SETLKW and flock wait for a lock, and are interrupted.
#include "../story.h"
#include <signal.h>
#include <sys/file.h>

static int file, to_child[2], to_parent[2];

static long lock(int fd, int command, int type, off_t start) {
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = 1};
    return fcntl(fd, command, &lock);
}

static void tell(int *ends) {
    write(ends[1], "x", 1);
}

static void await(int *ends) {
    char byte;
    read(ends[0], &byte, 1);
}

static void nothing(int signal) {
    (void)signal;
}

int main(void) {
    enter_story_directory();
    file = new_file("file", "0123456789");
    pipe(to_child);
    pipe(to_parent);
    lock(file, F_SETLK, F_WRLCK, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        lock(file, F_SETLK, F_WRLCK, 1);
        tell(to_parent);
        long result = lock(file, F_SETLKW, F_WRLCK, 0);
        show("the child has waited", result);
        fflush(stdout);
        tell(to_parent);
        await(to_child);
        lock(file, F_SETLK, F_UNLCK, 0);
        await(to_child);
        _exit(0);
    }
    await(to_parent);
    usleep(10000);
    SHOW(lock(file, F_SETLK, F_WRLCK, 1));
    fflush(stdout);
    lock(file, F_SETLK, F_UNLCK, 0);
    await(to_parent);
    SHOW(lock(file, F_SETLK, F_WRLCK, 0));
    fflush(stdout);
    tell(to_child);
    SHOW(lock(file, F_SETLKW, F_WRLCK, 0));

    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    ualarm(30000, 0);
    SHOW(lock(file, F_SETLKW, F_WRLCK, 1));
    tell(to_child);
    waitpid(child, NULL, 0);
    SHOW(lock(file, F_SETLKW, F_WRLCK, 1));

    int one = open("file", O_RDONLY), two = open("file", O_RDWR);
    SHOW(flock(one, LOCK_SH));
    SHOW(flock(two, LOCK_SH | LOCK_NB));
    SHOW(flock(two, LOCK_EX | LOCK_NB));
    ualarm(30000, 0);
    SHOW(flock(one, LOCK_EX));
    SHOW(flock(one, LOCK_UN));
    SHOW(flock(dup(two), LOCK_EX | LOCK_NB));
    SHOW(flock(one, LOCK_SH | LOCK_NB));
    close(two);
    SHOW(flock(one, LOCK_SH | LOCK_NB));
    SHOW(flock(one, 0));
    SHOW(flock(one, LOCK_SH | LOCK_EX));
    SHOW(flock(one, LOCK_NB));
    SHOW(flock(-1, LOCK_SH));
    SHOW(flock(open("file", O_PATH), LOCK_SH));
    SHOW(flock(open(".", O_RDONLY), LOCK_EX | LOCK_NB));

    // Two that would wait for each other.
    lock(file, F_SETLK, F_WRLCK, 5);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        lock(file, F_SETLK, F_WRLCK, 6);
        tell(to_parent);
        _exit(lock(file, F_SETLKW, F_WRLCK, 5) == 0 ? 7 : 8);
    }
    await(to_parent);
    usleep(100000);
    SHOW(lock(file, F_SETLKW, F_WRLCK, 6));
    SHOW(lock(file, F_SETLK, F_UNLCK, 5));
    int status;
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    SHOW(lock(file, F_SETLKW, F_WRLCK, 6));
    return 0;
}
