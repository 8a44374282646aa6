// Processes: what a shell does for each command.
//
//   processes
#include "measure.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 41 };

static char *const TRUE[] = {"true", NULL};

static pid_t start_copy(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child;
}

static pid_t start_true(void)
{
    pid_t child = fork();
    if (child == 0) {
        execv("/bin/true", TRUE);
        _exit(127);
    }
    return child;
}

static pid_t spawn_true(void)
{
    pid_t child;
    return posix_spawn(&child, "/bin/true", NULL, NULL, TRUE, NULL) == 0 ? child : -1;
}

static void each(const char *name, pid_t (*start)(void))
{
    int64_t times[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        int64_t before = now_ns();
        pid_t child = start();
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            report_errno(name, "a child");
            return;
        }
        times[round] = now_ns() - before;
    }
    report(name, median_of(times, ROUNDS));
}

int main(void)
{
    each("fork", start_copy);
    each("fork_exec", start_true);
    each("spawn", spawn_true);
}
