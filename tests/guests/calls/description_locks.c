// Locks of open file descriptions (F_OFD_SETLK): held by what was opened, whoever has it.
#include "../story.h"

static long lock(int fd, int command, int type, off_t start, off_t len) {
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    long result = fcntl(fd, command, &lock);
    if (command == F_OFD_GETLK && result == 0)
        printf("  %s %ld+%ld pid %d\n", lock.l_type == F_UNLCK ? "free" : lock.l_type == F_RDLCK ? "read" : "write",
               (long)lock.l_start, (long)lock.l_len, lock.l_pid);
    return result;
}

static int one, two;

static void child(void) {
    SHOW(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
    SHOW(lock(two, F_OFD_SETLK, F_WRLCK, 0, 10));
    SHOW(lock(one, F_OFD_SETLK, F_UNLCK, 5, 1));
}

int main(void) {
    enter_story_directory();
    one = new_file("file", "0123456789");
    two = open("file", O_RDWR);
    SHOW(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
    SHOW(lock(one, F_OFD_GETLK, F_WRLCK, 0, 10));
    SHOW(lock(two, F_OFD_GETLK, F_WRLCK, 0, 1));
    SHOW(lock(two, F_OFD_SETLK, F_RDLCK, 9, 10));
    SHOW(lock(two, F_OFD_SETLK, F_RDLCK, 10, 10));
    SHOW(lock(dup(one), F_OFD_SETLK, F_RDLCK, 0, 10));
    SHOW(lock(two, F_OFD_SETLK, F_RDLCK, 0, 10));
    // What a process locks the old way is in the way of these too.
    SHOW(lock(two, F_SETLK, F_WRLCK, 0, 10));
    SHOW(lock(one, F_SETLK, F_WRLCK, 30, 1));
    SHOW(lock(two, F_OFD_SETLK, F_WRLCK, 30, 1));
    SHOW(lock(two, F_OFD_GETLK, F_WRLCK, 0, 10));
    SHOW(lock(two, F_OFD_SETLK, F_UNLCK, 0, 0));
    SHOW(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
    in_a_child(child);
    SHOW(lock(two, F_OFD_SETLK, F_WRLCK, 5, 1));
    SHOW(lock(two, F_OFD_SETLK, F_WRLCK, 4, 1));
    close(one);
    SHOW(lock(two, F_OFD_SETLK, F_WRLCK, 4, 1));
    struct flock with_pid = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_pid = 5};
    SHOW(fcntl(two, F_OFD_SETLK, &with_pid));
    SHOW(fcntl(two, F_OFD_GETLK, &with_pid));
    SHOW(lock(open("file", O_RDONLY), F_OFD_SETLK, F_WRLCK, 100, 1));
    SHOW(lock(-1, F_OFD_SETLK, F_WRLCK, 100, 1));
    SHOW(fcntl(two, F_OFD_SETLK, NOWHERE));
    return 0;
}
