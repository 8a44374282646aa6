// Names in directories: made, moved, linked, removed, and what each of them refuses.
#include "story.h"
#include <linux/fs.h>

static void exists(const char *name) {
    struct stat status;
    if (lstat(name, &status) != 0)
        printf("  %s is not there\n", name);
    else
        printf("  %s is a %s of %ld bytes\n", name,
               S_ISDIR(status.st_mode) ? "directory" : S_ISLNK(status.st_mode) ? "link" : "file",
               S_ISDIR(status.st_mode) ? 0L : (long)status.st_size);
}

static void file(const char *name, const char *text) {
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    (void)!write(file, text, strlen(text));
    close(file);
}

int main(void) {
    enter_story_directory();
    show("mkdir", mkdir("one", 0755));
    show("again", mkdir("one", 0755));
    show("below nothing", mkdir("absent/two", 0755));
    show("with a slash", mkdir("slash/", 0755));
    show("below one", mkdir("one/two", 0755));
    show("rmdir of a full one", rmdir("one"));
    show("rmdir", rmdir("one/two"));
    show("rmdir of nothing", rmdir("absent"));
    file("first", "first");
    show("rmdir of a file", rmdir("first"));
    show("rmdir of dot", rmdir("."));
    show("unlink of a directory", unlink("one"));
    show("unlink of nothing", unlink("absent"));
    show("mkdir over a file", mkdir("first", 0755));

    show("rename", rename("first", "second"));
    exists("first");
    exists("second");
    file("third", "a third");
    show("rename over a file", rename("second", "third"));
    exists("third");
    show("rename onto itself", rename("third", "third"));
    show("rename of nothing", rename("absent", "else"));
    show("a file over a directory", rename("third", "one"));
    show("a directory over a file", rename("one", "third"));
    show("into a directory", rename("third", "one/third"));
    exists("one/third");
    show("a directory into itself", rename("one", "one/inside"));
    show("a full directory", rename("one", "uno"));
    exists("uno/third");
    mkdir("empty", 0755);
    mkdir("full", 0755);
    file("full/x", "x");
    show("over an empty directory", rename("full", "empty"));
    exists("empty/x");
    show("over a full directory", rename("uno", "empty"));
    file("a", "a");
    file("b", "bb");
    show("without replacing", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    exists("b");
    mkdir("place", 0755);
    file("place/z", "zzz");
    show("exchange", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
    struct stat first, second;
    stat("a", &first);
    stat("b", &second);
    show("sizes", (long)(first.st_size * 10 + second.st_size));
    show("a file and a directory", renameat2(AT_FDCWD, "a", AT_FDCWD, "place", RENAME_EXCHANGE));
    exists("a/z");
    stat("place", &first);
    show("size", (long)first.st_size);
    show("and back", renameat2(AT_FDCWD, "a", AT_FDCWD, "place", RENAME_EXCHANGE));
    show("over directories", renameat2(AT_FDCWD, "place/z", AT_FDCWD, "b", RENAME_EXCHANGE));
    stat("b", &first);
    stat("place/z", &second);
    show("sizes", (long)(first.st_size * 10 + second.st_size));
    show("and back", renameat2(AT_FDCWD, "place/z", AT_FDCWD, "b", RENAME_EXCHANGE));
    show("exchange with nothing", renameat2(AT_FDCWD, "a", AT_FDCWD, "absent", RENAME_EXCHANGE));
    show("nothing with it", renameat2(AT_FDCWD, "absent", AT_FDCWD, "a", RENAME_EXCHANGE));
    show("exchange into itself", renameat2(AT_FDCWD, "place", AT_FDCWD, "place/z", RENAME_EXCHANGE));
    show("the other way", renameat2(AT_FDCWD, "place/z", AT_FDCWD, "place", RENAME_EXCHANGE));
    show("with itself", renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_EXCHANGE));
    show("both", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
    show("exchange back", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
    unlink("place/z");
    rmdir("place");

    show("link", link("b", "c"));
    struct stat status;
    stat("c", &status);
    show("names", (long)status.st_nlink);
    show("link over a name", link("b", "a"));
    show("link of nothing", link("absent", "x"));
    show("link of a directory", link("empty", "x"));
    unlink("b");
    stat("c", &status);
    show("names", (long)status.st_nlink);
    exists("c");

    show("symlink", symlink("c", "soft"));
    show("over a name", symlink("c", "a"));
    char target[50] = {0};
    show("readlink", readlink("soft", target, sizeof target));
    printf("  to %s\n", target);
    show("into a short buffer", readlink("soft", target, 1));
    show("readlink of a file", readlink("a", target, sizeof target));
    symlink("a target that is longer than most and goes nowhere", "long");
    exists("long");
    show("empty target", symlink("", "empty-target"));
    show("rename of a link moves the link", rename("soft", "softer"));
    exists("softer");
    show("unlink of a link removes the link", unlink("softer"));
    exists("c");
    show("unlinkat of a directory", unlinkat(AT_FDCWD, "slash", AT_REMOVEDIR));

    // Removed but open, a file lives on.
    file("open", "still here");
    int descriptor = open("open", O_RDWR);
    unlink("open");
    exists("open");
    show("read of a removed file", read(descriptor, target, sizeof target));
    show("write to it", write(descriptor, "!", 1));
    fstat(descriptor, &status);
    show("its size", status.st_size);
    show("its names", (long)status.st_nlink);
    file("open", "another");
    exists("open");
    return 0;
}
