// What an ordinary program may not do: each is refused, and nothing happens.
#include "../story.h"
#include <sys/mount.h>
#include <sys/klog.h>
#include <sys/time.h>

// Any refusal will do: it depends on the kernel which one.
static void refused(const char *what, long result) {
    int error = errno;
    int is_refusal = result == -1 && (error == EPERM || error == ENOSYS || error == EINVAL || error == EACCES || error == EOPNOTSUPP);
    printf("%s: %s\n", what, is_refusal ? "refused" : "FAIL");
    if (!is_refusal)
        printf("FAIL %s %ld %s\n", what, result, strerrorname_np(error));
}

static void as_nobody(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        exit(96);
    refused("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
    refused("umount", umount2("/proc", 0));
    refused("chroot", chroot("/"));
    refused("sethostname", sethostname("x", 1));
    refused("setdomainname", setdomainname("x", 1));
    refused("settimeofday", settimeofday(&(struct timeval){1, 0}, NULL));
    refused("clock_settime", clock_settime(CLOCK_REALTIME, &(struct timespec){1, 0}));
    refused("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
    refused("swapon", syscall(SYS_swapon, "/dev/null", 0));
    refused("swapoff", syscall(SYS_swapoff, "/dev/null"));
    refused("pivot_root", syscall(SYS_pivot_root, "/", "/"));
    refused("init_module", syscall(SYS_init_module, NULL, 0, ""));
    refused("delete_module", syscall(SYS_delete_module, "x", 0));
    refused("iopl", syscall(SYS_iopl, 3));
    refused("ioperm", syscall(SYS_ioperm, 0, 1, 1));
    refused("acct", syscall(SYS_acct, "/tmp/x"));
    refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    refused("syslog", syscall(SYS_syslog, 5, NULL, 0));
    refused("setns", syscall(SYS_setns, open("/proc/self/ns/net", O_RDONLY), 0));
    refused("an unknown call", syscall(9999));
}

int main(void) {
    in_a_child(as_nobody);
    return 0;
}
