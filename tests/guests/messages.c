// System V message queues: types, room, waiting, copies, what is told of them and of the other two families, and what is an error.
#include "story.h"
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct message {
    long type;
    char text[9000];
};

static int id;

static long put(long type, const char *text, int flags) {
    struct message one = {.type = type};
    strcpy(one.text, text);
    return msgsnd(id, &one, strlen(text), flags);
}

static void take(const char *what, long type, size_t room, int flags) {
    struct message one = {0};
    ssize_t len = msgrcv(id, &one, room, type, flags);
    if (len < 0)
        show(what, len);
    else
        printf("%s: %zd type %ld \"%.*s\"\n", what, len, one.type, (int)len, one.text);
}

static int status_of(pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void nothing(int signal) {
    (void)signal;
}

static void until_it_waits(pid_t child) {
    char name[64], state = 0;
    snprintf(name, sizeof name, "/proc/%d/stat", child);
    for (int i = 0; i < 2000 && state != 'S'; i++) {
        FILE *file = fopen(name, "r");
        if (file == NULL || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
            state = 0;
        if (file != NULL)
            fclose(file);
        usleep(1000);
    }
    usleep(20000);
}

static void types(void) {
    show("nobody's", msgget(0x53700000 + getpid(), 0));
    id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    check("made", id >= 0);
    show("no type", put(0, "x", 0));
    show("negative type", put(-1, "x", 0));
    show("nothing to receive", msgrcv(id, &(struct message){0}, 10, 0, IPC_NOWAIT));
    put(5, "five", 0);
    put(2, "two", 0);
    put(7, "", 0);
    put(2, "another two", 0);
    take("a copy of the second", 1, 100, IPC_NOWAIT | MSG_COPY);
    take("a copy of none", 4, 100, IPC_NOWAIT | MSG_COPY);
    take("a copy, waiting", 1, 100, MSG_COPY);
    take("type 2", 2, 100, 0);
    take("too long", 2, 3, 0);
    take("cut", 2, 3, MSG_NOERROR);
    take("none left", 2, 100, IPC_NOWAIT);
    take("other than 5", 5, 100, MSG_EXCEPT);
    put(9, "nine", 0);
    put(4, "four", 0);
    take("the lowest up to 8", -8, 100, 0);
    take("the lowest of all", -0x7fffffffffffffff - 1, 100, 0);
    take("the first", 0, 100, 0);
    put(1, "lost", 0);
    show("nowhere to put it", msgrcv(id, NOWHERE, 100, 0, 0));
    take("gone all the same", 0, 100, IPC_NOWAIT);
    show("nothing there", msgsnd(id, NOWHERE, 1, 0));
    struct message one = {.type = 1};
    show("too long a message", msgsnd(id, &one, 8193, 0));
    show("the longest", msgsnd(id, &one, 8192, 0));
    show("negative room", msgrcv(id, &one, (size_t)-1, 0, 0));
    show("once more", msgsnd(id, &one, 8192, IPC_NOWAIT));
    show("full", msgsnd(id, &one, 1, IPC_NOWAIT));
    show("an empty one", msgsnd(id, &one, 0, IPC_NOWAIT));
    show("a wrong number", msgsnd(0x7fffffff, &one, 1, 0));
    show("a negative number", msgsnd(-1, &one, 1, 0));
}

static void waiting(void) {
    struct message one = {.type = 3};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(msgsnd(id, &one, 100, 0) == 0 ? 3 : 4);
    until_it_waits(child);
    take("makes room", 0, 0, MSG_NOERROR);
    show("sent", status_of(child));
    while (msgrcv(id, &one, sizeof one.text, 0, IPC_NOWAIT) >= 0) {}
    if ((child = fork()) == 0)
        _exit(msgrcv(id, &one, sizeof one.text, 6, 0) == 5 ? 5 : 6);
    until_it_waits(child);
    put(4, "not this", 0);
    usleep(20000);
    put(6, "this!", 0);
    show("received", status_of(child));
    take("what it did not want", 0, 100, IPC_NOWAIT);
    if ((child = fork()) == 0) {
        struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
        sigaction(SIGUSR1, &action, NULL);
        _exit(msgrcv(id, &one, sizeof one.text, 0, 0) < 0 && errno == EINTR ? 7 : 8);
    }
    until_it_waits(child);
    kill(child, SIGUSR1);
    show("interrupted, whatever SA_RESTART", status_of(child));
    if ((child = fork()) == 0)
        _exit(msgrcv(id, &one, sizeof one.text, 0, 0) < 0 && errno == EIDRM ? 9 : 10);
    until_it_waits(child);
    show("remove", msgctl(id, IPC_RMID, NULL));
    show("removed under a waiter", status_of(child));
    show("gone", msgctl(id, IPC_STAT, &(struct msqid_ds){0}));
}

static void status(void) {
    key_t key = (key_t)(0x53700000 + getpid());
    id = msgget(key, IPC_CREAT | IPC_EXCL | 0640);
    show("made again", msgget(key, IPC_CREAT | IPC_EXCL | 0600));
    show("found", msgget(key, 0) == id);
    put(1, "abc", 0);
    put(2, "defg", 0);
    take("one", 1, 10, 0);
    struct msqid_ds now;
    show("status", msgctl(id, IPC_STAT, &now));
    printf("mode %o bytes %lu messages %lu most %lu\n", now.msg_perm.mode, now.__msg_cbytes, now.msg_qnum, now.msg_qbytes);
    printf("me %d %d times %d %d %d\n", now.msg_lspid == getpid(), now.msg_lrpid == getpid(), now.msg_stime > 0, now.msg_rtime > 0,
           now.msg_ctime > 0);
    now.msg_perm.mode = 0600;
    now.msg_qbytes = 8;
    show("change", msgctl(id, IPC_SET, &now));
    show("no room now", put(3, "hijkl", IPC_NOWAIT));
    show("but for this", put(3, "hijk", IPC_NOWAIT));
    show("another command", msgctl(id, 99, &now));
    show("nowhere", msgctl(id, IPC_STAT, NOWHERE));
    struct msginfo info;
    CHECK(msgctl(0, IPC_INFO, (void *)&info) >= 0);
    printf("limits %d %d %d %d %d %d %d %d\n", info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni, info.msgssz, info.msgtql,
           info.msgseg);
    int highest = msgctl(0, MSG_INFO, (void *)&info), found = 0;
    check("there are messages", info.msgpool >= 1 && info.msgmap >= 2 && info.msgtql >= 8);
    for (int place = 0; place <= highest; place++)
        if (msgctl(place, MSG_STAT, &now) == id)
            found += now.msg_perm.__key == key;
    show("found by its place", found);
    show("no such place", msgctl(30000, MSG_STAT, &now));
    show("remove", msgctl(id, IPC_RMID, NULL));
}

static void others(void) {
    int semaphores = semget(IPC_PRIVATE, 5, 0600), segment = shmget(IPC_PRIVATE, 10000, 0600), found = 0;
    struct seminfo sem;
    CHECK(semctl(0, 0, IPC_INFO, &sem) >= 0);
    printf("semaphores %d %d %d %d %d %d\n", sem.semmni, sem.semmsl, sem.semopm, sem.semvmx, sem.semusz, sem.semaem);
    int highest = semctl(0, 0, SEM_INFO, &sem);
    check("there are semaphores", sem.semusz >= 1 && sem.semaem >= 5);
    struct semid_ds set;
    for (int place = 0; place <= highest; place++)
        found += semctl(place, 0, SEM_STAT, &set) == semaphores && set.sem_nsems == 5;
    show("a set found by its place", found);
    struct shminfo limits;
    CHECK(shmctl(0, IPC_INFO, (void *)&limits) >= 0);
    printf("segments %lu %lu %lu %lu %lu\n", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmseg, limits.shmall);
    struct shm_info usage;
    highest = shmctl(0, SHM_INFO, (void *)&usage);
    check("there are segments", usage.used_ids >= 1 && usage.shm_tot >= 3);
    struct shmid_ds one;
    found = 0;
    for (int place = 0; place <= highest; place++)
        found += shmctl(place, SHM_STAT, &one) == segment && one.shm_segsz == 10000;
    show("a segment found by its place", found);
    semctl(semaphores, 0, IPC_RMID);
    shmctl(segment, IPC_RMID, NULL);
}

static void permissions(void) {
    id = msgget(IPC_PRIVATE, 0600);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(4321) != 0 || setuid(4321) != 0)
            _exit(99);
        struct msqid_ds now;
        show("not to be read", msgctl(id, IPC_STAT, &now));
        show("but listed", msgctl(id % 32768, MSG_STAT_ANY, &now) == id);
        show("not sent to", put(1, "x", 0));
        show("not received from", msgrcv(id, &(struct message){0}, 1, 0, IPC_NOWAIT));
        show("not removed", msgctl(id, IPC_RMID, NULL));
        fflush(stdout);
        _exit(0);
    }
    show("somebody else", status_of(child));
    msgctl(id, IPC_RMID, NULL);
}

int main(void) {
    types();
    waiting();
    status();
    others();
    if (getuid() == 0)
        permissions();
    return 0;
}
