//! The attacks: one line each, from which the test acts and the page is written.

use nix::errno::Errno;
use nix::libc;

/// Which thread is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Main,
    Vcpu,
    Streams,
    Files,
    Disk,
    Network,
}

/// What stops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The thread's filter; the worker is killed.
    Filter,
    /// The kernel says this, because of that.
    Error(Errno, &'static str),
    /// It is said to the broker, which ends, and so does the partition.
    Broker,
    /// It is said to the broker, which refuses, and tells this.
    Rules(&'static str),
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub enum Given {
    Number(u64),
    Text(&'static str),
    /// Any bytes.
    Bytes(&'static [u8]),
    /// The supervisor's process.
    Supervisor,
    /// The broker's process.
    BrokerProcess,
    /// The descriptor by which the broker is asked.
    Broker,
    /// AT_FDCWD.
    Here,
}

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    pub tries: &'static str,
    pub by: By,
    pub call: u64,
    pub with: &'static [Given],
    pub stopped_by: Stop,
}

impl Attack {
    /// Its line of the page.
    pub fn row(&self, number: usize) -> String {
        let by = match self.by {
            By::Main => "main",
            By::Vcpu => "vCPU",
            By::Streams => "streams",
            By::Files => "files",
            By::Disk => "disk",
            By::Network => "network",
        };
        let stop = match self.stopped_by {
            Stop::Filter => "the filter: the worker is killed, the call is not made".to_owned(),
            Stop::Error(errno, why) => format!("{why} ({errno:?})"),
            Stop::Broker => "the broker: it ends, and the worker is killed".to_owned(),
            Stop::Rules(_) => "the broker: it refuses, and says so".to_owned(),
        };
        format!("| {number} | {} | {by} | {stop} |\n", self.tries)
    }
}

use By::{Disk, Files, Main, Network, Streams, Vcpu};
use Given::{Broker as ToBroker, BrokerProcess, Bytes, Here, Number as N, Supervisor, Text};
use Stop::{Error, Filter};

const fn attack(tries: &'static str, by: By, call: i64, with: &'static [Given], stopped_by: Stop) -> Attack {
    Attack { tries, by, call: call.cast_unsigned(), with, stopped_by }
}

const fn flag(value: i32) -> Given {
    N(value.cast_unsigned() as u64)
}

const EXEC: Given = flag(libc::PROT_READ | libc::PROT_EXEC);
const ANONYMOUS: Given = flag(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
const READ: Given = flag(libc::O_RDONLY);
const MAKE: Given = flag(libc::O_WRONLY | libc::O_CREAT);

const ROOT: &str = "its root holds nothing of the host but what is shared";
const READ_ONLY: &str = "its root and all but writable volumes are mounted read-only";

/// `struct sockaddr_in` of port 22 of the loopback.
const LOOPBACK: &[u8] = &[2, 0, 0, 22, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Arguments that say these bytes to the broker.
macro_rules! say {
    ($bytes:expr) => {
        [ToBroker, Bytes($bytes), N($bytes.len() as u64), N(0), N(0), N(0)]
    };
}

pub const ATTACKS: &[Attack] = &[
    attack("execute `/bin/sh`", Vcpu, libc::SYS_execve, &[Text("/bin/sh"), N(0), N(0)], Filter),
    attack(
        "the same, by `execveat`",
        Files,
        libc::SYS_execveat,
        &[Here, Text("/bin/sh"), N(0), N(0), N(0)],
        Filter,
    ),
    attack(
        "the same, by the number of the x32 ABI",
        Vcpu,
        0x4000_0000 | 520,
        &[Text("/bin/sh"), N(0), N(0)],
        Filter,
    ),
    attack("`fork`", Vcpu, libc::SYS_fork, &[], Filter),
    attack("`vfork`", Vcpu, libc::SYS_vfork, &[], Filter),
    attack("a process by `clone`", Vcpu, libc::SYS_clone, &[flag(libc::SIGCHLD)], Filter),
    attack(
        "a process in a user namespace by `clone`",
        Files,
        libc::SYS_clone,
        &[flag(libc::CLONE_NEWUSER | libc::SIGCHLD)],
        Filter,
    ),
    attack(
        "a process by `clone3`, whose flags no filter sees",
        Vcpu,
        libc::SYS_clone3,
        &[N(0), N(88)],
        Error(Errno::ENOSYS, "a filter answers"),
    ),
    attack(
        "memory to execute",
        Vcpu,
        libc::SYS_mmap,
        &[N(0), N(4096), EXEC, ANONYMOUS, N(u64::MAX), N(0)],
        Filter,
    ),
    attack("making memory executable", Network, libc::SYS_mprotect, &[N(0), N(4096), EXEC], Filter),
    attack(
        "the same, by `pkey_mprotect`",
        Vcpu,
        libc::SYS_pkey_mprotect,
        &[N(0), N(4096), EXEC, N(0)],
        Filter,
    ),
    attack("all memory executable (`personality`)", Vcpu, libc::SYS_personality, &[N(0x0040_0000)], Filter),
    attack("a file in memory to execute", Vcpu, libc::SYS_memfd_create, &[Text("x"), N(0)], Filter),
    attack("debug the supervisor", Vcpu, libc::SYS_ptrace, &[flag(16), Supervisor, N(0), N(0)], Filter),
    attack(
        "read the supervisor's memory",
        Files,
        libc::SYS_process_vm_readv,
        &[Supervisor, N(0), N(0), N(0), N(0), N(0)],
        Filter,
    ),
    attack(
        "write the supervisor's memory",
        Vcpu,
        libc::SYS_process_vm_writev,
        &[Supervisor, N(0), N(0), N(0), N(0), N(0)],
        Filter,
    ),
    attack("kill the supervisor", Main, libc::SYS_kill, &[Supervisor, flag(libc::SIGKILL)], Filter),
    attack(
        "kill the supervisor's thread",
        Vcpu,
        libc::SYS_tgkill,
        &[Supervisor, Supervisor, flag(libc::SIGKILL)],
        Filter,
    ),
    attack("kill everybody", Vcpu, libc::SYS_kill, &[N(u64::MAX), flag(libc::SIGKILL)], Filter),
    attack(
        "a descriptor of the supervisor's process",
        Vcpu,
        libc::SYS_pidfd_open,
        &[Supervisor, N(0)],
        Filter,
    ),
    attack("a descriptor out of another process", Vcpu, libc::SYS_pidfd_getfd, &[N(3), N(0), N(0)], Filter),
    attack("outlive the supervisor", Main, libc::SYS_prctl, &[flag(libc::PR_SET_PDEATHSIG), N(0)], Filter),
    attack(
        "become one that others can debug",
        Vcpu,
        libc::SYS_prctl,
        &[flag(libc::PR_SET_DUMPABLE), N(1)],
        Filter,
    ),
    attack(
        "another handler for SIGSYS",
        Vcpu,
        libc::SYS_rt_sigaction,
        &[flag(libc::SIGSYS), N(0), N(0), N(8)],
        Filter,
    ),
    attack("another filter", Vcpu, libc::SYS_seccomp, &[N(1), N(0), N(0)], Filter),
    attack("a session of its own", Main, libc::SYS_setsid, &[], Filter),
    attack("more of a limit", Vcpu, libc::SYS_prlimit64, &[N(0), N(7), N(0), N(0)], Filter),
    attack("all processors", Vcpu, libc::SYS_sched_setaffinity, &[N(0), N(8), N(0)], Filter),
    attack("a better priority", Vcpu, libc::SYS_setpriority, &[N(0), N(0), N(0)], Filter),
    attack(
        "a user namespace, with all capabilities in it",
        Vcpu,
        libc::SYS_unshare,
        &[flag(libc::CLONE_NEWUSER)],
        Filter,
    ),
    attack("another process's namespaces", Files, libc::SYS_setns, &[N(3), N(0)], Filter),
    attack(
        "mount something",
        Files,
        libc::SYS_mount,
        &[Text("x"), Text("/"), Text("proc"), N(0), N(0)],
        Filter,
    ),
    attack("mount by the newer calls", Files, libc::SYS_fsopen, &[Text("proc"), N(0)], Filter),
    attack("a copy of a mount", Files, libc::SYS_open_tree, &[Here, Text("/"), N(1)], Filter),
    attack(
        "make a mount writable",
        Files,
        libc::SYS_mount_setattr,
        &[Here, Text("/"), N(0), N(0), N(32)],
        Filter,
    ),
    attack("unmount what hides something", Files, libc::SYS_umount2, &[Text("/"), N(2)], Filter),
    attack("another root", Files, libc::SYS_chroot, &[Text("/share")], Filter),
    attack("the old root again", Files, libc::SYS_pivot_root, &[Text("."), Text(".")], Filter),
    attack(
        "a file by its handle, past all mounts",
        Files,
        libc::SYS_open_by_handle_at,
        &[N(3), N(0), N(0)],
        Filter,
    ),
    attack(
        "a socket of the Internet, from a thread that has none",
        Vcpu,
        libc::SYS_socket,
        &[flag(libc::AF_INET), N(1), N(0)],
        Filter,
    ),
    attack(
        "a connection, from a thread that has none",
        Files,
        libc::SYS_connect,
        &[N(3), N(0), N(16)],
        Filter,
    ),
    attack(
        "a socket of the Internet, from the thread of the network",
        Network,
        libc::SYS_socket,
        &[flag(libc::AF_INET), N(1), N(0)],
        Filter,
    ),
    attack("the same, of IPv6", Network, libc::SYS_socket, &[flag(libc::AF_INET6), N(2), N(0)], Filter),
    attack(
        "a Unix socket, by which to reach the host's abstract ones",
        Network,
        libc::SYS_socket,
        &[flag(libc::AF_UNIX), N(1), N(0)],
        Filter,
    ),
    attack("a pair of them", Network, libc::SYS_socketpair, &[flag(libc::AF_UNIX), N(1), N(0), N(0)], Filter),
    attack(
        "connect a socket that the broker gave to the host's loopback",
        Network,
        libc::SYS_connect,
        &[ToBroker, Bytes(LOOPBACK), N(16)],
        Filter,
    ),
    attack(
        "give it an address of the host",
        Network,
        libc::SYS_bind,
        &[ToBroker, Bytes(LOOPBACK), N(16)],
        Filter,
    ),
    attack("listen with it", Network, libc::SYS_listen, &[ToBroker, N(9)], Filter),
    attack(
        "send a message with it to somebody else",
        Network,
        libc::SYS_sendto,
        &[ToBroker, Text("x"), N(1), N(0), Bytes(LOOPBACK), N(16)],
        Filter,
    ),
    attack(
        "the same, by an address that no filter sees (`sendmsg`)",
        Network,
        libc::SYS_sendmsg,
        &[ToBroker, N(0), N(0)],
        Filter,
    ),
    attack("the same, by `sendmmsg`", Vcpu, libc::SYS_sendmmsg, &[ToBroker, N(0), N(1), N(0)], Filter),
    attack("a descriptor for the broker", Main, libc::SYS_sendmsg, &[ToBroker, N(0), N(0)], Filter),
    attack(
        "another device of the host's network for a socket",
        Network,
        libc::SYS_setsockopt,
        &[ToBroker, flag(libc::SOL_SOCKET), flag(libc::SO_BINDTODEVICE), Text("lo"), N(3)],
        Filter,
    ),
    attack(
        "the messages of many for a socket",
        Network,
        libc::SYS_setsockopt,
        &[ToBroker, flag(libc::IPPROTO_IP), flag(libc::IP_ADD_MEMBERSHIP), Bytes(&[0; 8]), N(8)],
        Filter,
    ),
    attack("kill the broker", Network, libc::SYS_kill, &[BrokerProcess, flag(libc::SIGKILL)], Filter),
    attack("debug the broker", Vcpu, libc::SYS_ptrace, &[flag(16), BrokerProcess, N(0), N(0)], Filter),
    attack(
        "a descriptor of the broker's process",
        Network,
        libc::SYS_pidfd_open,
        &[BrokerProcess, N(0)],
        Filter,
    ),
    attack("an empty request for the broker", Network, libc::SYS_sendto, &say!(b""), Stop::Broker),
    attack(
        "a request that is cut short",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0"),
        Stop::Broker,
    ),
    attack("a request that does not end", Network, libc::SYS_sendto, &say!(&[b'a'; 4000]), Stop::Broker),
    attack(
        "a request of a kind that there is not",
        Network,
        libc::SYS_sendto,
        &say!(b"\x05\0\0\0\x07\0\0\0"),
        Stop::Broker,
    ),
    attack(
        "a request with a family that there is not",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0\0\x05\0\x50\0\x7f\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"),
        Stop::Broker,
    ),
    attack(
        "a name that is a path",
        Network,
        libc::SYS_sendto,
        &say!(b"\x04\x04\0\0\x07\0\0\0../../run/x"),
        Stop::Broker,
    ),
    attack(
        "half of a connection to the broker",
        Network,
        libc::SYS_shutdown,
        &[ToBroker, flag(libc::SHUT_WR)],
        Stop::Broker,
    ),
    attack(
        "ask the broker for the host's loopback",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0\0\x04\0\x16\0\x7f\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"),
        Stop::Rules("connection to 127.0.0.1:22 refused; no rule can allow such an address"),
    ),
    attack(
        "the same, as an address of IPv6",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0\0\x06\0\x16\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"),
        Stop::Rules("connection to [::1]:22 refused; no rule can allow such an address"),
    ),
    attack(
        "the same, as one that stands for IPv4",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0\0\x06\0\x17\0\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01"),
        Stop::Rules("connection to 127.0.0.1:23 refused; no rule can allow such an address"),
    ),
    attack(
        "ask it for the host's loopback by UDP",
        Network,
        libc::SYS_sendto,
        &say!(b"\x02\0\0\0\x07\0\0\0\x04\0\x35\0\x7f\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"),
        Stop::Rules("message to 127.0.0.1:53/udp refused; no rule can allow such an address"),
    ),
    attack(
        "ask it for what a cloud tells its machines",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0\0\x04\0\x50\0\xa9\xfe\xa9\xfe\0\0\0\0\0\0\0\0\0\0\0\0"),
        Stop::Rules("connection to 169.254.169.254:80 refused; no rule can allow such an address"),
    ),
    attack(
        "ask it for the host, which no rule names",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0\0\x04\0\x50\0\xc6\x12\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"),
        Stop::Rules("connection to host.septum.internal:80 refused"),
    ),
    attack(
        "ask it for another port than a rule names",
        Network,
        libc::SYS_sendto,
        &say!(b"\x01\0\0\0\x07\0\0\0\x04\0\x0a\0\xc0\0\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0"),
        Stop::Rules("connection to 192.0.2.1:10 refused"),
    ),
    attack(
        "ask it for a Unix socket of the host",
        Network,
        libc::SYS_sendto,
        &say!(b"\x03\0\0\0\x07\0\0\0\x16\0\0\0"),
        Stop::Rules("connection to port 22 of the host refused"),
    ),
    attack(
        "ask it for a name that no rule has, as a way out",
        Network,
        libc::SYS_sendto,
        &say!(b"\x04\x04\0\0\x07\0\0\0secret.example.org"),
        Stop::Rules("name secret.example.org not looked up"),
    ),
    attack("a raw socket", Network, libc::SYS_socket, &[flag(libc::AF_PACKET), N(3), N(0)], Filter),
    attack(
        "a socket to the host's kernel (netlink)",
        Network,
        libc::SYS_socket,
        &[flag(libc::AF_NETLINK), N(3), N(0)],
        Filter,
    ),
    attack(
        "a socket to the host's hypervisor (vsock)",
        Network,
        libc::SYS_socket,
        &[flag(libc::AF_VSOCK), N(1), N(0)],
        Filter,
    ),
    attack(
        "a socket of the kernel's ciphers",
        Network,
        libc::SYS_socket,
        &[flag(libc::AF_ALG), N(5), N(0)],
        Filter,
    ),
    attack(
        "a file, from the thread of the network",
        Network,
        libc::SYS_openat,
        &[Here, Text("/"), READ],
        Filter,
    ),
    attack("a file, from the main thread", Main, libc::SYS_openat, &[Here, Text("/"), READ], Filter),
    attack("a file, from the thread of a disk", Disk, libc::SYS_openat, &[Here, Text("/"), READ], Filter),
    attack(
        "type at the caller's terminal",
        Streams,
        libc::SYS_ioctl,
        &[N(0), N(libc::TIOCSTI), N(0)],
        Filter,
    ),
    attack("another virtual machine", Vcpu, libc::SYS_ioctl, &[N(3), N(0xae01), N(0)], Filter),
    attack("a device of KVM's", Vcpu, libc::SYS_ioctl, &[N(3), N(0xc00c_aee0), N(0)], Filter),
    attack("a program in the kernel (`bpf`)", Vcpu, libc::SYS_bpf, &[N(0), N(0), N(0)], Filter),
    attack(
        "performance counters",
        Vcpu,
        libc::SYS_perf_event_open,
        &[N(0), N(0), N(u64::MAX), N(u64::MAX), N(0)],
        Filter,
    ),
    attack("faults to wait in (`userfaultfd`)", Vcpu, libc::SYS_userfaultfd, &[N(0)], Filter),
    attack("a ring whose requests no filter sees", Disk, libc::SYS_io_uring_setup, &[N(8), N(0)], Filter),
    attack(
        "taking a ring's restrictions off",
        Disk,
        libc::SYS_io_uring_register,
        &[N(3), N(11), N(0), N(0)],
        Filter,
    ),
    attack("the kernel's keys", Vcpu, libc::SYS_keyctl, &[N(0), N(0), N(0)], Filter),
    attack("a kernel module", Vcpu, libc::SYS_finit_module, &[N(0), Text(""), N(0)], Filter),
    attack("another kernel", Vcpu, libc::SYS_kexec_load, &[N(0), N(0), N(0), N(0)], Filter),
    attack("a restart of the host", Vcpu, libc::SYS_reboot, &[N(0), N(0), N(0), N(0)], Filter),
    attack("the kernel's log", Vcpu, libc::SYS_syslog, &[N(2), N(0), N(0)], Filter),
    attack("the processor's ports", Vcpu, libc::SYS_iopl, &[N(3)], Filter),
    attack("segments of its own", Vcpu, libc::SYS_modify_ldt, &[N(0), N(0), N(0)], Filter),
    attack("the host's clock", Vcpu, libc::SYS_clock_settime, &[N(0), N(0)], Filter),
    attack("the host's name", Vcpu, libc::SYS_sethostname, &[Text("x"), N(1)], Filter),
    attack("shared memory of other processes", Vcpu, libc::SYS_shmget, &[N(1), N(4096), N(0)], Filter),
    attack(
        "signals by a descriptor to another process",
        Vcpu,
        libc::SYS_fcntl,
        &[N(0), flag(libc::F_SETOWN), Supervisor],
        Filter,
    ),
    attack(
        "who opens which files on the host (`fanotify`)",
        Files,
        libc::SYS_fanotify_init,
        &[N(0), N(0)],
        Filter,
    ),
    attack(
        "a file of the host's accounts",
        Files,
        libc::SYS_openat,
        &[Here, Text("/etc/shadow"), READ],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "the same, from below the root",
        Files,
        libc::SYS_openat,
        &[Here, Text("../../../../etc/shadow"), READ],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "KVM's device",
        Vcpu,
        libc::SYS_openat,
        &[Here, Text("/dev/kvm"), READ],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "a disk of the host",
        Vcpu,
        libc::SYS_openat,
        &[Here, Text("/dev/sda"), READ],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "the first process's memory",
        Vcpu,
        libc::SYS_openat,
        &[Here, Text("/proc/1/mem"), READ],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "its own memory, past all protection",
        Vcpu,
        libc::SYS_openat,
        &[Here, Text("/proc/self/mem"), READ],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "what the host starts at a crash",
        Files,
        libc::SYS_openat,
        &[Here, Text("/proc/sys/kernel/core_pattern"), MAKE, N(0o600)],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "the host's devices by `/sys`",
        Files,
        libc::SYS_openat,
        &[Here, Text("/sys/kernel"), READ],
        Error(Errno::ENOENT, ROOT),
    ),
    attack(
        "a file in its root",
        Files,
        libc::SYS_openat,
        &[Here, Text("/x"), MAKE, N(0o600)],
        Error(Errno::EROFS, READ_ONLY),
    ),
    attack(
        "a file in the host's `/usr`",
        Files,
        libc::SYS_openat,
        &[Here, Text("/share/system/usr/x"), MAKE, N(0o600)],
        Error(Errno::EROFS, READ_ONLY),
    ),
    attack(
        "a directory in its root",
        Vcpu,
        libc::SYS_mkdirat,
        &[Here, Text("/x"), N(0o700)],
        Error(Errno::EROFS, READ_ONLY),
    ),
    attack(
        "remove a program of the host",
        Vcpu,
        libc::SYS_unlinkat,
        &[Here, Text("/share/system/usr/bin/env"), N(0)],
        Error(Errno::EROFS, READ_ONLY),
    ),
    attack(
        "a device node for the host's disk, in a volume",
        Files,
        libc::SYS_mknodat,
        &[Here, Text("/share/0/x"), N(0o60_600), N(0x800)],
        Error(Errno::EACCES, "Landlock leaves it no devices to make"),
    ),
];
