// A directory that was removed while somebody is in it: it is empty, and stays so.
#include "../story.h"
#include <dirent.h>

int main(void) {
    enter_story_directory();
    struct stat status;
    mkdir("d", 0755);
    int outside = open(".", O_RDONLY), inside = open("d", O_RDONLY);
    chdir("d");
    SHOW(rmdir("../d"));
    SHOW(stat(".", &status));
    SHOW(S_ISDIR(status.st_mode));
    SHOW(open("file", O_CREAT | O_WRONLY, 0644));
    SHOW(mkdir("x", 0755));
    SHOW(symlink("x", "y"));
    SHOW(mkfifo("x", 0644));
    SHOW(link("../x", "x"));
    SHOW(rename("../x", "x"));
    SHOW(openat(inside, "file", O_CREAT | O_WRONLY, 0644));
    SHOW(access("file", F_OK));
    SHOW(access(".", F_OK));
    SHOW(chdir("."));
    SHOW(rmdir("."));
    SHOW(rmdir("../d"));
    int entries = 0;
    DIR *directory = fdopendir(inside);
    while (readdir(directory) != NULL)
        entries++;
    SHOW(entries);
    char path[100];
    SHOW(syscall(SYS_getcwd, path, sizeof path));
    // Another one of the same name is another one.
    fchdir(outside);
    SHOW(mkdir("d", 0755));
    SHOW(fchdir(dirfd(directory)));
    SHOW(open("file", O_CREAT | O_WRONLY, 0644));
    SHOW(fchdir(outside));
    SHOW(access("d", F_OK));
    SHOW(rmdir("d"));
    return 0;
}
