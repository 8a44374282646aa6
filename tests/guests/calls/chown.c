// chown, lchown, fchown, fchownat: to oneself always, to others only as user 0.
#include "../story.h"

static void owner_of(const char *name) {
    struct stat status = {0};
    lstat(name, &status);
    int is_mine = status.st_uid == getuid() && status.st_gid == getgid();
    printf("  %s: %s, %o\n", name, is_mine ? "mine" : "another's", status.st_mode);
}

// For user 0 it works; for anybody else it is EPERM.
static void only_for_root(const char *what, int result) {
    check(what, geteuid() == 0 ? result == 0 : result == -1 && errno == EPERM);
}

int main(void) {
    enter_story_directory();
    uid_t uid = getuid();
    gid_t gid = getgid();
    int file = new_file("file", "text");
    symlink("file", "soft");
    symlink("nothing", "dangling");
    SHOW(chown("file", -1, -1));
    SHOW(chown("file", uid, gid));
    SHOW(chown("file", uid, -1));
    SHOW(chown("file", -1, gid));
    SHOW(lchown("dangling", uid, gid));
    SHOW(chown("dangling", uid, gid));
    SHOW(fchown(file, uid, gid));
    only_for_root("another owner", chown("file", 12345, -1));
    chown("file", uid, gid);
    only_for_root("another group", chown("file", -1, 12345));
    chown("file", uid, gid);
    only_for_root("both", lchown("soft", 12345, 12345));
    owner_of("file");
    lchown("soft", uid, gid);
    chmod("file", 06755);
    SHOW(chown("file", uid, gid));
    owner_of("file");
    SHOW(chown("nothing", uid, gid));
    SHOW(chown("file/x", uid, gid));
    SHOW(chown("", uid, gid));
    SHOW(chown(NULL, uid, gid));
    SHOW(lchown("nothing", uid, gid));
    SHOW(fchown(-1, uid, gid));
    SHOW(fchown(open("file", O_PATH), uid, gid));
    SHOW(fchownat(AT_FDCWD, "file", uid, gid, 0));
    SHOW(fchownat(AT_FDCWD, "dangling", uid, gid, AT_SYMLINK_NOFOLLOW));
    SHOW(fchownat(AT_FDCWD, "dangling", uid, gid, 0));
    SHOW(fchownat(AT_FDCWD, "file", uid, gid, 0x8000));
    SHOW(fchownat(AT_FDCWD, "file", uid, gid, AT_SYMLINK_FOLLOW));
    SHOW(fchownat(AT_FDCWD, "", uid, gid, 0));
    SHOW(fchownat(file, "", uid, gid, AT_EMPTY_PATH));
    SHOW(fchownat(open("file", O_PATH), "", uid, gid, AT_EMPTY_PATH));
    SHOW(fchownat(-1, "file", uid, gid, 0));
    SHOW(fchownat(file, "file", uid, gid, 0));
    return 0;
}
