// execve, execveat: what cannot be executed, and why; scripts; and what is too long.
#include "../story.h"

extern char **environ;

static void try(const char *what, const char *path) {
    char *arguments[] = {"name", "argument", NULL};
    execve(path, arguments, environ);
    printf("%s: %s\n", what, strerrorname_np(errno));
}

static void script(const char *name, const char *text, int mode) {
    close(new_file(name, text));
    chmod(name, (mode_t)mode);
}

// Runs it in a child, whose status tells.
static void run(const char *path) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char *arguments[] = {"name", "argument", NULL};
        execve(path, arguments, environ);
        printf("%s: %s\n", path, strerrorname_np(errno));
        fflush(stdout);
        _exit(99);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%s ended with %d\n", path, WEXITSTATUS(status));
}

int main(void) {
    enter_story_directory();
    script("empty", "", 0755);
    script("text", "nothing that could be run\n", 0755);
    script("not executable", "#!/bin/sh\nexit 3\n", 0644);
    script("good", "#!/bin/sh\nexit 3\n", 0755);
    script("arguments", "#!/bin/sh -e\necho \"$#\" \"$1\" \"${0##*/}\"\nfalse\n", 0755);
    script("spaces", "#!  \t /bin/sh   -e   \necho \"$#\"; exit 4", 0755);
    script("no interpreter", "#!\n", 0755);
    script("missing", "#!/nowhere/shell\n", 0755);
    script("of a directory", "#!/tmp\n", 0755);
    script("of a script", "#!./good\n", 0755);
    script("of itself", "#!./of itself\n", 0755);
    script("loop", "#!./loop\n", 0755);
    script("broken", "\x7f" "ELF and no more", 0755);
    mkdir("directory", 0755);
    symlink("good", "link");
    symlink("circle", "circle");
    try("nothing there", "nothing");
    try("empty name", "");
    try("a directory", "directory");
    try("below a file", "good/x");
    try("a circle", "circle");
    try("an empty file", "empty");
    try("plain text", "text");
    try("not executable", "not executable");
    try("no interpreter", "no interpreter");
    try("an interpreter that is not there", "missing");
    try("an interpreter that is a directory", "of a directory");
    try("a script of itself", "loop");
    try("a broken program", "broken");
    try("a device", "/dev/null");
    try("null", NULL);
    try("a bad address", NOWHERE);
    run("good");
    run("arguments");
    run("spaces");
    run("of a script");
    int writing = open("good", O_WRONLY);
    close(writing);

    char *arguments[] = {"name", NULL};
    SHOW(execve("good", NOWHERE, environ));
    SHOW(execve("good", arguments, NOWHERE));
    arguments[0] = NOWHERE;
    SHOW(execve("good", arguments, environ));
    char *large = malloc(200000);
    memset(large, 'x', 200000);
    large[131072] = 0;
    arguments[0] = large;
    SHOW(execve("good", arguments, environ));
    large[131072] = 'x';
    char **many = calloc(2000, sizeof *many);
    large[100000] = 0;
    for (int i = 0; i < 1999; i++)
        many[i] = large;
    SHOW(execve("good", many, environ));

    int directory = open("directory", O_RDONLY), file = open("good", O_RDONLY);
    arguments[0] = "name";
    SHOW(syscall(SYS_execveat, -1, "good", arguments, environ, 0));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "good", arguments, environ, 0x8000));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "link", arguments, environ, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "", arguments, environ, 0));
    SHOW(syscall(SYS_execveat, file, "", arguments, environ, 0));
    SHOW(syscall(SYS_execveat, file, "good", arguments, environ, 0));
    SHOW(syscall(SYS_execveat, directory, "good", arguments, environ, 0));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execveat, file, "", arguments, environ, AT_EMPTY_PATH);
        _exit(98);
    }
    int status;
    waitpid(child, &status, 0);
    printf("execveat ended with %d\n", WEXITSTATUS(status));
    return 0;
}
