// select, poll, epoll and eventfd on what is ready, what never is, and what cannot be asked.
#include "story.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>

int main(void) {
    enter_story_directory();
    int file = open("file", O_RDWR | O_CREAT, 0644);
    int null = open("/dev/null", O_RDWR);
    int ends[2];
    (void)!pipe(ends);
    struct pollfd list[5] = {{.fd = file, .events = POLLIN | POLLOUT}, {.fd = null, .events = POLLIN | POLLOUT},
                             {.fd = ends[0], .events = POLLIN}, {.fd = -1, .events = POLLIN}, {.fd = 77, .events = POLLIN}};
    show("poll", poll(list, 5, 1000));
    for (int i = 0; i < 5; i++)
        printf("  %d: %#x\n", i, (unsigned)list[i].revents);
    struct timespec start = now(CLOCK_MONOTONIC);
    show("poll that waits", poll(list + 2, 1, 30));
    double waited = seconds_between(start, now(CLOCK_MONOTONIC));
    check("as long as told", waited >= 0.029 && waited < 10);
    struct timespec brief = {.tv_nsec = 20000000};
    show("ppoll", ppoll(list + 2, 1, &brief, NULL));

    fd_set readable, writable;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(file, &readable);
    FD_SET(ends[0], &readable);
    FD_SET(ends[1], &writable);
    struct timeval soon = {.tv_usec = 20000};
    show("select", select(ends[1] + 1, &readable, &writable, NULL, &soon));
    printf("  file %d, pipe %d, its other end %d\n", !!FD_ISSET(file, &readable), !!FD_ISSET(ends[0], &readable),
           !!FD_ISSET(ends[1], &writable));
    FD_ZERO(&readable);
    FD_SET(ends[0], &readable);
    soon = (struct timeval){.tv_usec = 20000};
    show("select that waits", select(ends[0] + 1, &readable, NULL, NULL, &soon));
    show("then nothing is set", FD_ISSET(ends[0], &readable));
    // Linux looks no further than its table of descriptors goes, which is 64 at least.
    FD_SET(63, &readable);
    show("select of a closed one", select(64, &readable, NULL, NULL, &soon));

    int event = eventfd(3, EFD_NONBLOCK);
    uint64_t value = 0;
    show("eventfd", read(event, &value, 8));
    show("its value", (long)value);
    show("empty", read(event, &value, 8));
    value = 5;
    show("add", write(event, &value, 8));
    show("add", write(event, &value, 8));
    (void)!read(event, &value, 8);
    show("the sum", (long)value);
    show("too few bytes", read(event, &value, 4));

    int watcher = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wish = {.events = EPOLLIN, .data.u64 = 111}, got[4];
    show("watch the pipe", epoll_ctl(watcher, EPOLL_CTL_ADD, ends[0], &wish));
    show("twice", epoll_ctl(watcher, EPOLL_CTL_ADD, ends[0], &wish));
    wish.data.u64 = 222;
    show("watch the event", epoll_ctl(watcher, EPOLL_CTL_ADD, event, &wish));
    show("a regular file cannot be watched", epoll_ctl(watcher, EPOLL_CTL_ADD, file, &wish));
    show("a closed one neither", epoll_ctl(watcher, EPOLL_CTL_ADD, 77, &wish));
    show("nothing is ready", epoll_wait(watcher, got, 4, 20));
    (void)!write(ends[1], "xy", 2);
    show("one is ready", epoll_wait(watcher, got, 4, 1000));
    printf("  %lu events %#x\n", (unsigned long)got[0].data.u64, got[0].events);
    char byte;
    (void)!read(ends[0], &byte, 1);
    show("still ready", epoll_wait(watcher, got, 4, 0));
    wish = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u64 = 333};
    show("by edge", epoll_ctl(watcher, EPOLL_CTL_MOD, ends[0], &wish));
    show("ready once", epoll_wait(watcher, got, 4, 0));
    show("not twice", epoll_wait(watcher, got, 4, 0));
    show("stop watching", epoll_ctl(watcher, EPOLL_CTL_DEL, ends[0], NULL));
    show("what is not watched", epoll_ctl(watcher, EPOLL_CTL_DEL, ends[0], NULL));

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec when = {.it_value = {.tv_nsec = 20000000}, .it_interval = {.tv_nsec = 10000000}};
    show("timerfd", timerfd_settime(timer, 0, &when, NULL));
    show("it rings", read(timer, &value, 8));
    check("at least once", value >= 1);
    struct pollfd ring = {.fd = timer, .events = POLLIN};
    show("and again", poll(&ring, 1, 5000));
    return 0;
}
