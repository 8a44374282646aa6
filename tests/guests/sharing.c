// What processes have in common on purpose: pipes, open files and their positions, locks, words to wait for in shared memory.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static int status_of(pid_t pid) {
    int status;
    if (pid <= 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static pid_t child(void) {
    fflush(stdout);
    return fork();
}

static void pipes(void) {
    int ends[2];
    char bytes[70000];
    if (pipe(ends) != 0)
        return;
    pid_t pid = child();
    if (pid == 0) {
        close(ends[0]);
        memset(bytes, 'x', sizeof bytes);
        // More than fits: it waits for its reader.
        _exit(write(ends[1], bytes, sizeof bytes) == sizeof bytes ? 0 : 1);
    }
    close(ends[1]);
    long total = 0;
    ssize_t length;
    while ((length = read(ends[0], bytes, 1000)) > 0)
        total += length;
    show("through a pipe, to its end", total);
    show("the writer", status_of(pid));
    close(ends[0]);

    if (pipe(ends) != 0)
        return;
    pid = child();
    if (pid == 0) {
        close(ends[0]);
        // Nobody reads any more when the parent has closed its end.
        for (;;)
            if (write(ends[1], bytes, 1000) < 0)
                _exit(1);
    }
    close(ends[1]);
    if (read(ends[0], bytes, 10) != 10)
        return;
    close(ends[0]);
    show("killed by SIGPIPE", status_of(pid) == 1000 + SIGPIPE);
    if (pipe(ends) != 0)
        return;
    pid = child();
    if (pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        close(ends[0]);
        usleep(10000);
        ssize_t written;
        while ((written = write(ends[1], bytes, 1000)) > 0) {}
        _exit(errno == EPIPE ? 33 : 34);
    }
    close(ends[1]);
    close(ends[0]);
    show("EPIPE", status_of(pid));
    // Two writers: the end comes when the second has gone.
    if (pipe(ends) != 0)
        return;
    for (int writer = 0; writer < 2; writer++)
        if (child() == 0) {
            usleep(writer * 20000);
            _exit(write(ends[1], "y", 1) != 1);
        }
    close(ends[1]);
    for (total = 0; read(ends[0], bytes, 1) == 1; total++) {}
    show("from two writers", total);
    show("both were well", (wait(NULL) > 0) + (wait(NULL) > 0));
    close(ends[0]);
}

static void positions(void) {
    int fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (write(fd, "0123456789", 10) != 10)
        return;
    lseek(fd, 2, SEEK_SET);
    pid_t pid = child();
    if (pid == 0) {
        char byte;
        if (read(fd, &byte, 1) != 1 || byte != '2')
            _exit(1);
        fcntl(fd, F_SETFL, O_APPEND);
        _exit(close(fd));
    }
    show("the child read on", status_of(pid));
    show("the position is one", lseek(fd, 0, SEEK_CUR));
    show("so are the flags", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    show("what the child closed is open", fcntl(fd, F_GETFD));
    close(fd);
    if (chdir("/") != 0)
        return;
    pid = child();
    if (pid == 0)
        _exit(chdir("/dev") != 0 || umask(0777) == 0777);
    show("another place", status_of(pid));
    char place[100];
    printf("still at %s\n", getcwd(place, sizeof place));
}

static struct flock whole(short type) { return (struct flock){.l_type = type, .l_whence = SEEK_SET}; }

static void locks(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    struct flock lock = whole(F_WRLCK);
    show("a lock of the process", fcntl(fd, F_SETLK, &lock));
    pid_t parent = getpid();
    pid_t pid = child();
    if (pid == 0) {
        struct flock mine = whole(F_RDLCK);
        if (fcntl(fd, F_SETLK, &mine) != -1 || (errno != EAGAIN && errno != EACCES))
            _exit(1);
        if (fcntl(fd, F_GETLK, &mine) != 0 || mine.l_type != F_WRLCK || mine.l_pid != parent)
            _exit(2);
        // Closing a descriptor in the child gives the parent's lock away no more than its end does.
        close(fd);
        _exit(0);
    }
    show("is not the child's", status_of(pid));
    int ends[2];
    if (pipe(ends) != 0)
        return;
    pid = child();
    if (pid == 0) {
        struct flock mine = whole(F_WRLCK);
        if (write(ends[1], "x", 1) != 1 || fcntl(fd, F_SETLKW, &mine) != 0)
            _exit(1);
        _exit(5);
    }
    char byte;
    if (read(ends[0], &byte, 1) != 1)
        return;
    usleep(10000);
    show("it waits for it", waitpid(pid, NULL, WNOHANG));
    lock = whole(F_UNLCK);
    show("given back", fcntl(fd, F_SETLK, &lock));
    show("it has it, until it ends", status_of(pid));
    lock = whole(F_WRLCK);
    show("nobody has it", fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK);

    show("flock", flock(fd, LOCK_EX));
    pid = child();
    if (pid == 0) {
        // The description is the same, so the lock is its own; another description of the file is kept out.
        int other = open(path, O_RDWR);
        _exit(flock(fd, LOCK_EX | LOCK_NB) == 0 && flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK ? 0 : 1);
    }
    show("flock belongs to the description", status_of(pid));
    int other = open(path, O_RDWR);
    show("and is still held", flock(other, LOCK_EX | LOCK_NB));
    close(fd);
    show("until the last close", flock(other, LOCK_EX | LOCK_NB));
    close(other);
    unlink(path);
}

struct common {
    pthread_mutex_t mutex, robust;
    pthread_barrier_t barrier;
    long count;
};

static void words(void) {
    struct common *common = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&common->mutex, &attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&common->robust, &attributes);
    pthread_barrierattr_t together;
    pthread_barrierattr_init(&together);
    pthread_barrierattr_setpshared(&together, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&common->barrier, &together, 5);
    for (int index = 0; index < 4; index++)
        if (child() == 0) {
            pthread_barrier_wait(&common->barrier);
            for (int round = 0; round < 5000; round++) {
                pthread_mutex_lock(&common->mutex);
                common->count++;
                pthread_mutex_unlock(&common->mutex);
            }
            _exit(0);
        }
    pthread_barrier_wait(&common->barrier);
    for (int index = 0; index < 4; index++)
        wait(NULL);
    show("counted by four", common->count);
    pid_t pid = child();
    if (pid == 0) {
        pthread_mutex_lock(&common->robust);
        raise(SIGKILL);
    }
    show("ended with a lock", status_of(pid) == 1000 + SIGKILL);
    show("its lock is found dead", pthread_mutex_lock(&common->robust) == EOWNERDEAD);
    show("and made well", pthread_mutex_consistent(&common->robust));
    pthread_mutex_unlock(&common->robust);
    // A private word at the same address in two processes is two words.
    int *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid = child();
    if (pid == 0) {
        struct timespec time = {.tv_nsec = 50000000};
        _exit(syscall(SYS_futex, private, 0, 0, &time, NULL, 0) == -1 && errno == ETIMEDOUT ? 0 : 1);
    }
    usleep(20000);
    show("private words are not woken from outside", syscall(SYS_futex, private, 1, 1, NULL, NULL, 0));
    show("and time out", status_of(pid));
}

int main(void) {
    enter_story_directory();
    pipes();
    locks("lock");
    words();
    positions();
    return 0;
}
