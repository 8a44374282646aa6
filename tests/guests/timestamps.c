// Times of files: set by name and descriptor, kept to the nanosecond, changed by writing.
#include "story.h"
#include <sys/time.h>
#include <utime.h>

static void tell(const char *name) {
    struct stat status;
    stat(name, &status);
    printf("%s: read %ld.%09ld, written %ld.%09ld\n", name, status.st_atim.tv_sec, status.st_atim.tv_nsec,
           status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

int main(void) {
    enter_story_directory();
    int file = open("file", O_RDWR | O_CREAT, 0644);
    mkdir("directory", 0755);
    symlink("file", "link");
    struct timespec times[2] = {{1000000000, 123456789}, {1234567890, 987654321}};
    show("utimensat", utimensat(AT_FDCWD, "file", times, 0));
    tell("file");
    times[0].tv_nsec = UTIME_OMIT;
    times[1] = (struct timespec){1500000000, 5};
    show("only one of them", utimensat(AT_FDCWD, "file", times, 0));
    tell("file");
    times[0] = (struct timespec){1, 2};
    show("futimens", futimens(file, times));
    tell("file");
    show("a directory", utimensat(AT_FDCWD, "directory", times, 0));
    tell("directory");
    show("the link itself", utimensat(AT_FDCWD, "link", (struct timespec[2]){{7, 0}, {8, 0}}, AT_SYMLINK_NOFOLLOW));
    tell("link");
    struct stat status;
    lstat("link", &status);
    show("its time", status.st_mtim.tv_sec);
    show("utimes", utimes("file", (struct timeval[2]){{100, 5}, {200, 6}}));
    tell("file");
    show("utime", utime("file", &(struct utimbuf){300, 400}));
    tell("file");
    show("nothing there", utimensat(AT_FDCWD, "absent", times, 0));
    times[0].tv_nsec = 1000000000;
    show("too many nanoseconds", utimensat(AT_FDCWD, "file", times, 0));
    show("now", utimensat(AT_FDCWD, "file", NULL, 0));
    stat("file", &status);
    check("is now", labs(time(NULL) - status.st_mtime) < 100);
    times[0] = times[1] = (struct timespec){1000, 0};
    futimens(file, times);
    (void)!write(file, "x", 1);
    stat("file", &status);
    check("writing changes the time", labs(time(NULL) - status.st_mtime) < 100);
    futimens(file, times);
    ftruncate(file, 0);
    stat("file", &status);
    check("so does truncating", labs(time(NULL) - status.st_mtime) < 100);
    utimensat(AT_FDCWD, "directory", times, 0);
    close(open("directory/new", O_CREAT, 0644));
    stat("directory", &status);
    check("a new name changes the directory's", labs(time(NULL) - status.st_mtime) < 100);
    return 0;
}
