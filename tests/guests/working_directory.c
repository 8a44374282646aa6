// The current directory: changed, read back, left behind; and paths relative to other directories.
#include "story.h"

static char start[4096];

static void tell(void) {
    char path[4096];
    if (getcwd(path, sizeof path) == NULL) {
        printf("  nowhere: %s\n", strerrorname_np(errno));
        return;
    }
    size_t length = strlen(start);
    printf("  in %s\n", strncmp(path, start, length) == 0 ? path + length : path);
}

int main(void) {
    enter_story_directory();
    if (getcwd(start, sizeof start) == NULL)
        return 1;
    mkdir("one", 0755);
    mkdir("one/two", 0755);
    symlink("one/two", "short");
    close(open("one/file", O_CREAT, 0644));
    show("chdir", chdir("one/two"));
    tell();
    show("up", chdir(".."));
    tell();
    show("through a link", chdir("../short"));
    tell();
    show("up from there", chdir(".."));
    tell();
    show("into a file", chdir("file"));
    show("into nothing", chdir("absent"));
    tell();
    int directory = open("two", O_RDONLY);
    show("fchdir", fchdir(directory));
    tell();
    show("fchdir to a file", fchdir(open("../file", O_RDONLY)));
    show("the root", chdir("/"));
    tell();
    show("above the root", chdir("../.."));
    tell();
    chdir(start);
    char small[2];
    show("a small buffer", getcwd(small, sizeof small) ? 0 : -1);
    show("the system call counts the zero", syscall(SYS_getcwd, (char[4096]){0}, 4096) == (long)strlen(start) + 1);
    char *allocated = getcwd(NULL, 0);
    check("an allocated one", strcmp(allocated, start) == 0);

    directory = open("one", O_RDONLY | O_DIRECTORY);
    works("openat", openat(directory, "made", O_CREAT | O_WRONLY, 0644));
    show("mkdirat", mkdirat(directory, "three", 0755));
    show("renameat", renameat(directory, "made", directory, "three/made"));
    show("symlinkat", symlinkat("made", directory, "three/link"));
    show("linkat", linkat(directory, "three/made", AT_FDCWD, "hard", 0));
    char target[20] = {0};
    show("readlinkat", readlinkat(directory, "three/link", target, sizeof target));
    show("faccessat", faccessat(directory, "three/made", R_OK, 0));
    show("unlinkat", unlinkat(directory, "three/link", 0));
    show("unlinkat of a directory", unlinkat(directory, "two", AT_REMOVEDIR));
    struct stat status;
    show("fstatat", fstatat(directory, "two", &status, 0));

    mkdir("gone", 0755);
    chdir("gone");
    rmdir("../gone");
    tell();
    show("a file in a removed directory", open("file", O_CREAT | O_WRONLY, 0644));
    show("back", chdir(start));
    char *resolved = realpath("one/./three/../three", NULL);
    printf("resolved: %s\n", resolved ? resolved + strlen(start) : strerrorname_np(errno));
    return 0;
}
