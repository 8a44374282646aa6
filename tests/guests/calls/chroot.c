// chroot: another root for user 0, and nothing for anybody else.
#include "../story.h"

static void as_root(void) {
    mkdir("inside", 0755);
    close(new_file("inside/file", "in"));
    close(new_file("outside", "out"));
    symlink("/file", "inside/absolute");
    symlink("../outside", "inside/up");
    int here = open(".", O_RDONLY);
    SHOW(chroot("outside"));
    SHOW(chroot("nothing"));
    SHOW(chroot(""));
    SHOW(chroot(NULL));
    SHOW(chroot("inside"));
    // The working directory stays, and is outside.
    SHOW(access("outside", F_OK));
    SHOW(access("/file", F_OK));
    SHOW(access("/outside", F_OK));
    SHOW(chdir("/"));
    SHOW(access("absolute", F_OK));
    SHOW(access("up", F_OK));
    SHOW(access("../../../outside", F_OK));
    char path[100];
    SHOW(syscall(SYS_getcwd, path, sizeof path));
    puts(path);
    SHOW(fchdir(here));
    SHOW(syscall(SYS_getcwd, path, sizeof path) > 0 && strncmp(path, "(unreachable)", 13) == 0);
    SHOW(access("outside", F_OK));
}

int main(void) {
    enter_story_directory();
    if (geteuid() == 0) {
        as_root();
    } else {
        // What anybody else may not, whatever it is called with.
        check("refused", chroot(".") == -1 && errno == EPERM);
        check("refused", chroot("nothing") == -1 && errno == ENOENT);
    }
    return 0;
}
