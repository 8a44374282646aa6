//! Counters that the guest kernel keeps in its [report](crate::report) while it runs, for the worker to read at any time.
//!
//! ```text
//! vCPU 0 ─┐               vCPU 1 ─┐                    a vCPU's shard is its number modulo SHARDS
//! vCPU 8 ─┴─► shard 0     vCPU 9 ─┴─► shard 1     …
//! ```
//!
//! A shard is written with plain loads and stores. Vcpus that have one to themselves, the first [`SHARDS`] of a partition, count exactly
//! and do not slow each other down; others may lose a count now and then. A total is the sum over the shards. To keep them costs the
//! guest no exit, and to read them costs it nothing.

use crate::linux::syscall as number;

/// Shards of a partition.
pub const SHARDS: usize = 8;
/// System calls counted by number: all that Linux has. The last one is for what is beyond.
pub const COUNTED_CALLS: usize = 512;
/// One call of this many, of each number, is timed: the first and each that many later.
pub const TIMED_EACH: u64 = 16;

/// What a system call is about.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Everything else.
    Other = 0,
    /// Contents of files, pipes and terminals.
    Data = 1,
    /// Files by name, and what is known of them.
    Files = 2,
    /// Sockets.
    Sockets = 3,
    /// Memory.
    Memory = 4,
    /// Threads that wait for each other.
    Threads = 5,
    /// Processes.
    Processes = 6,
    /// Waiting for descriptors or for time to pass.
    Waiting = 7,
    /// Signals.
    Signals = 8,
    /// Clocks and timers.
    Time = 9,
}

/// How many classes there are.
pub const CLASSES: usize = 10;

impl Class {
    /// All, by number.
    pub const ALL: [Self; CLASSES] = [
        Self::Other,
        Self::Data,
        Self::Files,
        Self::Sockets,
        Self::Memory,
        Self::Threads,
        Self::Processes,
        Self::Waiting,
        Self::Signals,
        Self::Time,
    ];

    /// Its name, in statistics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Data => "data",
            Self::Files => "files",
            Self::Sockets => "sockets",
            Self::Memory => "memory",
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::Waiting => "waiting",
            Self::Signals => "signals",
            Self::Time => "time",
        }
    }

    /// The class of system call `number`.
    #[must_use]
    pub fn of(number: usize) -> Self {
        CLASS_OF.get(number).copied().unwrap_or(Self::Other)
    }
}

/// Latencies are counted in powers of four: bucket N is for those below `LATENCY_LIMITS_NS[N]`, the last one for all others.
pub const LATENCY_LIMITS_NS: [u64; BUCKETS - 1] = {
    let mut limits = [1_000; BUCKETS - 1];
    let mut at = 1;
    while at < limits.len() {
        limits[at] = limits[at - 1] * 4;
        at += 1;
    }
    limits
};

/// How many buckets there are: up to 1 µs, 4 µs, … 268 ms, 1.07 s, and more.
pub const BUCKETS: usize = 12;

/// The bucket of a latency.
#[must_use]
pub fn bucket_of(ns: u64) -> usize {
    LATENCY_LIMITS_NS.iter().position(|limit| ns < *limit).unwrap_or(BUCKETS - 1)
}

/// One shard.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Shard {
    /// Page faults taken by the program.
    pub page_faults: u64,
    /// Interrupts that came while the program ran.
    pub interrupts: u64,
    /// Times a vCPU halted.
    pub halts: u64,
    /// How long the [timed](TIMED_EACH) system calls took, waiting included: by class, by [bucket](bucket_of).
    pub latency: [[u64; BUCKETS]; CLASSES],
    /// All of these times together, in ns.
    pub latency_ns: [u64; CLASSES],
    /// System calls by number.
    pub system_calls: [u64; COUNTED_CALLS],
}

const DATA: &[usize] = &[
    number::READ,
    number::WRITE,
    number::PREAD64,
    number::PWRITE64,
    number::READV,
    number::WRITEV,
    number::PREADV,
    number::PWRITEV,
    number::PREADV2,
    number::PWRITEV2,
    number::LSEEK,
    number::SENDFILE,
    number::COPY_FILE_RANGE,
    number::SPLICE,
    number::TEE,
    number::VMSPLICE,
    number::FSYNC,
    number::FDATASYNC,
    number::SYNC,
    number::SYNCFS,
    number::SYNC_FILE_RANGE,
    number::READAHEAD,
    number::FADVISE64,
    number::FALLOCATE,
    number::TRUNCATE,
    number::FTRUNCATE,
    number::IO_SETUP,
    number::IO_DESTROY,
    number::IO_SUBMIT,
    number::IO_GETEVENTS,
    number::IO_PGETEVENTS,
    number::IO_CANCEL,
    number::IO_URING_SETUP,
    number::IO_URING_ENTER,
    number::IO_URING_REGISTER,
];

const FILES: &[usize] = &[
    number::OPEN,
    number::OPENAT,
    number::OPENAT2,
    number::CREAT,
    number::CLOSE,
    number::CLOSE_RANGE,
    number::STAT,
    number::FSTAT,
    number::LSTAT,
    number::NEWFSTATAT,
    number::STATX,
    number::STATFS,
    number::FSTATFS,
    number::ACCESS,
    number::FACCESSAT,
    number::FACCESSAT2,
    number::READLINK,
    number::READLINKAT,
    number::GETDENTS,
    number::GETDENTS64,
    number::GETCWD,
    number::CHDIR,
    number::FCHDIR,
    number::RENAME,
    number::RENAMEAT,
    number::RENAMEAT2,
    number::MKDIR,
    number::MKDIRAT,
    number::RMDIR,
    number::LINK,
    number::LINKAT,
    number::UNLINK,
    number::UNLINKAT,
    number::SYMLINK,
    number::SYMLINKAT,
    number::MKNOD,
    number::MKNODAT,
    number::CHMOD,
    number::FCHMOD,
    number::FCHMODAT,
    number::CHOWN,
    number::FCHOWN,
    number::LCHOWN,
    number::FCHOWNAT,
    number::UTIME,
    number::UTIMES,
    number::FUTIMESAT,
    number::UTIMENSAT,
    number::UMASK,
    number::FCNTL,
    number::FLOCK,
    number::IOCTL,
    number::DUP,
    number::DUP2,
    number::DUP3,
    number::PIPE,
    number::PIPE2,
    number::MOUNT,
    number::UMOUNT2,
    number::MEMFD_CREATE,
    number::GETXATTR,
    number::LGETXATTR,
    number::FGETXATTR,
    number::SETXATTR,
    number::LSETXATTR,
    number::FSETXATTR,
    number::LISTXATTR,
    number::LLISTXATTR,
    number::FLISTXATTR,
    number::INOTIFY_INIT,
    number::INOTIFY_INIT1,
    number::INOTIFY_ADD_WATCH,
    number::INOTIFY_RM_WATCH,
];

const SOCKETS: &[usize] = &[
    number::SOCKET,
    number::SOCKETPAIR,
    number::CONNECT,
    number::ACCEPT,
    number::ACCEPT4,
    number::BIND,
    number::LISTEN,
    number::SHUTDOWN,
    number::SENDTO,
    number::SENDMSG,
    number::SENDMMSG,
    number::RECVFROM,
    number::RECVMSG,
    number::RECVMMSG,
    number::GETSOCKNAME,
    number::GETPEERNAME,
    number::GETSOCKOPT,
    number::SETSOCKOPT,
];

const MEMORY: &[usize] = &[
    number::MMAP,
    number::MUNMAP,
    number::MREMAP,
    number::MPROTECT,
    number::BRK,
    number::MSYNC,
    number::MINCORE,
    number::MADVISE,
    number::PROCESS_MADVISE,
    number::MLOCK,
    number::MLOCK2,
    number::MUNLOCK,
    number::MLOCKALL,
    number::MUNLOCKALL,
    number::SHMGET,
    number::SHMAT,
    number::SHMCTL,
    number::SHMDT,
    number::MBIND,
    number::SET_MEMPOLICY,
    number::GET_MEMPOLICY,
    number::MOVE_PAGES,
];

const THREADS: &[usize] = &[
    number::FUTEX,
    number::FUTEX_WAITV,
    number::SCHED_YIELD,
    number::SCHED_GETAFFINITY,
    number::SCHED_SETAFFINITY,
    number::SET_ROBUST_LIST,
    number::GET_ROBUST_LIST,
    number::SET_TID_ADDRESS,
    number::RSEQ,
    number::GETTID,
    number::MEMBARRIER,
    number::ARCH_PRCTL,
    number::SEMGET,
    number::SEMOP,
    number::SEMTIMEDOP,
    number::SEMCTL,
];

const PROCESSES: &[usize] = &[
    number::CLONE,
    number::CLONE3,
    number::FORK,
    number::VFORK,
    number::EXECVE,
    number::EXECVEAT,
    number::EXIT,
    number::EXIT_GROUP,
    number::WAIT4,
    number::WAITID,
    number::GETPID,
    number::GETPPID,
    number::PRCTL,
    number::PIDFD_OPEN,
    number::PIDFD_GETFD,
];

const WAITING: &[usize] = &[
    number::POLL,
    number::PPOLL,
    number::SELECT,
    number::PSELECT6,
    number::EPOLL_CREATE,
    number::EPOLL_CREATE1,
    number::EPOLL_CTL,
    number::EPOLL_WAIT,
    number::EPOLL_PWAIT,
    number::EPOLL_PWAIT2,
    number::EVENTFD,
    number::EVENTFD2,
    number::NANOSLEEP,
    number::CLOCK_NANOSLEEP,
    number::PAUSE,
];

const SIGNALS: &[usize] = &[
    number::RT_SIGACTION,
    number::RT_SIGPROCMASK,
    number::RT_SIGRETURN,
    number::RT_SIGPENDING,
    number::RT_SIGTIMEDWAIT,
    number::RT_SIGQUEUEINFO,
    number::RT_TGSIGQUEUEINFO,
    number::RT_SIGSUSPEND,
    number::SIGALTSTACK,
    number::SIGNALFD,
    number::SIGNALFD4,
    number::KILL,
    number::TKILL,
    number::TGKILL,
    number::PIDFD_SEND_SIGNAL,
];

const TIME: &[usize] = &[
    number::CLOCK_GETTIME,
    number::CLOCK_GETRES,
    number::CLOCK_SETTIME,
    number::GETTIMEOFDAY,
    number::TIME,
    number::TIMES,
    number::GETITIMER,
    number::SETITIMER,
    number::ALARM,
    number::TIMER_CREATE,
    number::TIMER_SETTIME,
    number::TIMER_GETTIME,
    number::TIMER_GETOVERRUN,
    number::TIMER_DELETE,
    number::TIMERFD_CREATE,
    number::TIMERFD_SETTIME,
    number::TIMERFD_GETTIME,
];

static CLASS_OF: [Class; COUNTED_CALLS] = {
    let lists = [
        (Class::Data, DATA),
        (Class::Files, FILES),
        (Class::Sockets, SOCKETS),
        (Class::Memory, MEMORY),
        (Class::Threads, THREADS),
        (Class::Processes, PROCESSES),
        (Class::Waiting, WAITING),
        (Class::Signals, SIGNALS),
        (Class::Time, TIME),
    ];
    let mut classes = [Class::Other; COUNTED_CALLS];
    let mut list = 0;
    while list < lists.len() {
        let (class, numbers) = lists[list];
        let mut at = 0;
        while at < numbers.len() {
            assert!(matches!(classes[numbers[at]], Class::Other), "a system call in two classes");
            classes[numbers[at]] = class;
            at += 1;
        }
        list += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_class_and_every_latency_a_bucket() {
        assert_eq!(Class::of(number::FUTEX), Class::Threads);
        assert_eq!(Class::of(number::UNAME), Class::Other);
        assert_eq!(Class::of(usize::MAX), Class::Other);
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
        }
        assert_eq!([0, 999, 1_000, 3_999, 4_000].map(bucket_of), [0, 0, 1, 1, 2]);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(LATENCY_LIMITS_NS.last(), Some(&1_048_576_000));
    }

    #[test]
    fn there_is_room_for_every_number() {
        assert!(number::NAMES.iter().all(|&(number, _)| number < COUNTED_CALLS - 1));
    }
}
