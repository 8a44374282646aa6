// Files and directories that are watched (inotify): what is done to them is told, in order, once, and with names.
#include "story.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int fd;

static void events(const char *what) {
    static const char *const names[] = {"access", "modify", "attributes", "close-written", "close", "open", "from", "to",
                                        "create", "delete", "delete-self", "move-self"};
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t count = read(fd, bytes, sizeof bytes);
    printf("%s:%s", what, count < 0 ? " nothing" : "");
    unsigned cookie = 0;
    for (char *at = bytes; count > 0 && at < bytes + count;) {
        struct inotify_event *event = (void *)at;
        printf(" [%d", event->wd);
        for (int bit = 0; bit < 12; bit++)
            if (event->mask & 1u << bit)
                printf(" %s", names[bit]);
        printf("%s%s%s%s", event->mask & IN_ISDIR ? " dir" : "", event->mask & IN_IGNORED ? " ignored" : "",
               event->len ? " " : "", event->len ? event->name : "");
        if (event->len % 16 != 0)
            printf(" FAIL padding");
        if (event->mask & IN_MOVED_FROM)
            cookie = event->cookie;
        if (event->mask & IN_MOVED_TO)
            printf(event->cookie == cookie && cookie ? " same" : " another");
        printf("]");
        at += sizeof *event + event->len;
    }
    puts("");
}

int main(void) {
    enter_story_directory();
    mkdir("watched", 0755);
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    works("init", fd);
    int directory = (int)show("watch a directory", inotify_add_watch(fd, "watched", IN_ALL_EVENTS));
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    show("poll", poll(&entry, 1, 0));
    int file = open("watched/file", O_CREAT | O_RDWR, 0644);
    show("poll", poll(&entry, 1, 0));
    events("created");
    (void)!write(file, "abc", 3);
    (void)!write(file, "abc", 3);
    events("written twice");
    char buffer[10];
    (void)!pread(file, buffer, 3, 0);
    events("read");
    (void)!ftruncate(file, 1);
    events("truncated");
    fchmod(file, 0600);
    events("mode");
    close(file);
    events("closed");
    close(open("watched/file", O_RDONLY));
    events("opened and closed");
    show("watch the file", inotify_add_watch(fd, "watched/file", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF));
    truncate("watched/file", 0);
    events("both are told");
    rename("watched/file", "watched/other");
    events("renamed");
    link("watched/other", "watched/second");
    events("linked");
    unlink("watched/second");
    events("one name less");
    unlink("watched/other");
    events("removed");
    mkdir("watched/inner", 0755);
    rmdir("watched/inner");
    events("a directory");
    symlink("nowhere", "watched/link");
    events("a link");
    rename("watched/link", "moved out");
    events("moved out");
    unlink("moved out");
    show("change", inotify_add_watch(fd, "watched", IN_CREATE) == directory);
    file = open("watched/again", O_CREAT | O_RDWR, 0644);
    events("only creations");
    show("add", inotify_add_watch(fd, "watched", IN_DELETE | IN_MASK_ADD) == directory);
    close(file);
    unlink("watched/again");
    close(open("watched/again", O_CREAT | O_RDWR, 0644));
    int waiting;
    ioctl(fd, FIONREAD, &waiting);
    show("waiting", waiting);
    show("too small", read(fd, buffer, 10));
    events("and removals");
    show("remove", inotify_rm_watch(fd, directory));
    events("is told");
    show("remove again", inotify_rm_watch(fd, directory));
    show("once", inotify_add_watch(fd, "watched", IN_CREATE | IN_ONESHOT));
    close(open("watched/one", O_CREAT | O_RDWR, 0644));
    close(open("watched/two", O_CREAT | O_RDWR, 0644));
    events("once");
    unlink("watched/again");
    unlink("watched/one");
    unlink("watched/two");
    show("watch", inotify_add_watch(fd, "watched", IN_DELETE_SELF | IN_ONLYDIR));
    show("not twice", inotify_add_watch(fd, "watched", IN_CREATE | IN_MASK_CREATE));
    rmdir("watched");
    events("gone");

    show("no events", inotify_add_watch(fd, ".", 0));
    show("nothing there", inotify_add_watch(fd, "nowhere", IN_ALL_EVENTS));
    show("no directory", inotify_add_watch(fd, "/dev/null", IN_ALL_EVENTS | IN_ONLYDIR));
    show("no watcher", inotify_add_watch(1, ".", IN_ALL_EVENTS));
    show("no descriptor", inotify_add_watch(999, ".", IN_ALL_EVENTS));
    show("unknown flag", inotify_init1(1));
    show("write", write(fd, "x", 1));
    return 0;
}
