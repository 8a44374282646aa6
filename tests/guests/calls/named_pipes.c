// mknod, mkfifo and named pipes: who opens waits for the other end, unless told not to.
#include "../story.h"
#include <sys/sysmacros.h>

static void writer(void) {
    int end = open("fifo", O_WRONLY);
    write(end, "from the child", 14);
}

int main(void) {
    enter_story_directory();
    umask(022);
    char text[32] = {0};
    SHOW(mkfifo("fifo", 0666));
    SHOW(mkfifo("fifo", 0666));
    SHOW(mknod("nowhere/x", S_IFIFO | 0600, 0));
    SHOW(mknod("", S_IFIFO | 0600, 0));
    SHOW(mknod("x/", S_IFIFO | 0600, 0));
    SHOW(mknod("regular", S_IFREG | 0640, 0));
    SHOW(mknod("plain", 0600, 0));
    SHOW(mknod("socket", S_IFSOCK | 0600, 0));
    SHOW(mknod("x", S_IFDIR | 0600, 0));
    SHOW(mknod("x", S_IFLNK | 0600, 0));
    SHOW(mknodat(-1, "x", S_IFIFO | 0600, 0));
    SHOW(mknodat(open("regular", O_RDONLY), "x", S_IFIFO | 0600, 0));
    SHOW(mknodat(open(".", O_RDONLY), "second", S_IFIFO | 0600, 0));
    SHOW(syscall(SYS_mknod, NOWHERE, S_IFIFO | 0600, 0));
    struct stat status;
    stat("fifo", &status);
    printf("mode %o\n", status.st_mode);
    stat("socket", &status);
    printf("mode %o\n", status.st_mode);
    SHOW(open("socket", O_RDONLY));
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    int reader = open("fifo", O_RDONLY | O_NONBLOCK);
    works("reader", reader);
    SHOW(read(reader, text, 1));
    int end = open("fifo", O_WRONLY | O_NONBLOCK);
    works("writer", end);
    SHOW(read(reader, text, 1));
    SHOW(write(end, "abc", 3));
    SHOW(read(reader, text, 10));
    SHOW(lseek(reader, 0, SEEK_SET));
    close(end);
    SHOW(read(reader, text, 10));
    close(reader);
    int both = open("fifo", O_RDWR | O_NONBLOCK);
    works("both", both);
    SHOW(write(both, "xy", 2));
    SHOW(read(both, text, 10));
    SHOW(read(both, text, 10));
    close(both);

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        writer();
        _exit(0);
    }
    reader = open("fifo", O_RDONLY);
    SHOW(read(reader, text, sizeof text));
    puts(text);
    waitpid(child, NULL, 0);
    SHOW(read(reader, text, sizeof text));
    unlink("fifo");
    unlink("second");
    unlink("socket");
    return 0;
}
