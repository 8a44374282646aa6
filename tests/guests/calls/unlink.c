// unlink, unlinkat, rmdir: names that go, and those that stay.
#include "../story.h"

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text");
    mkdir("directory", 0755);
    mkdir("directory/inner", 0755);
    mkdir("empty", 0755);
    symlink("file", "soft");
    symlink("directory", "soft-directory");
    symlink("loop", "loop");
    SHOW(unlink("nothing"));
    SHOW(unlink(""));
    SHOW(unlink("file/"));
    SHOW(unlink("file/x"));
    SHOW(unlink("nowhere/x"));
    SHOW(unlink("directory"));
    SHOW(unlink("soft-directory/inner"));
    SHOW(unlink("loop/x"));
    SHOW(unlink("."));
    SHOW(unlink("/"));
    SHOW(unlink(NULL));
    SHOW(unlink(NOWHERE));
    SHOW(unlink("loop"));
    SHOW(unlink("soft"));
    SHOW(access("file", F_OK));
    SHOW(rmdir("directory"));
    SHOW(rmdir("soft-directory"));
    SHOW(rmdir("soft-directory/"));
    SHOW(rmdir("file"));
    SHOW(rmdir("nothing"));
    SHOW(rmdir(""));
    SHOW(rmdir("empty/."));
    SHOW(rmdir("directory/.."));
    SHOW(rmdir("."));
    SHOW(rmdir("/"));
    SHOW(rmdir(NULL));
    SHOW(rmdir("empty/"));
    SHOW(access("empty", F_OK));
    SHOW(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    SHOW(unlinkat(AT_FDCWD, "directory", 0));
    SHOW(unlinkat(AT_FDCWD, "file", 0x8000));
    SHOW(unlinkat(-1, "file", 0));
    SHOW(unlinkat(file, "file", 0));
    int directory = open("directory", O_RDONLY);
    SHOW(unlinkat(directory, "inner", AT_REMOVEDIR));
    SHOW(unlinkat(directory, "inner", AT_REMOVEDIR));
    SHOW(unlinkat(directory, "../file", 0));
    SHOW(access("file", F_OK));
    SHOW(unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR));
    // A directory that is open but gone is empty, and nothing can be made in it.
    SHOW(mkdirat(directory, "x", 0755));
    SHOW(unlinkat(directory, "x", 0));
    SHOW(unlink("soft-directory"));

    // One who may not write the directory may not remove from it; user 0 may.
    mkdir("closed", 0755);
    close(new_file("closed/file", ""));
    chmod("closed", 0555);
    long result = unlink("closed/file");
    check("only user 0 may", getuid() == 0 ? result == 0 : result == -1 && errno == EACCES);
    chmod("closed", 0755);
    unlink("closed/file");
    SHOW(rmdir("closed"));
    return 0;
}
