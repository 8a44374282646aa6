// Timers that count CPU time, and the limit on it: they ring while the program computes, in whatever thread, and not while it sleeps.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t virtual_count, profiling_count, limit_count;

static void handler(int signal) {
    if (signal == SIGVTALRM)
        virtual_count++;
    else if (signal == SIGPROF)
        profiling_count++;
    else
        limit_count++;
}

static volatile unsigned long sink;

static void compute(void) {
    for (int i = 0; i < 100000; i++)
        sink += (unsigned long)i * sink;
}

static void *compute_until_rung(void *nothing) {
    double start = (double)time(NULL);
    while (profiling_count == 0 && (double)time(NULL) < start + 60)
        compute();
    return nothing;
}

static void set(int which, long first_us, long period_us) {
    struct itimerval timer = {.it_value = {.tv_usec = first_us}, .it_interval = {.tv_usec = period_us}};
    setitimer(which, &timer, NULL);
}

static int until(volatile sig_atomic_t *count, int wanted) {
    struct timespec start = now(CLOCK_MONOTONIC);
    while (*count < wanted && seconds_between(start, now(CLOCK_MONOTONIC)) < 60)
        compute();
    return *count >= wanted;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGVTALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    sigaction(SIGXCPU, &action, NULL);

    struct itimerval state;
    show("read a timer that is off", getitimer(ITIMER_VIRTUAL, &state));
    show("what is left of it", state.it_value.tv_sec + state.it_value.tv_usec);
    show("a fourth timer", getitimer(3, &state));

    set(ITIMER_VIRTUAL, 20000, 10000);
    check("the virtual timer rings again and again", until(&virtual_count, 3));
    set(ITIMER_VIRTUAL, 0, 0);

    set(ITIMER_PROF, 50000, 0);
    getitimer(ITIMER_PROF, &state);
    check("its time is counted down", state.it_value.tv_sec == 0 && state.it_value.tv_usec <= 70000);
    usleep(200000);
    show("rang while the program slept", profiling_count);
    check("the profiling timer rings", until(&profiling_count, 1));
    getitimer(ITIMER_PROF, &state);
    show("is off then", state.it_value.tv_sec + state.it_value.tv_usec);

    profiling_count = 0;
    set(ITIMER_PROF, 50000, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, compute_until_rung, NULL);
    pthread_join(thread, NULL);
    show("rang for another thread's work", profiling_count);

    struct timespec before = now(CLOCK_PROCESS_CPUTIME_ID);
    usleep(300000);
    check("sleeping takes no CPU time", seconds_between(before, now(CLOCK_PROCESS_CPUTIME_ID)) < 0.2);

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 1, .rlim_max = 2};
        setrlimit(RLIMIT_CPU, &limit);
        until(&limit_count, 1);
        show("told of the limit", limit_count > 0);
        fflush(stdout);
        for (;;)
            compute();
    }
    int status;
    struct rusage usage;
    wait4(child, &status, 0, &usage);
    show("killed by the hard limit", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    check("after about two seconds", usage.ru_utime.tv_sec + usage.ru_stime.tv_sec >= 1);
    return 0;
}
