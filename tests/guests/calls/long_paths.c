// Paths that are long, deep, or full of slashes and dots; and directories deeper than any path can say.
#include "../story.h"

int main(void) {
    enter_story_directory();
    char path[6000], component[256];
    int here = open(".", O_RDONLY);
    close(new_file("file", "text"));
    memset(path, '/', sizeof path);
    strcpy(path, "./");
    memset(path + 1, '/', 4000);
    strcpy(path + 4000, "file");
    SHOW(access(path, F_OK));
    path[0] = 0;
    for (int i = 0; i < 2000; i++)
        strcat(path, "./");
    strcat(path, "file");
    show("a path of 4004 bytes", access(path, F_OK));
    memset(path, 'x', sizeof path);
    for (size_t i = 200; i < 4095; i += 200)
        path[i] = '/';
    path[4095] = 0;
    show("4095 bytes of nothing", access(path, F_OK));
    path[4095] = 'x';
    path[4096] = 0;
    show("4096 bytes", access(path, F_OK));
    show("4096 bytes", open(path, O_RDONLY));
    show("4096 bytes", mkdir(path, 0755));
    show("4096 bytes", chdir(path));
    show("4096 bytes", rename("file", path));
    show("4096 bytes", rename(path, "file"));
    show("4096 bytes", truncate(path, 0));
    show("4096 bytes", unlink(path));
    char target[8];
    show("4096 bytes", readlink(path, target, sizeof target));
    memset(component, 'c', sizeof component);
    component[255] = 0;
    int depth = 0;
    while (depth < 17 && mkdir(component, 0755) == 0 && chdir(component) == 0)
        depth++;
    SHOW(depth);
    // One can be here, but not say where.
    SHOW(syscall(SYS_getcwd, path, sizeof path));
    SHOW(access(".", F_OK));
    int deep = new_file("deep", "x");
    SHOW(write(deep, "y", 1));
    SHOW(unlink("deep"));
    for (; depth > 0; depth--) {
        if (chdir("..") != 0 || rmdir(component) != 0) {
            show("back", -1);
            break;
        }
    }
    SHOW(fchdir(here));
    SHOW(access(component, F_OK));
    component[254] = '/';
    SHOW(mkdir("a", 0755));
    SHOW(access("a/../a/../a/./../file", F_OK));
    SHOW(access("a/../../../../../../../../../../../../../../../../dev/null", F_OK));
    SHOW(access("//dev//null", F_OK));
    SHOW(access("/..//../dev/./null", F_OK));
    SHOW(access("file/..", F_OK));
    SHOW(access("file/.", F_OK));
    SHOW(access("a/", F_OK));
    return 0;
}
