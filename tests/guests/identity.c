// Who am I: numbers that stay the same for as long as the program runs.
#include "story.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

int main(void) {
    pid_t pid = getpid();
    int changes = 0;
    for (int i = 0; i < 1000; i++)
        changes += getpid() != pid || syscall(SYS_getpid) != pid;
    show("times the identifier changed", changes);
    check("the identifier is positive", pid > 0);
    check("the first thread has the same", syscall(SYS_gettid) == pid);
    check("the parent stays", getppid() == getppid() && getppid() >= 0 && getppid() != pid);
    check("real and effective user", getuid() == geteuid());
    check("real and effective group", getgid() == getegid());
    uid_t real, effective, saved;
    show("getresuid", getresuid(&real, &effective, &saved));
    check("three times the same", real == effective && effective == saved && real == getuid());
    check("a process group", getpgrp() > 0 && getpgid(0) == getpgrp());
    check("a session", getsid(0) >= 0);
    gid_t groups[100];
    check("further groups", getgroups(100, groups) >= 0);
    show("to the user that we are", setuid(getuid()));

    char name[17] = {0};
    show("name", prctl(PR_GET_NAME, name));
    puts(name);
    show("change it", prctl(PR_SET_NAME, "a rather long name"));
    prctl(PR_GET_NAME, name);
    puts(name);
    show("no children", wait(NULL));
    show("priority", getpriority(PRIO_PROCESS, 0) >= -20);
    show("dumpable", prctl(PR_GET_DUMPABLE) >= 0);
    show("no new privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    show("they are", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    show("an unknown wish", prctl(99999));
    show("yield", (long)syscall(SYS_sched_yield));
    return 0;
}
