// Who may do what by the bits of files and directories; as user 0 the story is told by another user.
#include "../story.h"

static void try(const char *name, int flags) {
    static const char *const how[] = {"read", "write", "both"};
    int file = open(name, flags);
    printf("  %s %s: %s\n", how[flags], name, file >= 0 ? "works" : strerrorname_np(errno));
    if (file >= 0)
        close(file);
}

static void story(void) {
    if (geteuid() == 0 && (setgid(12345) != 0 || setuid(12345) != 0))
        exit(96);
    umask(0);
    if (mkdir("own", 0700) != 0 || chdir("own") != 0)
        exit(95);
    for (int mode = 0; mode <= 0700; mode += 0100) {
        char name[20];
        sprintf(name, "file %03o", (unsigned)mode);
        close(open(name, O_CREAT | O_WRONLY, (mode_t)mode));
        try(name, O_RDONLY);
        try(name, O_WRONLY);
        try(name, O_RDWR);
        printf("  execute: %s\n", access(name, X_OK) == 0 ? "may" : strerrorname_np(errno));
    }
    // Of owner, group and others only the first that fits counts.
    close(open("not mine", O_CREAT | O_WRONLY, 0077));
    try("not mine", O_RDONLY);
    for (int mode = 0; mode <= 0700; mode += 0100) {
        mkdir("directory", 0700);
        close(open("directory/file", O_CREAT | O_WRONLY, 0600));
        chmod("directory", (mode_t)mode);
        printf("directory %03o\n", (unsigned)mode);
        int list = open("directory", O_RDONLY);
        printf("  list: %s\n", list >= 0 ? "works" : strerrorname_np(errno));
        try("directory/file", O_RDONLY);
        show("  make", open("directory/new", O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0 ? 0 : -1);
        show("  make a directory", mkdir("directory/d", 0700));
        show("  link", link("directory/file", "directory/link"));
        show("  rename", rename("directory/file", "directory/other"));
        show("  remove", unlink("directory/other"));
        show("  enter", chdir("directory"));
        chdir(".");
        if (access("../directory", F_OK) == 0 && access("file", F_OK) != 0 && access("not mine", F_OK) != 0)
            chdir("..");
        chmod("directory", 0700);
        unlink("directory/file");
        unlink("directory/new");
        unlink("directory/link");
        unlink("directory/other");
        rmdir("directory/d");
        show("  away", rmdir("directory"));
    }
}

int main(void) {
    enter_story_directory();
    chmod(".", 0777);
    mkdir("for all", 0777);
    chmod("for all", 0777);
    chdir("for all");
    in_a_child(story);
    return 0;
}
