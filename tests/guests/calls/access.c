// access, faccessat, faccessat2: what one may do, said by whom one really is.
#include "../story.h"

// User 0 may read and write all, and execute what anybody may.
static void may(const char *name, int mode, int for_others) {
    int result = access(name, mode);
    int expected = geteuid() == 0 ? (mode & X_OK && for_others != 0 && !(for_others & 2) ? -1 : 0) : for_others & 1 ? -1 : 0;
    printf("%s %d %s\n", name, mode, result == expected && (result == 0 || errno == EACCES) ? "as expected" : "FAIL");
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text");
    mkdir("directory", 0755);
    symlink("file", "soft");
    symlink("nothing", "dangling");
    symlink("loop", "loop");
    SHOW(access("file", F_OK));
    SHOW(access("file", R_OK));
    SHOW(access("file", R_OK | W_OK));
    SHOW(access("file", X_OK));
    SHOW(access("directory", R_OK | W_OK | X_OK));
    SHOW(access("soft", R_OK));
    SHOW(access("dangling", F_OK));
    SHOW(access("loop", F_OK));
    SHOW(access("nothing", F_OK));
    SHOW(access("file/x", F_OK));
    SHOW(access("file/", F_OK));
    SHOW(access("", F_OK));
    SHOW(access("file", 8));
    SHOW(access("file", -1));
    SHOW(access("nothing", 8));
    SHOW(access(NULL, F_OK));
    SHOW(access(NOWHERE, R_OK));
    chmod("file", 0000);
    may("file", R_OK, 3);
    may("file", W_OK, 3);
    SHOW(access("file", X_OK));
    chmod("file", 0400);
    may("file", R_OK, 0);
    may("file", W_OK, 3);
    chmod("file", 0100);
    SHOW(access("file", X_OK));
    may("file", R_OK, 3);
    chmod("file", 0644);

    int directory = open("directory", O_RDONLY);
    SHOW(syscall(SYS_faccessat, directory, "../file", R_OK));
    SHOW(syscall(SYS_faccessat, -1, "file", R_OK));
    SHOW(syscall(SYS_faccessat, file, "file", R_OK));
    SHOW(syscall(SYS_faccessat, -1, "/", R_OK));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "file", R_OK, 0));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "file", R_OK, AT_EACCESS));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, 0));
    SHOW(syscall(SYS_faccessat2, file, "", R_OK, AT_EMPTY_PATH));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "", R_OK, AT_EMPTY_PATH));
    SHOW(syscall(SYS_faccessat2, file, "", R_OK, 0));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "file", R_OK, 0x8000));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "file", 8, 0));
    return 0;
}
