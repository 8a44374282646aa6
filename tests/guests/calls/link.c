// link, linkat: another name for a file, and what gets none.
#include "../story.h"

static long names(const char *name) {
    struct stat status;
    return lstat(name, &status) == 0 ? (long)status.st_nlink : -1;
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text");
    mkdir("directory", 0755);
    symlink("file", "soft");
    symlink("nothing", "dangling");
    symlink("loop", "loop");
    SHOW(link("file", "second"));
    SHOW(names("file"));
    SHOW(link("file", "directory/third"));
    SHOW(names("second"));
    SHOW(link("file", "file"));
    SHOW(link("file", "second"));
    SHOW(link("nothing", "x"));
    SHOW(link("file", "nowhere/x"));
    SHOW(link("file", "file/x"));
    SHOW(link("directory", "x"));
    SHOW(link("file", "directory"));
    SHOW(link("file", "new/"));
    SHOW(link("file/", "x"));
    SHOW(link("", "x"));
    SHOW(link("file", ""));
    SHOW(link(NULL, "x"));
    SHOW(link("file", NOWHERE));
    SHOW(link("loop/x", "x"));
    // The link itself gets another name, not what it leads to.
    SHOW(link("soft", "soft too"));
    SHOW(names("soft"));
    SHOW(names("file"));
    SHOW(linkat(AT_FDCWD, "soft", AT_FDCWD, "hard", AT_SYMLINK_FOLLOW));
    SHOW(names("hard"));
    SHOW(linkat(AT_FDCWD, "dangling", AT_FDCWD, "x", AT_SYMLINK_FOLLOW));
    SHOW(linkat(AT_FDCWD, "dangling", AT_FDCWD, "dangling too", 0));
    SHOW(linkat(AT_FDCWD, "file", AT_FDCWD, "x", 0x8000));
    SHOW(linkat(AT_FDCWD, "file", AT_FDCWD, "x", AT_SYMLINK_NOFOLLOW));
    SHOW(linkat(-1, "file", AT_FDCWD, "x", 0));
    SHOW(linkat(file, "file", AT_FDCWD, "x", 0));
    SHOW(linkat(AT_FDCWD, "file", -1, "x", 0));
    int directory = open("directory", O_RDONLY);
    SHOW(linkat(directory, "third", directory, "fourth", 0));
    SHOW(linkat(directory, "third", AT_FDCWD, "fifth", 0));
    SHOW(names("fifth"));
    SHOW(linkat(file, "", AT_FDCWD, "x", 0));
    SHOW(link("/dev/null", "x"));
    SHOW(link("/proc/self/stat", "x"));
    char byte;
    SHOW(write(open("fifth", O_WRONLY), "T", 1));
    SHOW(pread(file, &byte, 1, 0));
    printf("%c\n", byte);
    SHOW(unlink("file"));
    SHOW(names("second"));
    SHOW(unlink("second"));
    struct stat status;
    fstat(file, &status);
    SHOW(status.st_nlink);
    return 0;
}
