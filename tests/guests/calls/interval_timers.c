// setitimer, getitimer, alarm, pause: signals that come once, again, or not any more.
#include "../story.h"
#include <signal.h>
#include <sys/time.h>

static volatile int count;

static void on_alarm(int signal) {
    (void)signal;
    count++;
}

static long set(int which, long value_us, long period_us) {
    struct itimerval setting = {.it_value = {value_us / 1000000, value_us % 1000000}, .it_interval = {period_us / 1000000, period_us % 1000000}};
    return setitimer(which, &setting, NULL);
}

int main(void) {
    struct itimerval setting;
    signal(SIGALRM, on_alarm);
    SHOW(getitimer(ITIMER_REAL, &setting));
    SHOW(setting.it_value.tv_sec + setting.it_value.tv_usec);
    SHOW(alarm(100));
    SHOW(alarm(50));
    SHOW(getitimer(ITIMER_REAL, &setting));
    CHECK(setting.it_value.tv_sec >= 49 && setting.it_value.tv_sec <= 50);
    SHOW(alarm(0));
    SHOW(alarm(0));
    // It comes again, in case the first one comes before we wait.
    SHOW(set(ITIMER_REAL, 10000, 50000));
    SHOW(pause());
    CHECK(count >= 1);
    SHOW(set(ITIMER_REAL, 0, 0));
    SHOW(getitimer(ITIMER_REAL, &setting));
    SHOW(setting.it_value.tv_usec);
    SHOW(set(ITIMER_REAL, 30000, 30000));
    for (int i = 0; i < 3; i++)
        pause();
    struct itimerval off = {0};
    SHOW(setitimer(ITIMER_REAL, &off, &setting));
    SHOW(setting.it_interval.tv_usec);
    CHECK(count >= 4);
    int before = count;
    usleep(60000);
    SHOW(count - before);
    SHOW(set(ITIMER_REAL, 0, 5000));
    usleep(10000);
    SHOW(count - before);
    SHOW(set(99, 1000, 0));
    SHOW(set(-1, 1000, 0));
    SHOW(getitimer(99, &setting));
    SHOW(getitimer(ITIMER_REAL, NOWHERE));
    SHOW(syscall(SYS_setitimer, ITIMER_REAL, NOWHERE, NULL));
    struct itimerval odd = {.it_value = {0, 1000000}};
    SHOW(setitimer(ITIMER_REAL, &odd, NULL));
    odd = (struct itimerval){.it_value = {0, -1}};
    SHOW(setitimer(ITIMER_REAL, &odd, NULL));
    // A child has no timers of its parent.
    set(ITIMER_REAL, 50000000, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit((int)alarm(0));
    int status;
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    CHECK(alarm(0) >= 49);
    return 0;
}
