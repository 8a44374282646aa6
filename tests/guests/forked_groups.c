// A signal to a group that comes while one of it forks: it is handled before, or the child gets it too.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 24, MEMORY = 24 << 20 };

static volatile sig_atomic_t has_come;

static void note(int signal)
{
    (void)signal;
    has_come = 1;
}

static void pause_us(long us)
{
    struct timespec pause = { 0, us * 1000 };
    nanosleep(&pause, NULL);
}

static int run(void)
{
    struct sigaction action = { .sa_handler = note };
    int missed = 0, turns[2];
    char *memory = malloc(MEMORY), turn = 0;
    // So that a fork takes its time.
    memset(memory, 1, MEMORY);
    sigaction(SIGUSR1, &action, NULL);
    if (pipe(turns) < 0)
        return 1;
    setpgid(0, 0);
    pid_t group = getpid(), sender = fork();
    if (sender == 0) {
        setpgid(0, 0);
        close(turns[1]);
        for (long round = 0; read(turns[0], &turn, 1) == 1; round++) {
            pause_us(round % 12 * 60);
            kill(-group, SIGUSR1);
        }
        _exit(0);
    }
    setpgid(sender, sender);
    close(turns[0]);
    for (int round = 0; round < ROUNDS; round++) {
        has_come = 0;
        if (write(turns[1], &turn, 1) != 1)
            return 1;
        pid_t child = fork();
        if (child == 0) {
            // Long after it was sent, whenever that was.
            for (int i = 0; i < 400 && !has_come; i++)
                pause_us(1000);
            _exit(has_come ? 0 : 1);
        }
        int status = 0;
        while (waitpid(child, &status, 0) < 0)
            ;
        while (!has_come)
            pause_us(100);
        missed += WEXITSTATUS(status) != 0;
    }
    close(turns[1]);
    waitpid(sender, NULL, 0);
    printf("%d children missed a signal to their group\n", missed);
    free(memory);
    return missed != 0;
}

int main(void)
{
    int status = 0;
    // A group of number 1, which is the first process's, cannot be named to kill(2).
    if (fork() == 0)
        exit(run());
    wait(&status);
    return WEXITSTATUS(status);
}
