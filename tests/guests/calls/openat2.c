// openat2: what open ignores is an error here, and a path can be kept below where it starts.
#include "../story.h"
#include <linux/openat2.h>

static long openat2_(int at, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return syscall(SYS_openat2, at, path, &how, sizeof how);
}

int main(void) {
    enter_story_directory();
    umask(022);
    mkdir("inside", 0755);
    close(new_file("outside", "o"));
    close(new_file("inside/file", "f"));
    symlink("../outside", "inside/up");
    symlink("file", "inside/link");
    symlink("/", "inside/root");
    symlink("/file", "inside/absolute");
    int at = open("inside", O_RDONLY | O_DIRECTORY);

    WORKS(openat2_(at, "file", O_RDONLY, 0, 0));
    WORKS(openat2_(at, "new", O_RDWR | O_CREAT, 0640, 0));
    struct stat status;
    stat("inside/new", &status);
    printf("mode %o\n", status.st_mode);
    SHOW(openat2_(at, "file", O_RDONLY, 0600, 0));
    SHOW(openat2_(at, "file", O_RDWR | O_CREAT, 010600, 0));
    SHOW(openat2_(at, "file", 1ull << 40, 0, 0));
    SHOW(openat2_(at, "file", O_RDONLY, 0, 0x8000));
    SHOW(openat2_(at, "file", O_PATH | O_RDWR, 0, 0));
    WORKS(openat2_(at, "up", O_RDONLY, 0, 0));
    SHOW(openat2_(at, "up", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(openat2_(at, "../outside", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(openat2_(at, "/etc", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(openat2_(at, "root", O_RDONLY, 0, RESOLVE_BENEATH));
    WORKS(openat2_(at, "link", O_RDONLY, 0, RESOLVE_BENEATH));
    WORKS(openat2_(at, ".", O_RDONLY, 0, RESOLVE_BENEATH));
    WORKS(openat2_(at, "../inside/../inside/file", O_RDONLY, 0, 0));
    SHOW(openat2_(at, "../inside/file", O_RDONLY, 0, RESOLVE_BENEATH));
    SHOW(openat2_(at, "link", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    WORKS(openat2_(at, "file", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    SHOW(openat2_(at, "../inside/link", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    WORKS(openat2_(at, "/file", O_RDONLY, 0, RESOLVE_IN_ROOT));
    WORKS(openat2_(at, "absolute", O_RDONLY, 0, RESOLVE_IN_ROOT));
    WORKS(openat2_(at, "../../file", O_RDONLY, 0, RESOLVE_IN_ROOT));
    SHOW(openat2_(at, "up", O_RDONLY, 0, RESOLVE_IN_ROOT));
    SHOW(openat2_(at, "file", O_RDONLY, 0, RESOLVE_IN_ROOT | RESOLVE_BENEATH));
    SHOW(openat2_(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
    WORKS(openat2_(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, 0));
    SHOW(openat2_(AT_FDCWD, "/proc/self/stat", O_RDONLY, 0, RESOLVE_NO_XDEV | RESOLVE_BENEATH));
    SHOW(openat2_(AT_FDCWD, "/proc/self/stat", O_RDONLY, 0, RESOLVE_NO_XDEV));
    SHOW(openat2_(-1, "file", O_RDONLY, 0, 0));
    SHOW(openat2_(at, NOWHERE, O_RDONLY, 0, 0));

    struct { struct open_how how; uint64_t more[2]; } longer = {.how = {.flags = O_RDONLY}};
    WORKS(syscall(SYS_openat2, at, "file", &longer, sizeof longer));
    longer.more[1] = 1;
    SHOW(syscall(SYS_openat2, at, "file", &longer, sizeof longer));
    SHOW(syscall(SYS_openat2, at, "file", &longer, 23));
    SHOW(syscall(SYS_openat2, at, "file", &longer, 0));
    SHOW(syscall(SYS_openat2, at, "file", &longer, 5000));
    SHOW(syscall(SYS_openat2, at, "file", NOWHERE, sizeof longer.how));
    return 0;
}
