// capget, capset: versions of the structure, and capabilities that only grow less.
#include "../story.h"
#include <linux/capability.h>
#include <sys/prctl.h>

static struct __user_cap_header_struct header;
static struct __user_cap_data_struct data[2];

static long get(unsigned version, int pid) {
    header = (struct __user_cap_header_struct){version, pid};
    return syscall(SYS_capget, &header, data);
}

static long set(unsigned version) {
    header = (struct __user_cap_header_struct){version, 0};
    return syscall(SYS_capset, &header, data);
}

int main(void) {
    SHOW(get(_LINUX_CAPABILITY_VERSION_3, 0));
    // Who is not user 0 has none.
    CHECK((geteuid() == 0) == (data[0].effective != 0));
    CHECK((data[0].effective & ~data[0].permitted) == 0);
    SHOW(get(_LINUX_CAPABILITY_VERSION_3, getpid()));
    SHOW(get(_LINUX_CAPABILITY_VERSION_3, -1));
    SHOW(get(_LINUX_CAPABILITY_VERSION_3, 0x3fffffff));
    SHOW(get(0, 0));
    SHOW(header.version == _LINUX_CAPABILITY_VERSION_3);
    header.version = 0;
    SHOW(syscall(SYS_capget, &header, NULL));
    SHOW(header.version == _LINUX_CAPABILITY_VERSION_3);
    SHOW(syscall(SYS_capget, &header, NULL));
    SHOW(syscall(SYS_capget, NOWHERE, data));
    header.pid = 0;
    SHOW(syscall(SYS_capget, &header, NOWHERE));
    get(_LINUX_CAPABILITY_VERSION_3, 0);
    SHOW(set(_LINUX_CAPABILITY_VERSION_3));
    SHOW(set(5));
    SHOW(syscall(SYS_capset, NOWHERE, data));
    header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
    SHOW(syscall(SYS_capset, &header, NOWHERE));
    header.pid = getpid();
    SHOW(syscall(SYS_capset, &header, data));
    header.pid = getpid() + 1;
    SHOW(syscall(SYS_capset, &header, data));
    SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN) >= 0);
    SHOW(prctl(PR_CAPBSET_READ, 99));
    return 0;
}
