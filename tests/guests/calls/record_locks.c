// fcntl's record locks: between processes, on ranges, and what is no lock.
#include "../story.h"

static int file;

static long lock(int command, int type, int whence, off_t start, off_t len) {
    struct flock lock = {.l_type = (short)type, .l_whence = (short)whence, .l_start = start, .l_len = len};
    return fcntl(file, command, &lock);
}

static void who_holds(off_t start, off_t len, int type) {
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    long result = fcntl(file, F_GETLK, &lock);
    if (result != 0 || lock.l_type == F_UNLCK)
        printf("  %ld+%ld: %s\n", (long)start, (long)len, result ? strerrorname_np(errno) : "free");
    else
        printf("  %ld+%ld: %s %ld+%ld of %s\n", (long)start, (long)len, lock.l_type == F_RDLCK ? "read" : "write",
               (long)lock.l_start, (long)lock.l_len, lock.l_pid == getppid() ? "the parent" : "another");
}

static void child(void) {
    who_holds(0, 0, F_WRLCK);
    who_holds(0, 10, F_WRLCK);
    who_holds(15, 1, F_RDLCK);
    who_holds(20, 10, F_RDLCK);
    who_holds(40, 1, F_RDLCK);
    SHOW(lock(F_SETLK, F_RDLCK, SEEK_SET, 12, 1));
    SHOW(lock(F_SETLK, F_RDLCK, SEEK_SET, 20, 1));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, 20, 1));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, 35, 5));
    // What the parent holds nobody else takes away.
    SHOW(lock(F_SETLK, F_UNLCK, SEEK_SET, 0, 0));
    who_holds(12, 1, F_RDLCK);
}

static void after_closing(void) {
    who_holds(0, 0, F_WRLCK);
}

int main(void) {
    enter_story_directory();
    file = new_file("file", "0123456789012345678901234567890123456789");
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, 10, 10));
    SHOW(lock(F_SETLK, F_RDLCK, SEEK_SET, 20, 10));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_END, -1, 0));
    SHOW(lock(F_SETLK, F_UNLCK, SEEK_SET, 14, 2));
    SHOW(lseek(file, 30, SEEK_SET));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_CUR, 2, -2));
    in_a_child(child);
    SHOW(lock(F_SETLK, 9, SEEK_SET, 0, 0));
    SHOW(lock(F_SETLK, F_WRLCK, 9, 0, 0));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, -1, 0));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, 5, -6));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, INT64_MAX, 2));
    SHOW(lock(F_GETLK, F_UNLCK, SEEK_SET, 0, 0));
    SHOW(fcntl(file, F_SETLK, NULL));
    SHOW(fcntl(file, F_GETLK, NOWHERE));
    int kept = file;
    file = open("file", O_RDONLY);
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
    SHOW(lock(F_SETLK, F_RDLCK, SEEK_SET, 0, 1));
    file = open("file", O_WRONLY);
    SHOW(lock(F_SETLK, F_RDLCK, SEEK_SET, 0, 1));
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
    // Closing any descriptor of the file gives all of the process's locks back.
    close(file);
    file = kept;
    in_a_child(after_closing);
    file = -1;
    SHOW(lock(F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
    return 0;
}
