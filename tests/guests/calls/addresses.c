// Every call that takes an address, given one that is not there: EFAULT, and never worse.
#include "../story.h"
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

static void *const bad[] = {(void *)8, (void *)0xffff800000000000, (void *)0x7ffffffff000, (void *)-4096};

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text"), here = open(".", O_RDONLY), pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    write(pair[1], "some bytes to read", 18);
    for (int i = 0; i < 4; i++) {
        void *at = bad[i];
        SHOW(syscall(SYS_pread64, file, at, 4, 0));
        SHOW(syscall(SYS_write, file, at, 4));
        SHOW(syscall(SYS_open, at, 0));
        SHOW(syscall(SYS_stat, at, at));
        SHOW(syscall(SYS_fstat, file, at));
        SHOW(syscall(SYS_getdents64, here, at, 100));
        SHOW(syscall(SYS_pipe, at));
        SHOW(syscall(SYS_poll, at, 1, 0));
        SHOW(syscall(SYS_uname, at));
        SHOW(syscall(SYS_sysinfo, at));
        SHOW(syscall(SYS_times, at));
        SHOW(syscall(SYS_getrusage, 0, at));
        SHOW(syscall(SYS_getrlimit, 0, at));
        SHOW(syscall(SYS_nanosleep, at, NULL));
        SHOW(syscall(SYS_rt_sigaction, SIGUSR1, at, NULL, 8));
        SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, at, NULL, 8));
        SHOW(syscall(SYS_recvfrom, pair[0], at, 1, 0, NULL, NULL));
        SHOW(syscall(SYS_sendto, pair[0], at, 1, 0, NULL, 0));
        SHOW(syscall(SYS_connect, pair[0], at, 10));
        SHOW(syscall(SYS_getsockname, pair[0], at, at));
        SHOW(syscall(SYS_chdir, at));
        SHOW(syscall(SYS_mkdir, at, 0755));
        SHOW(syscall(SYS_rmdir, at));
        SHOW(syscall(SYS_unlink, at));
        SHOW(syscall(SYS_rename, at, "x"));
        SHOW(syscall(SYS_link, "file", at));
        SHOW(syscall(SYS_symlink, at, "x"));
        SHOW(syscall(SYS_readlink, at, at, 10));
        SHOW(syscall(SYS_chmod, at, 0));
        SHOW(syscall(SYS_chown, at, 0, 0));
        SHOW(syscall(SYS_lchown, at, 0, 0));
        SHOW(syscall(SYS_truncate, at, 0));
        SHOW(syscall(SYS_access, at, 0));
        SHOW(syscall(SYS_statfs, at, at));
        SHOW(syscall(SYS_fstatfs, file, at));
        SHOW(syscall(SYS_execve, at, NULL, NULL));
        SHOW(syscall(SYS_getcwd, at, 4096));
        SHOW(syscall(SYS_epoll_ctl, epoll_create1(0), EPOLL_CTL_ADD, pair[0], at));
        SHOW(syscall(SYS_getrandom, at, 10, 0));
        SHOW(syscall(SYS_sched_getaffinity, 0, 128, at));
        SHOW(syscall(SYS_getitimer, 0, at));
        SHOW(syscall(SYS_utimensat, AT_FDCWD, "file", at, 0));
        SHOW(syscall(SYS_getresuid, at, at, at));
        SHOW(syscall(SYS_sigaltstack, at, NULL));
        SHOW(syscall(SYS_memfd_create, at, 0));
        SHOW(syscall(SYS_statx, AT_FDCWD, "file", 0, 0, at));
        SHOW(syscall(SYS_readv, file, at, 1));
    }
    return 0;
}
