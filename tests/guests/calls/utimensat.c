// utimensat and its older forms: times that are set, left, or now; and those that are no times.
#include "../story.h"
#include <sys/time.h>
#include <utime.h>

static void times_of(const char *name) {
    struct stat status;
    lstat(name, &status);
    printf("  %s: %ld.%09ld %ld.%09ld\n", name, (long)status.st_atim.tv_sec, status.st_atim.tv_nsec,
           (long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

static int is_now(const char *name) {
    struct stat status;
    lstat(name, &status);
    return labs(status.st_mtim.tv_sec - time(NULL)) < 5;
}

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text");
    symlink("file", "soft");
    symlink("nothing", "dangling");
    struct timespec two[2] = {{1000, 1}, {2000, 999999999}};
    SHOW(utimensat(AT_FDCWD, "file", two, 0));
    times_of("file");
    struct timespec omit[2] = {{0, UTIME_OMIT}, {3000, 5}};
    SHOW(utimensat(AT_FDCWD, "file", omit, 0));
    times_of("file");
    struct timespec both[2] = {{99, UTIME_OMIT}, {99, UTIME_OMIT}};
    SHOW(utimensat(AT_FDCWD, "file", both, 0));
    times_of("file");
    SHOW(utimensat(AT_FDCWD, "nothing", both, 0));
    struct timespec old[2] = {{-5, 0}, {-1000000, 7}};
    SHOW(utimensat(AT_FDCWD, "file", old, 0));
    times_of("file");
    SHOW(futimens(file, two));
    times_of("file");
    struct timespec present[2] = {{5, UTIME_OMIT}, {5, UTIME_NOW}};
    SHOW(utimensat(AT_FDCWD, "file", present, 0));
    CHECK(is_now("file"));
    SHOW(utimensat(AT_FDCWD, "file", two, 0));
    SHOW(utimensat(AT_FDCWD, "file", NULL, 0));
    CHECK(is_now("file"));
    SHOW(utimensat(AT_FDCWD, "dangling", two, AT_SYMLINK_NOFOLLOW));
    times_of("dangling");
    SHOW(utimensat(AT_FDCWD, "dangling", two, 0));
    struct timespec bad[2] = {{1, 1000000000}, {1, 0}}, negative[2] = {{1, 0}, {1, -1}};
    SHOW(utimensat(AT_FDCWD, "file", bad, 0));
    SHOW(utimensat(AT_FDCWD, "file", negative, 0));
    SHOW(utimensat(AT_FDCWD, "file", two, 0x8000));
    SHOW(utimensat(-1, "file", two, 0));
    SHOW(utimensat(file, "file", two, 0));
    SHOW(utimensat(AT_FDCWD, "", two, 0));
    SHOW(utimensat(AT_FDCWD, "file", NOWHERE, 0));
    SHOW(utimensat(AT_FDCWD, NOWHERE, two, 0));
    SHOW(syscall(SYS_utimensat, file, NULL, two, 0));
    SHOW(syscall(SYS_utimensat, file, NULL, two, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_utimensat, -1, NULL, two, 0));
    SHOW(syscall(SYS_utimensat, file, "", two, AT_EMPTY_PATH));
    SHOW(futimens(open("file", O_RDONLY), two));
    SHOW(futimens(open("file", O_PATH), two));

    struct timeval micro[2] = {{10, 1}, {20, 999999}}, odd[2] = {{10, 1000000}, {20, 0}}, below[2] = {{10, -1}, {20, 0}};
    SHOW(syscall(SYS_utimes, "file", micro));
    times_of("file");
    SHOW(syscall(SYS_utimes, "file", odd));
    SHOW(syscall(SYS_utimes, "file", below));
    SHOW(syscall(SYS_utimes, "nothing", micro));
    SHOW(syscall(SYS_utimes, "file", NOWHERE));
    SHOW(syscall(SYS_futimesat, AT_FDCWD, "file", micro));
    SHOW(syscall(SYS_futimesat, file, NULL, micro));
    SHOW(syscall(SYS_futimesat, -1, "file", micro));
    struct utimbuf whole = {30, 40};
    SHOW(syscall(SYS_utime, "file", &whole));
    times_of("file");
    SHOW(syscall(SYS_utime, "file", NULL));
    CHECK(is_now("file"));
    SHOW(syscall(SYS_utime, "nothing", &whole));
    SHOW(syscall(SYS_utime, "file", NOWHERE));
    return 0;
}
