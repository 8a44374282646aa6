// What cannot be opened, and why.
#include "story.h"

static void try(const char *what, const char *path, int flags) {
    int file = open(path, flags, 0644);
    if (file >= 0)
        printf("%s: works\n", what);
    else
        printf("%s: %s\n", what, strerrorname_np(errno));
    if (file >= 0)
        close(file);
}

int main(void) {
    enter_story_directory();
    close(open("file", O_CREAT | O_WRONLY, 0644));
    mkdir("directory", 0755);
    symlink("loop-b", "loop-a");
    symlink("loop-a", "loop-b");
    symlink("nothing", "dangling");
    symlink("file", "good-link");
    symlink("directory", "directory-link");
    char name[5000];
    memset(name, 'n', sizeof name);
    name[4999] = 0;

    try("nothing there", "absent", O_RDONLY);
    try("nothing there on the way", "absent/file", O_RDONLY);
    try("nothing there on the way to a new file", "absent/file", O_WRONLY | O_CREAT);
    try("a file on the way", "file/inside", O_RDONLY);
    try("a file with a slash", "file/", O_RDONLY);
    try("a directory for writing", "directory", O_WRONLY);
    try("a directory for both", "directory", O_RDWR);
    try("a directory to create", "directory", O_WRONLY | O_CREAT);
    try("a directory for reading", "directory", O_RDONLY);
    try("a directory with a slash", "directory/", O_RDONLY);
    try("only a directory", "directory", O_RDONLY | O_DIRECTORY);
    try("a file as a directory", "file", O_RDONLY | O_DIRECTORY);
    try("links in a circle", "loop-a", O_RDONLY);
    try("a link to nothing", "dangling", O_RDONLY);
    try("a link not to follow", "good-link", O_RDONLY | O_NOFOLLOW);
    try("a link to follow", "good-link", O_RDONLY);
    try("a link that must not exist", "dangling", O_WRONLY | O_CREAT | O_EXCL);
    try("through a link to a directory", "directory-link/../file", O_RDONLY);
    try("a name of 5000 bytes", name, O_RDONLY);
    name[256] = 0;
    try("a name of 256 bytes", name, O_RDONLY);
    try("a new name of 256 bytes", name, O_WRONLY | O_CREAT);
    name[255] = 0;
    try("a new name of 255 bytes", name, O_WRONLY | O_CREAT);
    unlink(name);
    try("the empty name", "", O_RDONLY);
    try("the root for writing", "/", O_WRONLY);
    try("many slashes and dots", "././/directory/.././//file", O_RDONLY);
    try("above the root", "/../../../dev/null", O_RDONLY);
    try("only a path", "file", O_PATH);
    errno = 0;
    show("at a descriptor that is closed", openat(77, "file", O_RDONLY));
    show("at a descriptor that is a file", openat(open("file", O_RDONLY), "file", O_RDONLY));
    int directory = open("directory", O_RDONLY | O_DIRECTORY);
    works("at a descriptor that is a directory", openat(directory, "../file", O_RDONLY));
    works("absolute whatever the descriptor", openat(77, "/dev/null", O_RDONLY));
    char byte;
    show("read from a directory", read(directory, &byte, 1));
    show("write to a directory", write(directory, &byte, 1));
    int path = open("file", O_PATH);
    show("read from a mere path", read(path, &byte, 1));
    // A link that goes through a dangling one creates its target.
    try("create through a dangling link", "dangling", O_WRONLY | O_CREAT);
    try("then the target is there", "nothing", O_RDONLY);
    return 0;
}
