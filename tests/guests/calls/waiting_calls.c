// wait4, waitid: for whom, for what, without waiting, and for nobody.
#include "../story.h"
#include <signal.h>
#include <sys/resource.h>

static pid_t ends_with(int code) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(code);
    return child;
}

static pid_t sleeps(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static siginfo_t info;

static long id(idtype_t type, pid_t who, int options) {
    memset(&info, 0, sizeof info);
    return waitid(type, (id_t)who, &info, options);
}

int main(void) {
    int status = 0;
    struct rusage usage;
    SHOW(wait4(-1, &status, 0, NULL));
    SHOW(wait4(-1, &status, WNOHANG, NULL));
    SHOW(wait4(12345678, &status, 0, NULL));
    SHOW(wait4(INT32_MIN, &status, 0, NULL));
    SHOW(wait4(-1, &status, 0x40, NULL));
    SHOW(id(P_ALL, 0, WEXITED));
    SHOW(id(P_ALL, 0, 0));
    SHOW(id(P_ALL, 0, WEXITED | 0x100));
    SHOW(id((idtype_t)9, 0, WEXITED));
    SHOW(id(P_PID, 0, WEXITED));
    SHOW(id(P_PID, -1, WEXITED));

    pid_t one = ends_with(3), two = sleeps();
    SHOW(wait4(two, &status, WNOHANG, NULL));
    CHECK(wait4(one, &status, 0, &usage) == one);
    SHOW(WEXITSTATUS(status));
    CHECK(usage.ru_maxrss > 0);
    SHOW(wait4(one, &status, 0, NULL));
    SHOW(id(P_PID, two, WEXITED | WNOHANG));
    SHOW(info.si_signo);
    kill(two, SIGSTOP);
    CHECK(wait4(two, &status, WUNTRACED, NULL) == two);
    SHOW(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    SHOW(wait4(two, &status, WUNTRACED | WNOHANG, NULL));
    SHOW(id(P_PID, two, WSTOPPED | WNOHANG));
    SHOW(info.si_signo);
    kill(two, SIGCONT);
    SHOW(id(P_PID, two, WCONTINUED | WNOWAIT));
    printf("code %d status %d\n", info.si_code == CLD_CONTINUED, info.si_status == SIGCONT);
    CHECK(wait4(two, &status, WCONTINUED, NULL) == two);
    SHOW(WIFCONTINUED(status));
    SHOW(wait4(two, &status, WCONTINUED | WNOHANG, NULL));
    kill(two, SIGKILL);
    SHOW(id(P_PID, two, WEXITED | WNOWAIT));
    CHECK(info.si_pid == two && info.si_uid == getuid() && info.si_signo == SIGCHLD);
    printf("code %d status %d\n", info.si_code == CLD_KILLED, info.si_status);
    SHOW(id(P_PGID, getpgrp(), WEXITED));
    CHECK(info.si_pid == two);
    SHOW(id(P_PID, two, WEXITED));

    one = ends_with(5);
    CHECK(wait4(0, &status, 0, NULL) == one);
    one = ends_with(6);
    CHECK(wait4(-getpgrp(), &status, 0, NULL) == one);
    one = ends_with(7);
    SHOW(waitid(P_ALL, 0, NULL, WEXITED));
    one = ends_with(8);
    SHOW(syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED, NOWHERE));
    SHOW(wait4(-1, &status, WNOHANG, NULL));
    one = ends_with(9);
    SHOW(syscall(SYS_wait4, one, NOWHERE, 0, NULL));
    // It is gone all the same.
    SHOW(wait4(one, &status, 0, NULL));
    // Who does not want to know leaves no zombies.
    signal(SIGCHLD, SIG_IGN);
    one = ends_with(10);
    SHOW(wait4(one, &status, 0, NULL));
    signal(SIGCHLD, SIG_DFL);
    struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, NULL);
    one = ends_with(11);
    SHOW(wait4(one, &status, 0, NULL));
    return 0;
}
