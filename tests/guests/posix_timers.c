// timer_create: timers that tell the process, a thread or nobody, that repeat, overrun, count time or CPU time, and what is an error.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t count, value, code, overrun;
static volatile sig_atomic_t on_thread;
static pid_t other;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    count++;
    code = info->si_code;
    value = info->si_value.sival_int;
    overrun = info->si_overrun;
    on_thread = (pid_t)syscall(SYS_gettid) == other;
}

// The kernel's own numbers: the C library's timers are pointers.
static int create(clockid_t clock, struct sigevent *event, int *timer) {
    return (int)syscall(SYS_timer_create, clock, event, timer);
}

static int set(int timer, int flags, long first_ns, long period_ns, struct itimerspec *old) {
    struct itimerspec wanted = {{period_ns / 1000000000, period_ns % 1000000000}, {first_ns / 1000000000, first_ns % 1000000000}};
    return (int)syscall(SYS_timer_settime, timer, flags, &wanted, old);
}

static int until(int wanted) {
    struct timespec start = now(CLOCK_MONOTONIC);
    while (count < wanted && seconds_between(start, now(CLOCK_MONOTONIC)) < 30)
        usleep(1000);
    return count >= wanted;
}

static void *thread(void *timer) {
    other = (pid_t)syscall(SYS_gettid);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    event._sigev_un._tid = other;
    show("for a thread", create(CLOCK_MONOTONIC, &event, timer));
    count = 0;
    set(*(int *)timer, 0, 10000000, 0, NULL);
    show("it comes", until(1));
    show("to that thread", on_thread);
    return NULL;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    int first, second, third;
    struct itimerspec state;

    show("a simple one", create(CLOCK_REALTIME, NULL, &first));
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
    show("with a value", create(CLOCK_MONOTONIC, &event, &second));
    show("another number", second != first);
    show("what is left of one that is off", syscall(SYS_timer_gettime, second, &state));
    show("nothing", state.it_value.tv_sec + state.it_value.tv_nsec);

    show("set it", set(second, 0, 20000000, 0, NULL));
    show("rings", until(1));
    printf("code %d, value %d, overrun %d\n", code, value, overrun);
    count = 0;
    set(first, 0, 5000000, 0, NULL);
    show("the simple one rings", until(1));
    show("its value is its number", value == first);

    count = 0;
    set(second, 0, 50000000, 50000000, NULL);
    show("again and again", until(5));
    set(second, 0, 100000000000, 7000000000, &state);
    show("its period was", state.it_interval.tv_nsec);
    syscall(SYS_timer_gettime, second, &state);
    check("what is left", state.it_value.tv_sec >= 98 && state.it_value.tv_sec <= 100);
    show("its period", state.it_interval.tv_sec);

    sigset_t set_of_one;
    sigemptyset(&set_of_one);
    sigaddset(&set_of_one, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set_of_one, NULL);
    count = 0;
    set(second, 0, 1000000, 20000000, NULL);
    usleep(300000);
    siginfo_t waiting;
    show("blocked: one signal", sigtimedwait(&set_of_one, &waiting, &(struct timespec){0}));
    check("that tells how often it rang", waiting.si_overrun > 5);
    set(second, 0, 0, 0, NULL);
    while (sigtimedwait(&set_of_one, &waiting, &(struct timespec){0}) > 0)
        ;
    sigprocmask(SIG_UNBLOCK, &set_of_one, NULL);

    struct timespec later = now(CLOCK_REALTIME);
    count = 0;
    set(first, TIMER_ABSTIME, later.tv_sec * 1000000000 + later.tv_nsec + 20000000, 0, NULL);
    show("a time of day", until(1));
    count = 0;
    show("a time that has been", set(first, TIMER_ABSTIME, 1000000000, 0, NULL));
    show("at once", until(1));

    count = 0;
    show("of CPU time", create(CLOCK_PROCESS_CPUTIME_ID, &event, &third));
    set(third, 0, 50000000, 0, NULL);
    usleep(200000);
    show("not while the program sleeps", count);
    struct timespec start = now(CLOCK_MONOTONIC);
    while (count == 0 && seconds_between(start, now(CLOCK_MONOTONIC)) < 30)
        ;
    show("while it works", count);

    pthread_t worker;
    int fourth;
    pthread_create(&worker, NULL, thread, &fourth);
    pthread_join(worker, NULL);

    struct sigevent silent = {.sigev_notify = SIGEV_NONE};
    int fifth;
    show("tells nobody", create(CLOCK_MONOTONIC, &silent, &fifth));
    show("set", set(fifth, 0, 1000000, 0, NULL));
    usleep(20000);
    syscall(SYS_timer_gettime, fifth, &state);
    show("over", state.it_value.tv_sec + state.it_value.tv_nsec);

    event.sigev_signo = 99;
    show("signal 99", create(CLOCK_MONOTONIC, &event, &fifth));
    event = (struct sigevent){.sigev_notify = 77, .sigev_signo = SIGALRM};
    show("another way", create(CLOCK_MONOTONIC, &event, &fifth));
    show("clock 99", create(99, NULL, &fifth));
    show("no timer", set(9999, 0, 1, 0, NULL));
    show("too many nanoseconds", syscall(SYS_timer_settime, first, 0, &(struct itimerspec){.it_value.tv_nsec = 1000000000}, NULL));
    show("nothing to set", syscall(SYS_timer_settime, first, 0, NULL, NULL));
    show("nowhere to put it", create(CLOCK_MONOTONIC, NULL, (int *)8));
    show("overrun of one that was read", syscall(SYS_timer_getoverrun, first));
    show("delete", syscall(SYS_timer_delete, first));
    show("twice", syscall(SYS_timer_delete, first));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(syscall(SYS_timer_gettime, second, &state) == -1 && errno == EINVAL);
    int status;
    waitpid(child, &status, 0);
    show("a child has none", WEXITSTATUS(status));
    return 0;
}
