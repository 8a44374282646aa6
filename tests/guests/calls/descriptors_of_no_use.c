// Every call that takes a descriptor, given one that is closed, and one that is only a path.
#include "../story.h"
#include <sys/epoll.h>
#include <sys/socket.h>

static long call(long number, long fd, long second, long third) {
    return syscall(number, fd, second, third, 0L, 0L, 0L);
}

static char buffer[512];

static const struct {
    const char *name;
    long number, second, third;
} calls[] = {
    {"read", SYS_read, (long)buffer, 1},
    {"write", SYS_write, (long)buffer, 1},
    {"pread64", SYS_pread64, (long)buffer, 1},
    {"pwrite64", SYS_pwrite64, (long)buffer, 1},
    {"readv", SYS_readv, (long)buffer, 0},
    {"writev", SYS_writev, (long)buffer, 0},
    {"lseek", SYS_lseek, 0, 0},
    {"fstat", SYS_fstat, (long)buffer, 0},
    {"fstatfs", SYS_fstatfs, (long)buffer, 0},
    {"fchmod", SYS_fchmod, 0644, 0},
    {"fchown", SYS_fchown, -1, -1},
    {"ftruncate", SYS_ftruncate, 0, 0},
    {"fsync", SYS_fsync, 0, 0},
    {"fdatasync", SYS_fdatasync, 0, 0},
    {"syncfs", SYS_syncfs, 0, 0},
    {"flock", SYS_flock, 5, 0},
    {"fcntl F_GETFD", SYS_fcntl, F_GETFD, 0},
    {"fcntl F_GETLK", SYS_fcntl, F_GETLK, (long)buffer},
    {"ioctl", SYS_ioctl, 0x541b, (long)buffer},
    {"getdents64", SYS_getdents64, (long)buffer, 512},
    {"listen", SYS_listen, 1, 0},
    {"accept", SYS_accept, 0, 0},
    {"connect", SYS_connect, (long)buffer, 16},
    {"bind", SYS_bind, (long)buffer, 16},
    {"shutdown", SYS_shutdown, 0, 0},
    {"recvfrom", SYS_recvfrom, (long)buffer, 1},
    {"sendto", SYS_sendto, (long)buffer, 1},
    {"recvmsg", SYS_recvmsg, (long)buffer, 0},
    {"sendmsg", SYS_sendmsg, (long)buffer, 0},
    {"getsockname", SYS_getsockname, (long)buffer, (long)buffer},
    {"getpeername", SYS_getpeername, (long)buffer, (long)buffer},
    {"epoll_wait", SYS_epoll_wait, (long)buffer, 1},
    {"inotify_rm_watch", SYS_inotify_rm_watch, 1, 0},
    {"timerfd_gettime", SYS_timerfd_gettime, (long)buffer, 0},
    {"fallocate", SYS_fallocate, 0, 0},
    {"readahead", SYS_readahead, 0, 0},
    {"fadvise64", SYS_fadvise64, 0, 0},
};

int main(void) {
    enter_story_directory();
    close(new_file("file", "text"));
    int path = open("file", O_PATH);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        long closed = call(calls[i].number, 777, calls[i].second, calls[i].third);
        printf("%s: %s", calls[i].name, closed == -1 ? strerrorname_np(errno) : "works");
        long only_path = call(calls[i].number, path, calls[i].second, calls[i].third);
        printf(" %s\n", only_path == -1 ? strerrorname_np(errno) : "works");
    }
    return 0;
}
