// What is known about a file: kind, mode, size, names; by path, by descriptor, with and without following links.
#include "story.h"

static void tell(const char *what, int result, const struct stat *status) {
    if (result != 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: mode %06o, %ld names, %ld bytes\n", what, status->st_mode,
               S_ISDIR(status->st_mode) ? 0L : (long)status->st_nlink, S_ISDIR(status->st_mode) ? 0L : (long)status->st_size);
}

int main(void) {
    enter_story_directory();
    umask(022);
    int file = open("file", O_RDWR | O_CREAT, 0666);
    (void)!write(file, "some text", 9);
    mkdir("directory", 0777);
    symlink("file", "link");
    symlink("absent", "dangling");
    link("file", "hard");
    struct stat status, other;
    tell("stat", stat("file", &status), &status);
    tell("stat of a directory", stat("directory", &status), &status);
    tell("stat of a link", stat("link", &status), &status);
    tell("lstat of a link", lstat("link", &status), &status);
    tell("stat of a dangling link", stat("dangling", &status), &status);
    tell("lstat of a dangling link", lstat("dangling", &status), &status);
    tell("stat of nothing", stat("absent", &status), &status);
    tell("stat below a file", stat("file/x", &status), &status);
    tell("fstat", fstat(file, &status), &status);
    tell("fstat of a closed one", fstat(77, &status), &status);
    tell("fstatat", fstatat(AT_FDCWD, "link", &status, AT_SYMLINK_NOFOLLOW), &status);
    tell("fstatat of a descriptor", fstatat(file, "", &status, AT_EMPTY_PATH), &status);
    tell("an unknown flag", fstatat(AT_FDCWD, "file", &status, 0x40000000), &status);

    stat("file", &status);
    stat("hard", &other);
    check("two names, one file", status.st_ino == other.st_ino && status.st_dev == other.st_dev);
    stat("directory", &other);
    check("another file", status.st_ino != other.st_ino);
    check("it is ours", status.st_uid == geteuid() && status.st_gid == getegid());
    check("made just now", labs(time(NULL) - status.st_mtime) < 100);
    check("a block size", status.st_blksize >= 512);
    check("blocks", status.st_blocks >= 0 && status.st_blocks < 1000);

    struct statx extended;
    show("statx", statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &extended));
    printf("mode %06o, size %lu, names %u\n", extended.stx_mode, (unsigned long)extended.stx_size, extended.stx_nlink);
    check("same inode", extended.stx_ino == status.st_ino);
    check("basic facts are filled in", (extended.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    show("statx of a descriptor", statx(file, "", AT_EMPTY_PATH, STATX_SIZE, &extended));
    show("statx of nothing", statx(AT_FDCWD, "absent", 0, STATX_SIZE, &extended));

    show("access to read", access("file", R_OK));
    show("access to write", access("file", R_OK | W_OK));
    show("access to nothing", access("absent", F_OK));
    show("access to execute", access("file", X_OK));
    show("access to a directory", access("directory", R_OK | W_OK | X_OK));
    show("unknown access", access("file", 64));
    show("faccessat", faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));
    show("faccessat of a dangling link", faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));

    show("chmod", chmod("file", 0751));
    tell("then", stat("file", &status), &status);
    show("access to execute", access("file", X_OK));
    show("fchmod", fchmod(file, 04600));
    tell("then", stat("file", &status), &status);
    show("chmod of nothing", chmod("absent", 0));
    show("chmod through a link", chmod("link", 0644));
    tell("then", stat("hard", &status), &status);
    show("chown to nobody else", chown("file", (uid_t)-1, (gid_t)-1));
    show("chown to ourselves", chown("file", geteuid(), getegid()));

    show("umask", umask(077));
    close(open("masked", O_CREAT | O_WRONLY, 0666));
    tell("then", stat("masked", &status), &status);
    mkdir("masked-directory", 0777);
    tell("then", stat("masked-directory", &status), &status);
    show("umask", umask(0));
    close(open("open", O_CREAT | O_WRONLY, 0666));
    tell("then", stat("open", &status), &status);
    stat("/dev/null", &status);
    printf("/dev/null: kind %o, device %u:%u\n", status.st_mode & S_IFMT, (unsigned)(status.st_rdev >> 8), (unsigned)(status.st_rdev & 255));
    return 0;
}
