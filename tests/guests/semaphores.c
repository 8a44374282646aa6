// System V semaphores: sets, changes that are made together or not at all, waiting, undoing at the end of a process, and what is an error.
#define _GNU_SOURCE
#include "story.h"
#include <signal.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>

enum { PROCESSES = 4, ROUNDS = 100 };

static int id;

static int change(int index, int by, int flags) {
    struct sembuf one = { (unsigned short)index, (short)by, (short)flags };
    return semop(id, &one, 1);
}

static int value(int index) {
    return semctl(id, index, GETVAL);
}

static void values(const char *what) {
    unsigned short all[3] = { 9, 9, 9 };
    semctl(id, 0, GETALL, all);
    printf("%s: %d %d %d\n", what, all[0], all[1], all[2]);
}

static int status_of(pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void wait_until(int index, int command) {
    while (semctl(id, index, command) != 1)
        usleep(1000);
}

static void nothing(int signal) {
    (void)signal;
}

// Several processes add to one number, which a semaphore guards.
static void guarding(void) {
    int shared[2];
    semctl(id, 0, SETVAL, 1);
    if (pipe(shared) < 0)
        exit(1);
    long sum = 0;
    if (write(shared[1], &sum, sizeof sum) != sizeof sum)
        exit(1);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        if ((children[i] = fork()) == 0) {
            for (int round = 0; round < ROUNDS; round++) {
                change(0, -1, SEM_UNDO);
                if (read(shared[0], &sum, sizeof sum) != sizeof sum)
                    _exit(2);
                sum++;
                if (write(shared[1], &sum, sizeof sum) != sizeof sum)
                    _exit(2);
                change(0, 1, SEM_UNDO);
            }
            _exit(0);
        }
    for (int i = 0; i < PROCESSES; i++)
        show("adder", status_of(children[i]));
    if (read(shared[0], &sum, sizeof sum) == sizeof sum)
        printf("sum %ld\n", sum);
}

int main(void) {
    key_t key = (key_t)(0x53600000 + getpid());
    show("nobody's", semget(key, 3, 0));
    show("none", semget(key, 0, IPC_CREAT | 0600));
    show("less than none", semget(key, -1, IPC_CREAT | 0600));
    show("too many", semget(key, 40000, IPC_CREAT | 0600));
    id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0600);
    check("made", id >= 0);
    show("made again", semget(key, 3, IPC_CREAT | IPC_EXCL | 0600));
    show("found", semget(key, 0, 0) == id);
    show("too large", semget(key, 4, 0));
    values("at first");
    show("set one", semctl(id, 1, SETVAL, 5));
    show("set one too high", semctl(id, 1, SETVAL, 40000));
    show("set another", semctl(id, 3, SETVAL, 5));
    unsigned short all[3] = { 1, 2, 3 };
    show("set all", semctl(id, 0, SETALL, all));
    values("set");
    show("last changed by me", semctl(id, 0, GETPID) == getpid());

    struct sembuf together[3] = { { 0, -1, 0 }, { 1, 4, 0 }, { 2, -9, IPC_NOWAIT } };
    show("together, one cannot", semop(id, together, 3));
    values("nothing changed");
    together[2].sem_op = -3;
    show("together", semop(id, together, 3));
    values("all changed");
    struct sembuf twice[3] = { { 0, 2, 0 }, { 0, -1, 0 }, { 0, -1, 0 } };
    show("one several times", semop(id, twice, 3));
    show("zero is there", change(0, 0, IPC_NOWAIT));
    show("zero is not there", change(1, 0, IPC_NOWAIT));
    show("over the top", change(1, 32767, 0));
    show("no such semaphore", change(3, 1, 0));
    show("no changes", semop(id, twice, 0));
    struct sembuf many[501] = { { 0, 0, 0 } };
    show("too many changes", semop(id, many, 501));
    show("nowhere", semop(id, (void *)8, 1));
    show("no such set", semop(0x7fffffff, twice, 3));

    struct timespec limit = { 0, 20000000 }, odd = { 0, 1000000000 };
    struct sembuf one = { 0, -1, 0 };
    show("waited in vain", semtimedop(id, &one, 1, &limit));
    show("an odd limit", semtimedop(id, &one, 1, &odd));
    fflush(stdout);

    pid_t child = fork();
    if (child == 0)
        _exit(change(0, -2, 0) == 0 ? 3 : 4);
    wait_until(0, GETNCNT);
    change(0, 1, 0);
    show("one is not enough, and it waits", semctl(id, 0, GETNCNT));
    change(0, 1, 0);
    show("woken", status_of(child));
    child = fork();
    if (child == 0)
        _exit(change(1, 0, 0) == 0 ? 5 : 6);
    wait_until(1, GETZCNT);
    semctl(id, 1, SETVAL, 0);
    show("woken by zero", status_of(child));
    show("nobody waits", semctl(id, 0, GETNCNT) + semctl(id, 1, GETZCNT));

    child = fork();
    if (child == 0) {
        struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };
        sigaction(SIGUSR1, &action, NULL);
        _exit(change(0, -1, 0) < 0 && errno == EINTR ? 7 : 8);
    }
    wait_until(0, GETNCNT);
    kill(child, SIGUSR1);
    show("interrupted, whatever SA_RESTART", status_of(child));

    semctl(id, 0, SETVAL, 4);
    fflush(stdout);
    if ((child = fork()) == 0) {
        change(0, -3, SEM_UNDO);
        change(1, 2, SEM_UNDO);
        change(1, 1, 0);
        raise(SIGKILL);
    }
    show("killed", status_of(child));
    values("undone but for what was not to be");
    show("by the one that ended", semctl(id, 0, GETPID) == child);
    if ((child = fork()) == 0) {
        change(0, -3, SEM_UNDO);
        semctl(id, 0, SETVAL, 7);
        _exit(value(0));
    }
    show("set meanwhile", status_of(child));
    show("stays", value(0));
    show("too much to undo", change(2, 30000, SEM_UNDO) == 0 && change(2, -30000, 0) == 0 ? change(2, 30000, SEM_UNDO) : 99);
    fflush(stdout);
    guarding();

    struct semid_ds status;
    show("status", semctl(id, 0, IPC_STAT, &status));
    printf("%lu semaphores, mode %o, times %d %d\n", (unsigned long)status.sem_nsems, status.sem_perm.mode,
           status.sem_otime > 0, status.sem_ctime > 0);
    status.sem_perm.mode = 0640;
    show("change", semctl(id, 0, IPC_SET, &status));
    show("read it", semctl(id, 0, IPC_STAT, &status));
    printf("mode %o\n", status.sem_perm.mode);
    fflush(stdout);
    semctl(id, 0, SETVAL, 0);
    if ((child = fork()) == 0)
        _exit(change(0, -1, 0) < 0 && errno == EIDRM ? 9 : 10);
    wait_until(0, GETNCNT);
    show("another command", semctl(id, 0, 99));
    show("remove", semctl(id, 0, IPC_RMID));
    show("removed under a waiter", status_of(child));
    show("gone", semctl(id, 0, GETVAL));
    show("not found any more", semget(key, 3, 0));
    return 0;
}
