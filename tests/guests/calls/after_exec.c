// What another program in the same process takes over, and what not.
#include "../story.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void on_signal(int signal) {
    (void)signal;
}

static void afterwards(void) {
    sigset_t set;
    struct sigaction action;
    char name[16];
    sigprocmask(SIG_BLOCK, NULL, &set);
    SHOW(sigismember(&set, SIGUSR1));
    sigpending(&set);
    SHOW(sigismember(&set, SIGUSR1));
    sigaction(SIGUSR2, NULL, &action);
    SHOW(action.sa_handler == SIG_DFL);
    sigaction(SIGHUP, NULL, &action);
    SHOW(action.sa_handler == SIG_IGN);
    SHOW(fcntl(30, F_GETFD));
    SHOW(fcntl(31, F_GETFD));
    SHOW(umask(0));
    CHECK(alarm(0) > 90);
    SHOW(getpriority(PRIO_PROCESS, 0));
    prctl(PR_GET_NAME, name);
    puts(name);
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_GET_KEEPCAPS));
    SHOW(prctl(PR_GET_DUMPABLE));
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    SHOW(limit.rlim_cur);
    stack_t stack;
    sigaltstack(NULL, &stack);
    SHOW(stack.ss_flags == SS_DISABLE);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        fcntl(30, F_GETLK, &lock);
        _exit(lock.l_type == F_WRLCK);
    }
    int status;
    waitpid(child, &status, 0);
    printf("the lock is still there: %d\n", WEXITSTATUS(status));
    char here[4096];
    printf("%s\n", strrchr(getcwd(here, sizeof here), '/'));
    CHECK(getenv("GIVEN") != NULL && strcmp(getenv("GIVEN"), "yes") == 0 && getenv("PATH") == NULL);
    CHECK(getpid() == atoi(getenv("NUMBER")));
}

int main(int count, char *arguments[]) {
    (void)arguments;
    if (count > 1) {
        afterwards();
        return 0;
    }
    enter_story_directory();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    signal(SIGUSR2, on_signal);
    signal(SIGHUP, SIG_IGN);
    dup2(new_file("file", "text"), 30);
    dup3(30, 31, O_CLOEXEC);
    for (int i = 3; i < 30; i++)
        close(i);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(30, F_SETLK, &lock);
    umask(037);
    alarm(100);
    setpriority(PRIO_PROCESS, 0, 7);
    prctl(PR_SET_NAME, "before");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_KEEPCAPS, 1);
    prctl(PR_SET_DUMPABLE, 0);
    struct rlimit limit = {17, 17};
    setrlimit(RLIMIT_CORE, &limit);
    static char area[65536];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
    sigaltstack(&stack, NULL);
    mkdir("inside", 0755);
    chdir("inside");
    char number[32];
    sprintf(number, "NUMBER=%d", getpid());
    char *given[] = {"another name", "afterwards", NULL}, *environment[] = {"GIVEN=yes", number, NULL};
    execve("/proc/self/exe", given, environment);
    perror("execve");
    return 1;
}
