// Whom one may send signals: oneself, one's own, and to others of another user nothing.
#include "../story.h"
#include <signal.h>

static pid_t sleeper;

static void as_another(void) {
    if (geteuid() != 0)
        return;
    if (setgid(12345) != 0 || setuid(12345) != 0)
        exit(96);
    check("not another's", kill(sleeper, 0) == -1 && errno == EPERM);
    check("not another's", kill(sleeper, SIGTERM) == -1 && errno == EPERM);
    check("not another's", kill(sleeper, SIGKILL) == -1 && errno == EPERM);
    check("not another's", sigqueue(sleeper, SIGTERM, (union sigval){.sival_int = 1}) == -1 && errno == EPERM);
    check("not even one that is none", kill(sleeper, 99) == -1 && errno == EINVAL);
    check("to go on, in the same session", kill(sleeper, SIGCONT) == 0);
    check("oneself", kill(getpid(), 0) == 0);
    pid_t own = fork();
    if (own == 0)
        for (;;)
            pause();
    int status;
    check("one's own", kill(own, SIGTERM) == 0 && waitpid(own, &status, 0) == own && WTERMSIG(status) == SIGTERM);
}

int main(void) {
    fflush(stdout);
    sleeper = fork();
    if (sleeper == 0)
        for (;;)
            pause();
    in_a_child(as_another);
    int status;
    SHOW(waitpid(sleeper, &status, WNOHANG));
    SHOW(kill(sleeper, SIGKILL));
    CHECK(waitpid(sleeper, &status, 0) == sleeper);
    SHOW(WTERMSIG(status));
    return 0;
}
