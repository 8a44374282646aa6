// setpgid, getpgid, setsid, getsid: who may lead, who may join, and who not.
#include "../story.h"
#include <signal.h>

static pid_t sleeps(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static void story(void) {
    // A child of ours is in our group, which it does not lead.
    pid_t pid = getpid();
    CHECK(getpgrp() != pid && getpgid(0) == getpgrp() && getpgid(pid) == getpgrp());
    CHECK(getsid(0) == getsid(pid));
    SHOW(setpgid(0, 0));
    CHECK(getpgrp() == pid);
    SHOW(setpgid(0, 0));
    SHOW(setpgid(pid, pid));
    SHOW(setpgid(0, -1));
    SHOW(setpgid(-1, 0));
    SHOW(setpgid(0x3fffffff, 0));
    SHOW(setpgid(0, 0x3fffffff));
    SHOW(getpgid(0x3fffffff));
    SHOW(getpgid(-1));
    SHOW(getsid(0x3fffffff));
    SHOW(getsid(-1));
    // The leader of a group cannot begin a session.
    SHOW(setsid());
    pid_t one = sleeps(), two = sleeps();
    SHOW(setpgid(one, one));
    SHOW(setpgid(two, one));
    CHECK(getpgid(one) == one && getpgid(two) == one);
    SHOW(setpgid(0, one));
    CHECK(getpgrp() == one);
    SHOW(setpgid(0, pid));
    SHOW(kill(-one, SIGTERM));
    int status;
    CHECK(waitpid(-one, &status, 0) > 0 && WTERMSIG(status) == SIGTERM);
    CHECK(waitpid(-one, &status, 0) > 0 && WTERMSIG(status) == SIGTERM);
    SHOW(setpgid(0, one));
    SHOW(setpgid(one, 0));

    fflush(stdout);
    int ends[2];
    char byte = 0;
    pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        CHECK(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
        SHOW(setsid());
        SHOW(setpgid(0, 0));
        fflush(stdout);
        write(ends[1], "x", 1);
        pause();
    }
    read(ends[0], &byte, 1);
    // It is in a session of its own: nobody moves it, and it is in nobody's way.
    SHOW(setpgid(child, getpgrp()));
    SHOW(setpgid(0, child));
    CHECK(getsid(child) == child);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    // A child that has begun a program of its own is moved by nobody but itself.
    pipe2(ends, O_CLOEXEC);
    child = fork();
    if (child == 0) {
        execl("/bin/sleep", "sleep", "100", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    read(ends[0], &byte, 1);
    SHOW(setpgid(child, child));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

int main(void) {
    in_a_child(story);
    return 0;
}
