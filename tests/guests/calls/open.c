// open, openat, creat: flags, modes, and where a path may come from.
#include "../story.h"

static void mode_of(const char *name) {
    struct stat status = {0};
    stat(name, &status);
    printf("  %s: %o, %ld bytes\n", name, status.st_mode, (long)status.st_size);
}

int main(void) {
    enter_story_directory();
    umask(022);
    WORKS(open("a", O_CREAT | O_RDONLY, 0666));
    mode_of("a");
    WORKS(open("b", O_CREAT | O_WRONLY, 07777));
    mode_of("b");
    WORKS(creat("c", 0600));
    mode_of("c");
    int file = creat("c", 0777);
    SHOW(write(file, "text", 4));
    mode_of("c");
    char byte;
    SHOW(read(file, &byte, 1));
    SHOW(fcntl(file, F_GETFL) & O_ACCMODE);
    WORKS(creat("c", 0));
    mode_of("c");
    SHOW(open("c", O_CREAT | O_EXCL, 0600));
    SHOW(open("d", O_CREAT | O_EXCL | O_WRONLY, 0) >= 0);
    mode_of("d");

    // A file for which the mode allows nothing is open all the same for who made it.
    file = open("e", O_CREAT | O_RDWR, 0);
    SHOW(write(file, "12345", 5));
    SHOW(pread(file, &byte, 1, 4));
    int appending = open("e", O_WRONLY | O_APPEND);
    CHECK((getuid() == 0) == (appending >= 0));
    chmod("e", 0600);
    appending = open("e", O_WRONLY | O_APPEND);
    SHOW(write(appending, "67", 2));
    mode_of("e");
    WORKS(open("e", O_RDWR | O_TRUNC));
    mode_of("e");

    SHOW(open(NULL, O_RDONLY));
    SHOW(open(NOWHERE, O_RDONLY));
    char *end = before_the_end(2);
    memcpy(end, "e", 2);
    WORKS(open(end, O_RDONLY));
    memcpy(end, "ee", 2);
    SHOW(open(end, O_RDONLY));
    SHOW(openat(-1, "e", O_RDONLY));
    SHOW(openat(AT_FDCWD, "", O_RDONLY));
    SHOW(openat(file, "", O_RDONLY));
    SHOW(openat(file, "e", O_RDONLY));
    SHOW(creat(".", 0644));
    SHOW(creat("nowhere/e", 0644));
    SHOW(creat("e/", 0644));
    SHOW(creat("new/", 0644));
    SHOW(open("a/.", O_RDONLY));
    SHOW(open("a/..", O_RDONLY));

    mkdir("directory", 0755);
    int directory = open("directory", O_RDONLY);
    WORKS(openat(directory, "inside", O_CREAT | O_RDWR, 0644));
    mode_of("directory/inside");
    rmdir("directory");
    SHOW(open("directory/inside", O_RDONLY) >= 0);
    int path = open("directory", O_PATH);
    WORKS(openat(path, "inside", O_RDONLY));
    SHOW(fcntl(path, F_GETFL) & O_PATH ? 1 : 0);
    SHOW(fchmod(path, 0700));
    WORKS(openat(path, "..", O_RDONLY | O_DIRECTORY));
    SHOW(openat(directory, "inside", O_RDONLY | O_DIRECTORY));
    unlink("directory/inside");
    rmdir("directory");
    SHOW(openat(directory, "inside", O_CREAT | O_RDWR, 0644));
    WORKS(openat(directory, ".", O_RDONLY));

    symlink("a", "link");
    file = open("link", O_PATH | O_NOFOLLOW);
    works("a link itself", file);
    struct stat status;
    fstat(file, &status);
    SHOW(S_ISLNK(status.st_mode));
    SHOW(open("link", O_RDONLY | O_NOFOLLOW));
    SHOW(open("link", O_CREAT | O_EXCL | O_RDWR, 0644));
    SHOW(fcntl(open("a", O_RDONLY | O_CLOEXEC), F_GETFD));
    SHOW(fcntl(open("a", O_RDONLY), F_GETFD));
    SHOW(open("a", O_TMPFILE | O_RDWR, 0600) >= 0 ? 0 : -1);
    SHOW(open(".", O_TMPFILE | O_RDONLY, 0600));
    return 0;
}
