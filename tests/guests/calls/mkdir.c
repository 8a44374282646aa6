// mkdir, mkdirat: modes, the set-group-id bit that is handed down, and where no directory can be.
#include "../story.h"

static void mode_of(const char *name) {
    struct stat status = {0};
    stat(name, &status);
    printf("  %s: %o\n", name, status.st_mode);
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "");
    umask(022);
    SHOW(mkdir("a", 0777));
    mode_of("a");
    umask(077);
    SHOW(mkdir("b", 0777));
    mode_of("b");
    umask(0);
    SHOW(mkdir("c", 01777));
    mode_of("c");
    SHOW(mkdir("d", 0));
    mode_of("d");
    chmod("a", 02755);
    SHOW(mkdir("a/inner", 0755));
    mode_of("a/inner");
    close(new_file("a/file", ""));
    mode_of("a/file");
    symlink("a", "soft");
    symlink("nothing", "dangling");
    symlink("loop", "loop");
    SHOW(mkdir("a", 0755));
    SHOW(mkdir("file", 0755));
    SHOW(mkdir("soft", 0755));
    SHOW(mkdir("dangling", 0755));
    SHOW(mkdir("dangling/", 0755));
    SHOW(mkdir("file/x", 0755));
    SHOW(mkdir("nowhere/x", 0755));
    SHOW(mkdir("loop/x", 0755));
    SHOW(mkdir("", 0755));
    SHOW(mkdir("/", 0755));
    SHOW(mkdir(".", 0755));
    SHOW(mkdir("..", 0755));
    SHOW(mkdir("a/.", 0755));
    SHOW(mkdir("x/.", 0755));
    SHOW(mkdir("x/..", 0755));
    SHOW(mkdir(NULL, 0755));
    SHOW(mkdir(NOWHERE, 0755));
    SHOW(mkdir("e///", 0755));
    SHOW(mkdir("soft/through", 0755));
    mode_of("a/through");
    SHOW(mkdirat(-1, "x", 0755));
    SHOW(mkdirat(file, "x", 0755));
    int directory = open("a", O_RDONLY);
    SHOW(mkdirat(directory, "at", 0700));
    mode_of("a/at");
    struct stat status;
    stat("a", &status);
    SHOW(S_ISDIR(status.st_mode));
    chmod("b", 0500);
    long result = mkdir("b/x", 0755);
    check("only user 0 may", getuid() == 0 ? result == 0 : result == -1 && errno == EACCES);
    chmod("b", 0700);
    rmdir("b/x");
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    SHOW(mkdir(name, 0755));
    name[255] = 0;
    show("255 bytes", mkdir(name, 0755));
    return 0;
}
