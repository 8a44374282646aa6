// rename, renameat, renameat2: over what, into what, and what never.
#include "../story.h"
#include <linux/fs.h>

static void tell(const char *name) {
    struct stat status;
    int is_there = lstat(name, &status) == 0;
    printf("  %s: %s\n", name, !is_there ? "nothing" : S_ISDIR(status.st_mode) ? "directory" : S_ISLNK(status.st_mode) ? "link" : "file");
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text");
    close(new_file("other", "other text"));
    mkdir("empty", 0755);
    mkdir("full", 0755);
    mkdir("full/inner", 0755);
    symlink("file", "soft");
    symlink("loop", "loop");
    SHOW(rename("nothing", "x"));
    SHOW(rename("", "x"));
    SHOW(rename("file", ""));
    SHOW(rename("file", "nowhere/x"));
    SHOW(rename("file", "other/x"));
    SHOW(rename("file", "empty"));
    SHOW(rename("empty", "file"));
    SHOW(rename("empty", "full"));
    SHOW(rename("full", "full/inner/x"));
    SHOW(rename("full", "full"));
    SHOW(rename("full/inner", "full"));
    SHOW(rename("file/", "x"));
    SHOW(rename("file", "x/"));
    SHOW(rename(".", "x"));
    SHOW(rename("full/..", "x"));
    SHOW(rename("file", "."));
    SHOW(rename("loop/x", "x"));
    SHOW(rename("/", "x"));
    SHOW(rename("file", "/"));
    SHOW(rename(NULL, "x"));
    SHOW(rename("file", NOWHERE));
    SHOW(rename("empty/", "renamed/"));
    tell("renamed");
    SHOW(rename("renamed", "empty"));
    SHOW(rename("soft", "other"));
    tell("other");
    SHOW(rename("other", "soft"));
    SHOW(link("file", "second"));
    // Two names of one file: nothing happens.
    SHOW(rename("file", "second"));
    tell("file");
    tell("second");
    SHOW(unlink("second"));
    SHOW(rename("full/inner", "inner"));
    SHOW(rename("inner", "full/../empty"));
    tell("empty");
    SHOW(rename("full", "soft"));
    SHOW(rename("/dev/null", "x"));

    int directory = open("full", O_RDONLY);
    SHOW(renameat(AT_FDCWD, "file", directory, "file"));
    tell("full/file");
    SHOW(renameat(directory, "file", AT_FDCWD, "file"));
    SHOW(renameat(-1, "file", AT_FDCWD, "x"));
    SHOW(renameat(file, "file", AT_FDCWD, "x"));
    SHOW(renameat(AT_FDCWD, "file", file, "x"));
    close(new_file("there", "there"));
    SHOW(renameat2(AT_FDCWD, "file", AT_FDCWD, "there", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "file", AT_FDCWD, "full", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "file", AT_FDCWD, "file", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "nothing", AT_FDCWD, "x", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "file", AT_FDCWD, "x", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "x", AT_FDCWD, "file", 0));
    SHOW(renameat2(AT_FDCWD, "file", AT_FDCWD, "there", RENAME_NOREPLACE | RENAME_EXCHANGE));
    SHOW(renameat2(AT_FDCWD, "file", AT_FDCWD, "there", 0x80));
    tell("there");

    // Who is in a directory stays in it, whatever it is called.
    chdir("full");
    SHOW(rename("../full", "../moved"));
    char path[4096];
    printf("%s\n", strrchr(getcwd(path, sizeof path), '/'));
    return 0;
}
