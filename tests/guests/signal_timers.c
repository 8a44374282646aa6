// Timers ring, and what was waiting is interrupted: pause, sleep, read, with and without SA_RESTART.
#include "story.h"
#include <poll.h>
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t count;
static int pipe_ends[2];
static volatile sig_atomic_t is_to_write;

static void handler(int signal) {
    (void)signal;
    count++;
    if (is_to_write)
        (void)!write(pipe_ends[1], "x", 1);
}

// Rings again and again: a first ring that comes before the program waits must not leave it waiting for ever.
static void ring(long microseconds) {
    struct itimerval soon = {.it_value = {.tv_usec = microseconds}, .it_interval = {.tv_usec = microseconds}};
    setitimer(ITIMER_REAL, &soon, NULL);
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    (void)!pipe(pipe_ends);

    ring(20000);
    show("pause", pause());
    show("rang", count > 0);

    ring(20000);
    struct timespec wanted = {.tv_sec = 100}, left;
    show("nanosleep", nanosleep(&wanted, &left));
    check("about a hundred seconds were left", left.tv_sec >= 90 && left.tv_sec < 100);

    ring(20000);
    char byte;
    show("read of an empty pipe", read(pipe_ends[0], &byte, 1));

    ring(20000);
    struct pollfd one = {.fd = pipe_ends[0], .events = POLLIN};
    show("poll", poll(&one, 1, -1));

    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    is_to_write = 1;
    ring(20000);
    show("read that is restarted", read(pipe_ends[0], &byte, 1));
    ring(0);
    is_to_write = 0;
    fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    while (read(pipe_ends[0], &byte, 1) == 1)
        ;
    ring(20000);
    show("poll is never restarted", poll(&one, 1, -1));

    ring(0);
    show("alarm", (long)alarm(100));
    unsigned left_seconds = alarm(0);
    check("about a hundred seconds were left of the alarm", left_seconds >= 99 && left_seconds <= 100);
    struct itimerval state = {.it_value = {.tv_sec = 50}, .it_interval = {.tv_sec = 7}};
    setitimer(ITIMER_REAL, &state, NULL);
    struct itimerval read_back;
    getitimer(ITIMER_REAL, &read_back);
    check("a timer can be read", read_back.it_value.tv_sec >= 49 && read_back.it_interval.tv_sec == 7);
    alarm(0);

    count = 0;
    struct itimerval often = {.it_interval = {.tv_usec = 5000}, .it_value = {.tv_usec = 5000}};
    setitimer(ITIMER_REAL, &often, NULL);
    while (count < 5)
        pause();
    alarm(0);
    puts("a periodic timer came five times");
    struct itimerval wrong = {.it_value = {.tv_usec = 1000000}};
    show("a million microseconds", setitimer(ITIMER_REAL, &wrong, NULL));
    return 0;
}
