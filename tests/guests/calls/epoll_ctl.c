// epoll_create, epoll_ctl: what can be watched, and what not.
#include "../story.h"
#include <sys/epoll.h>
#include <sys/socket.h>

static struct epoll_event event = {.events = EPOLLIN};

int main(void) {
    enter_story_directory();
    int ends[2];
    pipe(ends);
    SHOW(epoll_create(0));
    SHOW(epoll_create(-1));
    WORKS(epoll_create(1));
    SHOW(epoll_create1(1));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    SHOW(fcntl(epoll, F_GETFD));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[1], &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[1], &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], NULL));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], NOWHERE));
    SHOW(epoll_ctl(epoll, 9, ends[0], &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, -1, &event));
    SHOW(epoll_ctl(-1, EPOLL_CTL_ADD, ends[0], &event));
    SHOW(epoll_ctl(ends[1], EPOLL_CTL_ADD, ends[0], &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, new_file("file", ""), &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, open(".", O_RDONLY), &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, open("file", O_PATH), &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, open("/dev/null", O_RDONLY), &event));

    // One epoll may watch another, but not in a circle.
    int outer = epoll_create1(0);
    SHOW(epoll_ctl(outer, EPOLL_CTL_ADD, epoll, &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, outer, &event));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    struct epoll_event found;
    SHOW(epoll_wait(outer, &found, 1, 0));
    write(ends[1], "x", 1);
    SHOW(epoll_wait(outer, &found, 1, 0));
    SHOW(epoll_wait(epoll, &found, 1, 0));

    // A copy of the descriptor is another one to watch.
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, dup2(ends[0], 50), &event));
    struct epoll_event many[4];
    SHOW(epoll_wait(epoll, many, 4, 0));
    close(50);
    SHOW(epoll_ctl(epoll, EPOLL_CTL_DEL, 50, &event));
    struct epoll_event exclusive = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    SHOW(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &exclusive));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[1], &exclusive));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[1], &event));
    exclusive.events |= EPOLLONESHOT;
    SHOW(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[1], &exclusive));
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[1], &exclusive));
    return 0;
}
