// statx: what was asked for is there, and what one must not ask for.
#include "../story.h"
#include <sys/sysmacros.h>

int main(void) {
    enter_story_directory();
    umask(022);
    int file = new_file("file", "0123456789");
    symlink("file", "soft");
    struct statx x;
    struct stat status;
    stat("file", &status);
    memset(&x, 0x55, sizeof x);
    SHOW(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &x));
    SHOW((x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    printf("mode %o, %u names, %llu bytes\n", x.stx_mode, x.stx_nlink, (unsigned long long)x.stx_size);
    CHECK(x.stx_uid == getuid() && x.stx_gid == getgid());
    CHECK(x.stx_ino == status.st_ino);
    CHECK(makedev(x.stx_dev_major, x.stx_dev_minor) == status.st_dev);
    CHECK(x.stx_blocks == (uint64_t)status.st_blocks && x.stx_blksize == (uint32_t)status.st_blksize);
    CHECK(x.stx_mtime.tv_sec == status.st_mtim.tv_sec && x.stx_mtime.tv_nsec == (uint32_t)status.st_mtim.tv_nsec);
    CHECK(x.stx_ctime.tv_sec == status.st_ctim.tv_sec && x.stx_ctime.tv_nsec == (uint32_t)status.st_ctim.tv_nsec);
    CHECK(x.stx_rdev_major == 0 && x.stx_rdev_minor == 0);
    SHOW(statx(AT_FDCWD, "file", 0, 0, &x));
    SHOW(statx(AT_FDCWD, "file", 0, STATX_ALL, &x));
    SHOW(x.stx_size);
    SHOW(statx(AT_FDCWD, "file", 0, 0x80000000, &x));
    SHOW(statx(AT_FDCWD, "soft", 0, STATX_TYPE, &x));
    SHOW(S_ISLNK(x.stx_mode));
    SHOW(statx(AT_FDCWD, "soft", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x));
    SHOW(S_ISLNK(x.stx_mode));
    SHOW(statx(file, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    SHOW(x.stx_size);
    SHOW(statx(file, "", 0, STATX_SIZE, &x));
    SHOW(statx(-1, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    SHOW(statx(-1, "file", 0, STATX_SIZE, &x));
    SHOW(statx(file, "file", 0, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC | AT_STATX_FORCE_SYNC, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "file", AT_NO_AUTOMOUNT, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "file", 0x10000, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "nothing", 0, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "file/x", 0, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, NOWHERE, 0, STATX_SIZE, &x));
    SHOW(statx(AT_FDCWD, "file", 0, STATX_SIZE, NOWHERE));
    SHOW(statx(AT_FDCWD, "file", 0, STATX_SIZE, (void *)before_the_end(255)));
    SHOW(statx(AT_FDCWD, "file", 0, STATX_SIZE, (void *)before_the_end(256)));
    SHOW(statx(AT_FDCWD, "/dev/null", 0, STATX_BASIC_STATS, &x));
    printf("device %u:%u\n", x.stx_rdev_major, x.stx_rdev_minor);
    return 0;
}
