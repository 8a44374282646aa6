// inotify: who may be watched, how often, and what reading gives when the buffer is small.
#include "../story.h"
#include <limits.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

int main(void) {
    enter_story_directory();
    char buffer[4096];
    mkdir("d", 0755);
    close(new_file("d/file", ""));
    symlink("d", "soft");
    SHOW(inotify_init1(0x10));
    int old = inotify_init();
    works("inotify_init", old);
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
    SHOW(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE));
    SHOW(inotify_add_watch(fd, "d/file", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(fd, "soft", IN_CREATE));
    SHOW(inotify_add_watch(fd, "soft", IN_CREATE | IN_DONT_FOLLOW));
    SHOW(inotify_add_watch(fd, "soft", IN_CREATE | IN_DONT_FOLLOW | IN_ONLYDIR));
    SHOW(inotify_add_watch(fd, "d/file", IN_ALL_EVENTS | IN_ONLYDIR));
    SHOW(inotify_add_watch(fd, "d", IN_DELETE | IN_MASK_ADD));
    SHOW(inotify_add_watch(fd, "d", IN_CREATE | IN_MASK_CREATE));
    SHOW(inotify_add_watch(fd, "d", IN_CREATE | IN_MASK_CREATE | IN_MASK_ADD));
    SHOW(inotify_add_watch(fd, "d", 0));
    SHOW(inotify_add_watch(fd, "nothing", IN_CREATE));
    SHOW(inotify_add_watch(fd, "", IN_CREATE));
    SHOW(inotify_add_watch(fd, NOWHERE, IN_CREATE));
    SHOW(inotify_add_watch(-1, "d", IN_CREATE));
    SHOW(inotify_add_watch(0, "d", IN_CREATE));
    SHOW(inotify_rm_watch(fd, 99));
    SHOW(inotify_rm_watch(fd, -1));
    SHOW(inotify_rm_watch(-1, 1));
    SHOW(inotify_rm_watch(0, 1));

    SHOW(read(fd, buffer, sizeof buffer));
    close(new_file("d/a", ""));
    close(new_file("d/another", ""));
    int waiting = 0;
    SHOW(ioctl(fd, FIONREAD, &waiting));
    SHOW(waiting);
    SHOW(read(fd, buffer, 5));
    SHOW(read(fd, buffer, sizeof(struct inotify_event)));
    SHOW(read(fd, buffer, 40));
    SHOW(read(fd, buffer, sizeof buffer));
    SHOW(read(fd, buffer, sizeof buffer));
    // The same twice in a row is told once.
    truncate("d/file", 1);
    truncate("d/file", 2);
    truncate("d/file", 3);
    SHOW(read(fd, buffer, sizeof buffer) / (long)sizeof(struct inotify_event));
    unlink("d/a");
    SHOW(read(fd, NOWHERE, sizeof buffer));
    SHOW(write(fd, buffer, 16));
    unlink("d/another");
    unlink("d/file");
    rmdir("d");
    return 0;
}
