// wait4 and waitid: which children, what happened to them, and what is no child at all.
#include "story.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void status_of(const char *what, int status) {
    if (WIFEXITED(status))
        printf("%s: exited %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("%s: killed by %s%s\n", what, sigabbrev_np(WTERMSIG(status)), WCOREDUMP(status) ? ", core" : "");
    else if (WIFSTOPPED(status))
        printf("%s: stopped by %s\n", what, sigabbrev_np(WSTOPSIG(status)));
    else if (WIFCONTINUED(status))
        printf("%s: continued\n", what);
    else
        printf("%s: %#x\n", what, status);
}

static pid_t child(int code) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(code);
    return pid;
}

static pid_t sleeper(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    return pid;
}

static void info_of(const char *what, siginfo_t *info, pid_t pid) {
    printf("%s: signo %d code %d status %d, %s\n", what, info->si_signo, info->si_code, info->si_status,
           info->si_pid == pid ? "the child" : info->si_pid == 0 ? "nobody" : "somebody else");
}

int main(void) {
    int status = 0;
    siginfo_t info;
    struct rusage usage;

    show("no children", wait(&status));
    show("no children, not waiting", waitpid(-1, &status, WNOHANG));
    show("no such child", waitpid(1 << 21, &status, 0));
    show("waitid without children", waitid(P_ALL, 0, &info, WEXITED));
    show("unknown options", waitpid(-1, &status, 0x100));
    show("waitid that waits for nothing", waitid(P_ALL, 0, &info, WNOHANG));
    show("waitid of no kind", waitid(77, 0, &info, WEXITED));
    show("waitid of process 0", waitid(P_PID, 0, &info, WEXITED));
    show("the largest group", waitpid(INT32_MIN, &status, 0));

    pid_t first = child(3), second = child(4);
    show("the second", waitpid(second, &status, 0) == second);
    status_of("the second", status);
    show("the second again", waitpid(second, &status, 0));
    show("any", wait(&status) == first);
    status_of("any", status);

    pid_t waits = sleeper();
    show("not over", waitpid(waits, &status, WNOHANG));
    memset(&info, 9, sizeof info);
    show("not over, waitid", waitid(P_PID, (id_t)waits, &info, WEXITED | WNOHANG));
    info_of("not over, waitid", &info, waits);
    kill(waits, SIGSTOP);
    show("stopped", waitpid(waits, &status, WUNTRACED) == waits);
    status_of("stopped", status);
    show("stopped, told once", waitpid(waits, &status, WUNTRACED | WNOHANG));
    kill(waits, SIGCONT);
    show("continued", waitpid(waits, &status, WCONTINUED) == waits);
    status_of("continued", status);
    kill(waits, SIGTSTP);
    show("stopped, waitid", waitid(P_PID, (id_t)waits, &info, WSTOPPED | WNOWAIT));
    info_of("stopped, waitid, left", &info, waits);
    show("stopped, waitid", waitid(P_PID, (id_t)waits, &info, WSTOPPED));
    info_of("stopped, waitid, taken", &info, waits);
    kill(waits, SIGCONT);
    show("continued, waitid", waitid(P_ALL, 0, &info, WCONTINUED));
    info_of("continued, waitid", &info, waits);
    kill(waits, SIGSTOP);
    waitpid(waits, &status, WUNTRACED);
    kill(waits, SIGTERM);
    usleep(20000);
    show("a stopped child is not ended", waitpid(waits, &status, WNOHANG));
    kill(waits, SIGKILL);
    show("killed", waitpid(waits, &status, 0) == waits);
    status_of("killed", status);

    pid_t left = child(5);
    show("left there", waitid(P_PID, (id_t)left, &info, WEXITED | WNOWAIT));
    info_of("left there", &info, left);
    show("a zombie can be signalled", kill(left, SIGTERM));
    show("taken", waitid(P_PID, (id_t)left, &info, WEXITED));
    info_of("taken", &info, left);
    show("gone", kill(left, 0));

    pid_t aborts = fork();
    if (aborts == 0)
        abort();
    waitpid(aborts, &status, 0);
    status_of("abort", status & ~0x80);
    pid_t faults = fork();
    if (faults == 0)
        *(volatile int *)8 = 1;
    waitid(P_PID, (id_t)faults, &info, WEXITED);
    printf("fault: %s %d\n", info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED ? "killed" : "?", info.si_status);

    pid_t works = fork();
    if (works == 0) {
        volatile unsigned long sum = 0;
        for (unsigned long at = 0; at < 30000000; at++)
            sum += at;
        _exit(0);
    }
    show("with usage", wait4(works, &status, 0, &usage) == works);
    check("it used time and memory", (usage.ru_utime.tv_sec > 0 || usage.ru_utime.tv_usec > 1000) && usage.ru_maxrss > 0);
    struct rusage all;
    getrusage(RUSAGE_CHILDREN, &all);
    check("which is that of the children", all.ru_utime.tv_sec > 0 || all.ru_utime.tv_usec >= usage.ru_utime.tv_usec);

    pid_t bad = child(6);
    usleep(10000);
    show("a bad address", syscall(SYS_wait4, bad, 8, 0, NULL));
    show("it is gone all the same", waitpid(bad, &status, 0));

    // A child whose end sends another signal is waited for only by those who say so.
    signal(SIGUSR1, SIG_IGN);
    pid_t clone = (pid_t)syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    if (clone == 0)
        _exit(8);
    show("a clone is no child", waitpid(clone, &status, 0));
    show("with __WCLONE it is", waitpid(clone, &status, __WCLONE) == clone);
    status_of("the clone", status);
    pid_t both[2] = {child(1), (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0)};
    if (both[1] == 0)
        _exit(2);
    int sum = 0;
    for (int index = 0; index < 2; index++)
        if (waitpid(-1, &status, __WALL) > 0)
            sum += WEXITSTATUS(status);
    show("__WALL finds both", sum);
    show("and nobody is left", waitpid(-1, NULL, __WALL));
    return 0;
}
