// chdir, fchdir, getcwd: into what one can go, and how it is called.
#include "../story.h"

static void where(void) {
    char path[4096];
    long result = syscall(SYS_getcwd, path, sizeof path);
    if (result < 0)
        printf("  %s\n", strerrorname_np(errno));
    else
        printf("  %s %d\n", strrchr(path, '/'), (size_t)result == strlen(path) + 1);
}

int main(void) {
    enter_story_directory();
    int here = open(".", O_RDONLY);
    int file = new_file("file", "");
    mkdir("a", 0755);
    mkdir("a/b", 0755);
    symlink("a/b", "soft");
    symlink("loop", "loop");
    SHOW(chdir("a"));
    where();
    SHOW(chdir("b"));
    where();
    SHOW(chdir("../.."));
    SHOW(chdir("soft"));
    where();
    SHOW(chdir(".."));
    where();
    SHOW(fchdir(here));
    SHOW(chdir("file"));
    SHOW(chdir("nothing"));
    SHOW(chdir("file/x"));
    SHOW(chdir("loop"));
    SHOW(chdir(""));
    SHOW(chdir(NULL));
    SHOW(chdir(NOWHERE));
    SHOW(fchdir(-1));
    SHOW(fchdir(file));
    SHOW(fchdir(open("a", O_PATH)));
    where();
    fchdir(here);
    SHOW(fchdir(open("file", O_PATH)));
    char path[4096];
    SHOW(syscall(SYS_getcwd, path, 0));
    SHOW(syscall(SYS_getcwd, path, 1));
    long needed = (long)strlen(getcwd(path, sizeof path)) + 1;
    CHECK(syscall(SYS_getcwd, path, needed) == needed);
    SHOW(syscall(SYS_getcwd, path, needed - 1));
    SHOW(syscall(SYS_getcwd, NOWHERE, 4096));
    SHOW(syscall(SYS_getcwd, NULL, 4096));

    chmod("a", 0600);
    long result = chdir("a");
    check("only user 0 may", getuid() == 0 ? result == 0 : result == -1 && errno == EACCES);
    fchdir(here);
    chmod("a", 0755);
    // A directory that is gone has no name any more, but one is still in it.
    chdir("a/b");
    SHOW(rmdir("../b"));
    where();
    SHOW(open("x", O_CREAT | O_RDWR, 0644));
    SHOW(chdir("."));
    SHOW(chdir(".."));
    where();
    SHOW(rename("../a", "../c"));
    where();
    return 0;
}
