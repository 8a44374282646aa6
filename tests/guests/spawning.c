// Programs started by programs: vfork, posix_spawn, execve; what goes over to the new program and what does not.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static const char *self;

static int status_of(pid_t pid) {
    int status;
    if (pid <= 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void borrows(void) {
    volatile int lent = 1;
    pid_t own = getpid();
    pid_t pid = vfork();
    if (pid == 0) {
        lent = getpid() != own && getppid() == own ? 5 : 6;
        _exit(3);
    }
    // The parent goes on only now, in memory that the child has written to.
    show("lent memory", lent);
    show("vfork", status_of(pid));
    pid = vfork();
    if (pid == 0) {
        execl("/no/such/program", "x", (char *)NULL);
        lent = errno;
        _exit(127);
    }
    show("vfork without a program", status_of(pid));
    show("its errno", lent == ENOENT);
    pid = vfork();
    if (pid == 0) {
        execl(self, self, "code", "12", (char *)NULL);
        _exit(127);
    }
    show("vfork and execve", status_of(pid));
    pid = vfork();
    if (pid == 0)
        raise(SIGKILL);
    show("vfork and killed", status_of(pid));
}

static void spawns(void) {
    pid_t pid;
    char *code[] = {(char *)self, "code", "17", NULL};
    show("posix_spawn", posix_spawn(&pid, self, NULL, NULL, code, environ));
    show("its status", status_of(pid));
    show("no such program", posix_spawn(&pid, "/no/such/program", NULL, NULL, code, environ));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    char *tell[] = {(char *)self, "tell", NULL};
    signal(SIGUSR1, SIG_IGN);
    show("with attributes", posix_spawn(&pid, self, &actions, &attributes, tell, environ));
    close(ends[1]);
    char text[512];
    ssize_t length, total = 0;
    while ((length = read(ends[0], text + total, sizeof text - (size_t)total - 1)) > 0)
        total += length;
    text[total] = 0;
    fputs(text, stdout);
    show("its status", status_of(pid));
    close(ends[0]);
    FILE *stream = popen("read x; echo got $x; exit 4", "w");
    fputs("a line\n", stream);
    fflush(stdout);
    show("popen", WEXITSTATUS(pclose(stream)));
    fflush(stdout);
    show("system", WEXITSTATUS(system("exit 6")));
}

// What a program finds when it is started.
static int tells(void) {
    sigset_t mask;
    struct sigaction action;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    printf("blocked: USR1 %d USR2 %d\n", sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2));
    sigaction(SIGUSR1, NULL, &action);
    printf("USR1 %s\n", action.sa_handler == SIG_IGN ? "ignored" : "as usual");
    sigaction(SIGTERM, NULL, &action);
    printf("TERM %s\n", action.sa_handler == SIG_DFL ? "as usual" : "?");
    printf("group %s\n", getpgrp() == getpid() ? "of its own" : "of another");
    int open = 0;
    for (int fd = 3; fd < 100; fd++)
        open += fcntl(fd, F_GETFD) != -1;
    printf("descriptors: %d\n", open);
    return 0;
}

static void nothing(int number) { (void)number; }

static void goes_over(void) {
    signal(SIGTERM, nothing);
    int kept = open("/dev/null", O_RDONLY), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)closed;
    alarm(100);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (alarm(50) != 0)
            _exit(9);
        execl(self, self, "tell", (char *)NULL);
        _exit(127);
    }
    show("after fork and execve", status_of(pid));
    alarm(0);
    close(kept);
    signal(SIGTERM, SIG_DFL);
}

static pid_t process;

static void *replaces(void *unused) {
    (void)unused;
    char number[16];
    snprintf(number, sizeof number, "%d", process);
    execl(self, self, "same", number, (char *)NULL);
    return NULL;
}

static void *waits(void *unused) {
    while (unused == NULL)
        pause();
    return NULL;
}

// A thread that is not the first calls execve: it becomes the process, and the others are gone.
static void from_a_thread(void) {
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        process = getpid();
        pthread_create(&thread, NULL, waits, NULL);
        pthread_create(&thread, NULL, replaces, NULL);
        for (;;)
            pause();
    }
    show("execve by a thread", status_of(pid));
}

static void *parent_of(void *unused) { return unused == NULL ? (void *)(intptr_t)getppid() : NULL; }

static void *forks(void *unused) {
    (void)unused;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        void *result = NULL;
        // The child has one thread, and may make others.
        pthread_create(&thread, NULL, parent_of, NULL);
        pthread_join(thread, &result);
        _exit((pid_t)(intptr_t)result == getppid() ? 0 : 1);
    }
    return (void *)(intptr_t)status_of(pid);
}

static void from_threads(void) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    int failed = 0;
    for (int index = 0; index < THREADS; index++)
        pthread_create(&threads[index], NULL, forks, NULL);
    for (int index = 0; index < THREADS; index++) {
        void *result;
        pthread_join(threads[index], &result);
        failed += result != NULL;
    }
    show("forks by threads at once, failed", failed);
}

static int shared_word;

static int in_shared_memory(void *argument) {
    *(int *)argument = getpid() != process;
    close(0);
    return 21;
}

static void clones(void) {
    process = getpid();
    char *stack = malloc(65536);
    pid_t parent_word = 0;
    pid_t pid = clone(in_shared_memory, stack + 65536, CLONE_VM | CLONE_FILES | CLONE_PARENT_SETTID | SIGCHLD,
                      &shared_word, &parent_word);
    check("CLONE_PARENT_SETTID", pid > 0 && parent_word == pid);
    show("clone with CLONE_VM", status_of(pid));
    show("its store", shared_word);
    show("the descriptor that it closed", fcntl(0, F_GETFD));
    show("CLONE_THREAD without CLONE_SIGHAND", syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
    show("CLONE_SIGHAND without CLONE_VM", syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } request = {.exit_signal = SIGCHLD};
    show("clone3 that is too short", syscall(SYS_clone3, &request, 8));
    pid = (pid_t)syscall(SYS_clone3, &request, sizeof request);
    if (pid == 0)
        _exit(22);
    show("clone3", status_of(pid));
    request.exit_signal = 65;
    show("clone3 with a signal that is none", syscall(SYS_clone3, &request, sizeof request));
    request.exit_signal = SIGCHLD;
    request.stack = 4096;
    show("clone3 with half a stack", syscall(SYS_clone3, &request, sizeof request));
}

int main(int count, char **arguments) {
    self = "/proc/self/exe";
    if (count > 1 && strcmp(arguments[1], "code") == 0)
        return atoi(arguments[2]);
    if (count > 1 && strcmp(arguments[1], "tell") == 0)
        return tells();
    if (count > 2 && strcmp(arguments[1], "same") == 0)
        return getpid() == atoi(arguments[2]) && gettid() == getpid() ? 31 : 32;
    // Whatever the harness left open is none of the story.
    for (int fd = 3; fd < 100; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    borrows();
    spawns();
    goes_over();
    from_a_thread();
    from_threads();
    clones();
    return 0;
}
