// chmod, fchmod, fchmodat: every bit, and what has none to be changed.
#include "../story.h"

static int mode_of(const char *name) {
    struct stat status = {0};
    lstat(name, &status);
    return status.st_mode & 07777;
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text");
    mkdir("directory", 0755);
    symlink("file", "soft");
    symlink("nothing", "dangling");
    symlink("loop", "loop");
    for (int mode = 1; mode <= 04000; mode *= 2) {
        int result = chmod("file", (mode_t)mode);
        printf("%o: %d %o\n", mode, result, mode_of("file"));
    }
    SHOW(chmod("file", 0170644));
    printf("%o\n", mode_of("file"));
    SHOW(chmod("directory", 01777));
    printf("%o\n", mode_of("directory"));
    SHOW(chmod("soft", 0600));
    printf("%o %o\n", mode_of("file"), mode_of("soft"));
    SHOW(chmod("dangling", 0600));
    SHOW(chmod("loop", 0600));
    SHOW(chmod("nothing", 0600));
    SHOW(chmod("file/x", 0600));
    SHOW(chmod("", 0600));
    SHOW(chmod(NULL, 0600));
    SHOW(fchmod(file, 0640));
    printf("%o\n", mode_of("file"));
    SHOW(fchmod(open("file", O_RDONLY), 0400));
    printf("%o\n", mode_of("file"));
    SHOW(fchmod(open("directory", O_RDONLY), 0755));
    SHOW(fchmod(-1, 0600));
    SHOW(fchmod(open("file", O_PATH), 0600));
    SHOW(syscall(SYS_fchmodat, AT_FDCWD, "file", 0644));
    SHOW(syscall(SYS_fchmodat, -1, "file", 0644));
    SHOW(syscall(SYS_fchmodat, file, "file", 0644));
    SHOW(syscall(SYS_fchmodat, open("directory", O_RDONLY), "../file", 0604));
    printf("%o\n", mode_of("file"));
    int ends[2];
    pipe(ends);
    SHOW(fchmod(ends[0], 0600));
    struct stat status;
    fstat(ends[0], &status);
    printf("%o\n", status.st_mode);

    // What is written to loses the bit by which it ran as its owner.
    chmod("file", 04755);
    if (getuid() != 0)
        SHOW(write(file, "x", 1) - 1);
    else
        SHOW(chmod("file", 0755));
    printf("%o\n", mode_of("file"));
    return 0;
}
