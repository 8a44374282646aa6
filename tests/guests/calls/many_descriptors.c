// Hundreds of descriptors at once, watched by poll, select and epoll.
#include "../story.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>

enum { COUNT = 270 };

int main(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 1024) {
        limit.rlim_cur = 1024;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    static struct pollfd polled[COUNT];
    static struct epoll_event found[COUNT];
    int epoll = epoll_create1(0), files[COUNT];
    fd_set set;
    FD_ZERO(&set);
    for (int i = 0; i < COUNT; i++) {
        files[i] = eventfd(0, EFD_NONBLOCK);
        polled[i] = (struct pollfd){.fd = files[i], .events = POLLIN};
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, files[i], &event);
        FD_SET(files[i], &set);
    }
    CHECK(files[COUNT - 1] >= COUNT);
    SHOW(poll(polled, COUNT, 0));
    SHOW(epoll_wait(epoll, found, COUNT, 0));
    struct timeval none = {0, 0};
    fd_set copy = set;
    SHOW(select(files[COUNT - 1] + 1, &copy, NULL, NULL, &none));
    for (int i = 0; i < COUNT; i += 9)
        eventfd_write(files[i], 1);
    SHOW(poll(polled, COUNT, -1));
    SHOW(epoll_wait(epoll, found, COUNT, -1));
    copy = set;
    SHOW(select(files[COUNT - 1] + 1, &copy, NULL, NULL, &none));
    // A few at a time: each comes before any comes again.
    int seen[COUNT] = {0}, rounds = 0, twice = 0;
    for (int total = 0; total < COUNT / 9; rounds++) {
        int count = epoll_wait(epoll, found, 7, 0);
        for (int i = 0; i < count; i++)
            twice += seen[found[i].data.u32]++ > 0;
        total += count;
    }
    printf("%d rounds, %d twice\n", rounds, twice);
    eventfd_t value;
    for (int i = 0; i < COUNT; i += 9)
        eventfd_read(files[i], &value);
    SHOW(epoll_wait(epoll, found, COUNT, 0));
    for (int i = 0; i < COUNT; i++)
        close(files[i]);
    SHOW(poll(polled, COUNT, 0));
    SHOW(epoll_wait(epoll, found, COUNT, 0));
    return 0;
}
