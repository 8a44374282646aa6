//! The policy: which system calls a thread may make, and with what.
//!
//! Calls are in groups, each of which some part of the worker needs; a [role](calls_of) has some of the groups. Whoever adds a call says
//! here what for. `tests/tests/jail.rs` runs code inside the jail that tries everything else.

use When::{Always, Both, In, OwnProcess, Without};
use septum_machine::Role;

/// When a call is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Always,
    /// The lower half of this argument is one of these.
    In(u8, &'static [u32]),
    /// The lower half of this argument, without the bits outside the mask, is one of these.
    Masked(u8, u32, &'static [u32]),
    /// This argument has none of these bits.
    Without(u8, u64),
    /// The lower halves of two arguments are these.
    Both((u8, u32), (u8, u32)),
    /// The lower half of this argument is the number of this process.
    OwnProcess(u8),
}

/// A system call, and when it is allowed.
pub(super) type Call = (i64, When);

const PROT_EXEC: u64 = libc::PROT_EXEC.cast_unsigned() as u64;

/// What the language's runtime and the C library need: memory, threads that wait for each other, time, an end.
const RUNTIME: &[Call] = &[
    (libc::SYS_futex, Always),
    (libc::SYS_brk, Always),
    (libc::SYS_mmap, Without(2, PROT_EXEC)),
    (libc::SYS_mprotect, Without(2, PROT_EXEC)),
    (libc::SYS_mremap, Always),
    (libc::SYS_munmap, Always),
    (libc::SYS_madvise, Always),
    (libc::SYS_sigaltstack, Always),
    (libc::SYS_rt_sigprocmask, Always),
    (libc::SYS_rt_sigreturn, Always),
    // A wait that SIGSTOP interrupted goes on by it (`septum pause`).
    (libc::SYS_restart_syscall, Always),
    (libc::SYS_sched_yield, Always),
    (libc::SYS_sched_getaffinity, Always),
    (libc::SYS_clock_nanosleep, Always),
    // Where the vDSO cannot answer.
    (libc::SYS_clock_gettime, Always),
    (libc::SYS_getrandom, Always),
    (libc::SYS_getpid, Always),
    (libc::SYS_gettid, Always),
    // Kicks vCPUs; `abort`.
    (libc::SYS_tgkill, OwnProcess(0)),
    (libc::SYS_prctl, In(0, &[libc::PR_SET_NAME.cast_unsigned()])),
    (libc::SYS_exit, Always),
    (libc::SYS_exit_group, Always),
];

/// What every device does: hears of events, tells the guest of them, moves bytes between descriptors and memory.
const DEVICES: &[Call] = &[
    (libc::SYS_read, Always),
    (libc::SYS_write, Always),
    (libc::SYS_readv, Always),
    (libc::SYS_writev, Always),
    (libc::SYS_close, Always),
    (libc::SYS_poll, Always),
    (libc::SYS_ppoll, Always),
    (libc::SYS_epoll_wait, Always),
    (libc::SYS_epoll_pwait, Always),
    (libc::SYS_epoll_ctl, Always),
    (libc::SYS_eventfd2, Always),
    (libc::SYS_fcntl, In(1, FCNTL)),
    (libc::SYS_ioctl, When::Masked(1, 0xffff, IOCTL)),
    // To whoever is at the other end, and nobody else: no address. (`sendmsg` has its address where no filter sees it.)
    (libc::SYS_sendto, Without(4, u64::MAX)),
];

/// Commands of `fcntl`: duplicates, flags, locks of open files, leases that tell whether a file is written to,
/// the size of a pipe. No signals, no seals.
const FCNTL: &[u32] = &[
    libc::F_GETFD.cast_unsigned(),
    libc::F_SETFD.cast_unsigned(),
    libc::F_GETFL.cast_unsigned(),
    libc::F_SETFL.cast_unsigned(),
    libc::F_DUPFD_CLOEXEC.cast_unsigned(),
    libc::F_OFD_GETLK.cast_unsigned(),
    libc::F_OFD_SETLK.cast_unsigned(),
    libc::F_SETLEASE.cast_unsigned(),
    libc::F_GETPIPE_SZ.cast_unsigned(),
];

/// Requests of `ioctl`, without the sizes of their arguments: KVM's (its type is 0xae) for running, making and setting up vCPUs, for memory
/// slots, doorbells and interrupts, VFIO's for the interrupts of functions that are passed on, and few of terminals and sockets.
const IOCTL: &[u32] = &[
    0xae41, // KVM_CREATE_VCPU
    0xae46, // KVM_SET_USER_MEMORY_REGION
    0xae6a, // KVM_SET_GSI_ROUTING
    0xae76, // KVM_IRQFD
    0xae79, // KVM_IOEVENTFD
    0xae80, // KVM_RUN
    0xae81, // KVM_GET_REGS
    0xae82, // KVM_SET_REGS
    0xae83, // KVM_GET_SREGS
    0xae84, // KVM_SET_SREGS
    0xae88, // KVM_GET_MSRS
    0xae89, // KVM_SET_MSRS
    0xae8e, // KVM_GET_LAPIC
    0xae8f, // KVM_SET_LAPIC
    0xae90, // KVM_SET_CPUID2
    0xae99, // KVM_SET_MP_STATE
    0xae9f, // KVM_GET_VCPU_EVENTS
    0xaea0, // KVM_SET_VCPU_EVENTS
    0xaea5, // KVM_SIGNAL_MSI, KVM_SET_XSAVE
    0xaea7, // KVM_SET_XCRS
    0x3b6d, // VFIO_DEVICE_GET_IRQ_INFO
    0x3b6e, // VFIO_DEVICE_SET_IRQS
    0x5401, // TCGETS
    0x5413, // TIOCGWINSZ
    0x541b, // FIONREAD
    0x5421, // FIONBIO
];

/// Threads, and nothing that is more than a thread. (`clone3`, whose flags are in memory, is answered with ENOSYS.)
const THREADS: &[Call] = &[
    (libc::SYS_clone, When::Masked(0, NOT_A_THREAD | THREAD, &[THREAD])),
    (libc::SYS_set_robust_list, Always),
    (libc::SYS_rseq, Always),
];

const THREAD: u32 = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND).cast_unsigned();
const NOT_A_THREAD: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_VFORK
    | libc::CLONE_PARENT
    | libc::CLONE_PTRACE)
    .cast_unsigned();

/// What serving files takes. A vCPU's thread does it too: who rings serves (decision 0017).
const FILES: &[Call] = &[
    (libc::SYS_openat, Always),
    (libc::SYS_openat2, Always),
    (libc::SYS_statx, Always),
    (libc::SYS_newfstatat, Always),
    (libc::SYS_fstat, Always),
    (libc::SYS_statfs, Always),
    (libc::SYS_fstatfs, Always),
    (libc::SYS_readlinkat, Always),
    (libc::SYS_getdents64, Always),
    (libc::SYS_lseek, Always),
    (libc::SYS_pread64, Always),
    (libc::SYS_pwrite64, Always),
    (libc::SYS_preadv, Always),
    (libc::SYS_pwritev, Always),
    (libc::SYS_preadv2, Always),
    (libc::SYS_pwritev2, Always),
    (libc::SYS_dup, Always),
    (libc::SYS_mkdirat, Always),
    (libc::SYS_mknodat, Always),
    (libc::SYS_symlinkat, Always),
    (libc::SYS_linkat, Always),
    (libc::SYS_unlinkat, Always),
    (libc::SYS_renameat2, Always),
    (libc::SYS_fchmod, Always),
    (libc::SYS_fchmodat, Always),
    (libc::SYS_fchownat, Always),
    (libc::SYS_utimensat, Always),
    (libc::SYS_ftruncate, Always),
    (libc::SYS_fallocate, Always),
    (libc::SYS_fsync, Always),
    (libc::SYS_fdatasync, Always),
    (libc::SYS_flock, Always),
    (libc::SYS_umask, Always),
    (libc::SYS_getxattr, Always),
    (libc::SYS_setxattr, Always),
    (libc::SYS_listxattr, Always),
    (libc::SYS_removexattr, Always),
    (libc::SYS_getuid, Always),
    (libc::SYS_getgid, Always),
    // A file is made by the user that the guest says; the capabilities for it are all that is left.
    (libc::SYS_setresuid, Always),
    (libc::SYS_setresgid, Always),
    (libc::SYS_capget, Always),
    (libc::SYS_capset, Always),
    // Files in the window, if the host changes them.
    (libc::SYS_inotify_init1, Always),
    (libc::SYS_inotify_add_watch, Always),
    (libc::SYS_inotify_rm_watch, Always),
];

/// Disks with many requests under way. What goes through a ring is asked of no filter, so a ring is made, and restricted to reading and
/// synchronizing, before there is one.
const URING: &[Call] = &[(libc::SYS_io_uring_enter, Always)];

/// Standard streams and terminals, which are opened once more to not wait.
const STREAMS: &[Call] =
    &[(libc::SYS_openat, Always), (libc::SYS_fstat, Always), (libc::SYS_newfstatat, Always)];

/// The proxy of the partition's sockets, which are the broker's to make. None is made here, connected, or given an address.
const SOCKETS: &[Call] = &[
    (libc::SYS_accept4, Always),
    (libc::SYS_shutdown, Always),
    (libc::SYS_getsockopt, Always),
    // A connection that is broken off.
    (libc::SYS_setsockopt, Both((1, libc::SOL_SOCKET.cast_unsigned()), (2, libc::SO_LINGER.cast_unsigned()))),
    (libc::SYS_getsockname, Always),
    (libc::SYS_getpeername, Always),
    (libc::SYS_recvfrom, Always),
    (libc::SYS_recvmsg, Always),
    (libc::SYS_timerfd_settime, Always),
];

/// The broker, which has the host's network and nothing else of it: no path, no thread, no other family of sockets.
pub(super) const BROKER: &[&[Call]] = &[
    RUNTIME,
    &[
        (libc::SYS_read, Always),
        (libc::SYS_write, Always),
        (libc::SYS_close, Always),
        // Before a descriptor is closed, whether it is one.
        (libc::SYS_fcntl, In(1, &[libc::F_GETFD.cast_unsigned()])),
        (libc::SYS_poll, Always),
        (libc::SYS_ppoll, Always),
        (libc::SYS_epoll_wait, Always),
        (libc::SYS_epoll_pwait, Always),
        (libc::SYS_epoll_ctl, Always),
        (libc::SYS_socket, In(0, &[libc::AF_INET.cast_unsigned(), libc::AF_INET6.cast_unsigned()])),
        (libc::SYS_connect, Always),
        // Whether an address is the host's own.
        (libc::SYS_bind, Always),
        (libc::SYS_getsockname, Always),
        (
            libc::SYS_setsockopt,
            Both((1, libc::IPPROTO_TCP.cast_unsigned()), (2, libc::TCP_NODELAY.cast_unsigned())),
        ),
        (libc::SYS_recvfrom, Always),
        (libc::SYS_recvmsg, Always),
        (libc::SYS_sendto, Always),
        (libc::SYS_sendmsg, Always),
    ],
];

/// The main thread: what the supervisor says, the last word, and the statistics.
const MAIN: &[Call] = &[
    (libc::SYS_recvmsg, Always),
    (libc::SYS_recvfrom, Always),
    (libc::SYS_fstat, Always),
    (libc::SYS_statx, Always),
    (libc::SYS_lseek, Always),
];

/// The groups of a role.
pub(super) fn groups_of(role: Role) -> &'static [&'static [Call]] {
    match role {
        Role::Main => &[RUNTIME, DEVICES, MAIN],
        Role::Vcpu => &[RUNTIME, DEVICES, THREADS, FILES],
        Role::LinuxVcpu => &[RUNTIME, DEVICES, FILES_OF_DISKS],
        Role::Files => &[RUNTIME, DEVICES, THREADS, FILES],
        Role::Streams => &[RUNTIME, DEVICES, STREAMS],
        Role::Disk => &[RUNTIME, DEVICES, FILES_OF_DISKS, URING],
        Role::Network => &[RUNTIME, DEVICES, SOCKETS],
    }
}

/// What a disk does to its file.
const FILES_OF_DISKS: &[Call] = &[
    (libc::SYS_pread64, Always),
    (libc::SYS_pwrite64, Always),
    (libc::SYS_preadv, Always),
    (libc::SYS_pwritev, Always),
    (libc::SYS_preadv2, Always),
    (libc::SYS_pwritev2, Always),
    (libc::SYS_fallocate, Always),
    (libc::SYS_fsync, Always),
    (libc::SYS_fdatasync, Always),
    (libc::SYS_fstat, Always),
];
