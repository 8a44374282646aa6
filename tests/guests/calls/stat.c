// stat, lstat, fstat, newfstatat: every kind of file, and where none is.
#include "../story.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

static struct stat status;

static void tell(const char *what, int result) {
    if (result != 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: mode %o, %s%ld names%s\n", what, status.st_mode, S_ISREG(status.st_mode) ? "" : "some of ",
               S_ISREG(status.st_mode) ? (long)status.st_nlink : 0L,
               status.st_uid == getuid() && status.st_gid == getgid() ? ", mine" : "");
}

int main(void) {
    enter_story_directory();
    umask(022);
    int file = new_file("file", "0123456789");
    mkdir("directory", 0755);
    mkfifo("fifo", 0644);
    symlink("file", "soft");
    symlink("nothing", "dangling");
    symlink("loop", "loop");
    link("file", "second");
    tell("file", stat("file", &status));
    printf("size %ld, block size a power of two: %d, device number 0: %d\n", (long)status.st_size,
           (status.st_blksize & (status.st_blksize - 1)) == 0, status.st_rdev == 0);
    ino_t inode = status.st_ino;
    dev_t device = status.st_dev;
    tell("second name", stat("second", &status));
    CHECK(status.st_ino == inode && status.st_dev == device);
    tell("open", fstat(file, &status));
    CHECK(status.st_ino == inode && status.st_dev == device);
    tell("directory", stat("directory", &status));
    // Some of Linux's file systems have devices for their directories alone.
    CHECK(status.st_ino != inode);
    tell("fifo", stat("fifo", &status));
    tell("through a link", stat("soft", &status));
    tell("a link", lstat("soft", &status));
    SHOW(status.st_size);
    tell("a link to a directory", lstat("directory/.", &status));
    tell("dangling", stat("dangling", &status));
    tell("dangling itself", lstat("dangling", &status));
    tell("loop", stat("loop", &status));
    tell("nothing", stat("nothing", &status));
    tell("below a file", stat("file/x", &status));
    tell("a file with a slash", stat("file/", &status));
    tell("empty", stat("", &status));
    tell("null", stat(NULL, &status));
    SHOW(stat("file", NULL));
    SHOW(fstat(file, NOWHERE));
    SHOW(stat("file", (void *)before_the_end(sizeof status - 8)));
    SHOW(stat("file", (void *)before_the_end(sizeof status)));
    tell("closed", fstat(-1, &status));
    tell("only a path", fstat(open("file", O_PATH), &status));
    tell("/dev/null", stat("/dev/null", &status));
    printf("device %u:%u\n", major(status.st_rdev), minor(status.st_rdev));
    int ends[2], sockets[2];
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    tell("a pipe", fstat(ends[0], &status));
    tell("a socket", fstat(sockets[0], &status));
    tell("an event", fstat(eventfd(0, 0), &status));

    int directory = open("directory", O_RDONLY);
    tell("at", fstatat(directory, "../file", &status, 0));
    tell("at, the link", fstatat(directory, "../soft", &status, AT_SYMLINK_NOFOLLOW));
    tell("at, itself", fstatat(file, "", &status, AT_EMPTY_PATH));
    tell("at, itself, not said", fstatat(file, "", &status, 0));
    tell("at, here", fstatat(AT_FDCWD, "", &status, AT_EMPTY_PATH));
    tell("at a file", fstatat(file, "x", &status, 0));
    tell("at nothing", fstatat(-1, "x", &status, 0));
    tell("at, absolute", fstatat(-1, "/dev/null", &status, AT_NO_AUTOMOUNT));
    tell("an unknown flag", fstatat(directory, "../file", &status, 0x8000));
    return 0;
}
