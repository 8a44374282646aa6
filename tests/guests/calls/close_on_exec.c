// Every call that makes a descriptor can make it close when another program is executed, and none does so unasked.
#include "../story.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static void flag(const char *what, int fd) {
    printf("%s: %s\n", what, fd < 0 ? strerrorname_np(errno) : fcntl(fd, F_GETFD) ? "closes" : "stays");
}

int main(int count, char **arguments) {
    if (count > 1) {
        // The second time: what is open?
        for (int i = 3; i < 200; i++)
            if (fcntl(i, F_GETFD) >= 0)
                printf("%d is open\n", i);
        return 0;
    }
    (void)arguments;
    enter_story_directory();
    // Whoever started this may have left something open.
    close_range(3, ~0u, 0);
    int ends[2];
    sigset_t set;
    sigemptyset(&set);
    close(new_file("file", ""));
    flag("open", open("file", O_RDONLY));
    flag("open, closing", open("file", O_RDONLY | O_CLOEXEC));
    flag("creat", creat("file", 0644));
    flag("directory", open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    flag("path", open(".", O_PATH | O_CLOEXEC));
    pipe(ends);
    flag("pipe", ends[1]);
    pipe2(ends, O_CLOEXEC);
    flag("pipe2", ends[0]);
    flag("dup", dup(ends[0]));
    flag("dup2", dup2(ends[0], 50));
    flag("dup3", dup3(ends[0], 51, O_CLOEXEC));
    flag("fcntl", fcntl(ends[0], F_DUPFD, 60));
    flag("fcntl, closing", fcntl(ends[0], F_DUPFD_CLOEXEC, 70));
    flag("socket", socket(AF_UNIX, SOCK_STREAM, 0));
    flag("socket, closing", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    flag("eventfd", eventfd(0, 0));
    flag("eventfd, closing", eventfd(0, EFD_CLOEXEC));
    flag("epoll_create", epoll_create(1));
    flag("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
    flag("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
    flag("timerfd, closing", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    flag("signalfd", signalfd(-1, &set, 0));
    flag("signalfd, closing", signalfd(-1, &set, SFD_CLOEXEC));
    flag("inotify", inotify_init());
    flag("inotify, closing", inotify_init1(IN_CLOEXEC));
    flag("memfd", memfd_create("x", 0));
    flag("memfd, closing", memfd_create("x", MFD_CLOEXEC));
    fflush(stdout);
    char *again[] = {"again", "now", NULL}, *nothing[] = {NULL};
    execve("/proc/self/exe", again, nothing);
    return 1;
}
