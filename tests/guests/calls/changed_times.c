// Which of a file's times each change moves, and which not.
#include "../story.h"

static struct stat before;

static void remember(const char *name) {
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    utimensat(AT_FDCWD, name, old, AT_SYMLINK_NOFOLLOW);
    lstat(name, &before);
    // Longer than the coarsest clock by which a file system stamps.
    usleep(12000);
}

static void moved(const char *what, const char *name) {
    struct stat after;
    lstat(name, &after);
    int modified = after.st_mtim.tv_sec != before.st_mtim.tv_sec || after.st_mtim.tv_nsec != before.st_mtim.tv_nsec;
    int changed = after.st_ctim.tv_sec != before.st_ctim.tv_sec || after.st_ctim.tv_nsec != before.st_ctim.tv_nsec;
    printf("%s:%s%s\n", what, modified ? " modified" : "", changed ? " changed" : "");
}

int main(void) {
    enter_story_directory();
    char byte;
    int file = new_file("file", "0123456789");
    mkdir("d", 0755);
    remember("file");
    pread(file, &byte, 1, 0);
    moved("read", "file");
    remember("file");
    pwrite(file, "x", 1, 0);
    moved("written", "file");
    remember("file");
    pwrite(file, "x", 0, 0);
    moved("nothing written", "file");
    remember("file");
    ftruncate(file, 5);
    moved("cut", "file");
    remember("file");
    chmod("file", 0600);
    moved("mode", "file");
    remember("file");
    chown("file", getuid(), getgid());
    moved("owner", "file");
    remember("file");
    link("file", "second");
    moved("linked", "file");
    remember("file");
    unlink("second");
    moved("a name less", "file");
    remember("file");
    rename("file", "other");
    moved("renamed", "other");
    rename("other", "file");
    remember("file");
    access("file", R_OK);
    close(open("file", O_RDONLY));
    moved("opened", "file");
    remember("file");
    close(open("file", O_WRONLY | O_TRUNC));
    moved("opened and cut", "file");
    remember("d");
    close(open("d/new", O_CREAT | O_WRONLY, 0644));
    moved("a directory, a file made", "d");
    remember("d");
    close(open("d/new", O_CREAT | O_WRONLY, 0644));
    moved("made again", "d");
    remember("d");
    rename("d/new", "d/newer");
    moved("renamed in it", "d");
    remember("d");
    unlink("d/newer");
    moved("removed", "d");
    remember("d");
    mkdir("d/inner", 0755);
    moved("a directory in it", "d");
    remember("d");
    close(open("d/inner/x", O_CREAT | O_WRONLY, 0644));
    moved("a file further below", "d");
    unlink("d/inner/x");
    rmdir("d/inner");
    return 0;
}
