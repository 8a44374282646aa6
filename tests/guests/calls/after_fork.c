// What a child takes over from its parent, and what it has of its own.
#include "../story.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/times.h>

static volatile int handled;
static int file;

static void on_signal(int signal) {
    (void)signal;
    handled++;
}

static void child(void) {
    sigset_t set;
    struct sigaction action;
    sigprocmask(SIG_BLOCK, NULL, &set);
    SHOW(sigismember(&set, SIGUSR1));
    sigpending(&set);
    SHOW(sigismember(&set, SIGUSR1));
    sigaction(SIGUSR2, NULL, &action);
    SHOW(action.sa_handler == on_signal);
    raise(SIGUSR2);
    SHOW(handled);
    SHOW(alarm(0));
    struct tms spent;
    times(&spent);
    SHOW(spent.tms_cutime + spent.tms_cstime);
    // The position is shared, the numbers are not.
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(lseek(file, 3, SEEK_SET));
    // Record locks stay with the parent, the lock of the open file is shared.
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    SHOW(fcntl(file, F_SETLK, &lock));
    SHOW(flock(file, LOCK_EX | LOCK_NB));
    SHOW(flock(open("file", O_RDONLY), LOCK_EX | LOCK_NB));
    close(file);
    stack_t stack;
    sigaltstack(NULL, &stack);
    SHOW(stack.ss_flags);
    SHOW(getppid() > 0);
    umask(0777);
    chdir("/");
    signal(SIGUSR2, SIG_DFL);
}

int main(void) {
    enter_story_directory();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    signal(SIGUSR2, on_signal);
    file = new_file("file", "0123456789");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    fcntl(file, F_SETLK, &lock);
    flock(file, LOCK_EX);
    alarm(100);
    static char area[65536];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
    sigaltstack(&stack, NULL);
    umask(022);
    int other = dup(file);
    in_a_child(child);
    SHOW(handled);
    SHOW(lseek(other, 0, SEEK_CUR));
    CHECK(alarm(0) > 90);
    sigpending(&set);
    SHOW(sigismember(&set, SIGUSR1));
    SHOW(umask(0));
    SHOW(access("file", F_OK));
    struct sigaction action;
    sigaction(SIGUSR2, NULL, &action);
    SHOW(action.sa_handler == on_signal);
    // Threads and memory: a child has the one thread that forked, and a copy of all memory.
    static int word = 1;
    fflush(stdout);
    pid_t second = fork();
    if (second == 0) {
        word = 2;
        _exit(word);
    }
    int status;
    waitpid(second, &status, 0);
    printf("%d %d\n", WEXITSTATUS(status), word);
    return 0;
}
