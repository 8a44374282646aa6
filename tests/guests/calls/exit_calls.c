// exit, exit_group, _exit: of a thread, of all, with what status, and who is told.
// flags: -pthread
#include "../story.h"
#include <pthread.h>
#include <signal.h>

static int run(void (*part)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        part();
        _exit(99);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

static void status_300(void) {
    syscall(SYS_exit_group, 300);
}

static void status_minus_1(void) {
    syscall(SYS_exit_group, -1);
}

static void only_thread(void) {
    syscall(SYS_exit, 7);
}

static void *goes_on(void *argument) {
    usleep(10000);
    _exit((int)(long)argument);
}

static void first_thread_ends(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, goes_on, (void *)8L);
    syscall(SYS_exit, 1);
}

static void *sleeps(void *argument) {
    pause();
    return argument;
}

static void with_others_asleep(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, sleeps, NULL);
    _exit(9);
}

static void *executes(void *argument) {
    char *arguments[] = {"sh", "-c", "exit 10", NULL};
    execv("/bin/sh", arguments);
    return argument;
}

static void another_thread_executes(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, executes, NULL);
    pause();
}

static void handler_order(void) {
    exit(11);
}

static void said(void) {
    puts("at exit");
}

int main(void) {
    SHOW(WEXITSTATUS(run(status_300)));
    SHOW(WEXITSTATUS(run(status_minus_1)));
    SHOW(WEXITSTATUS(run(only_thread)));
    SHOW(WEXITSTATUS(run(first_thread_ends)));
    SHOW(WEXITSTATUS(run(with_others_asleep)));
    SHOW(WEXITSTATUS(run(another_thread_executes)));
    atexit(said);
    SHOW(WEXITSTATUS(run(handler_order)));
    return 0;
}
