//! The table: number, handler, what there is of the call.
//!
//! Handlers narrow the six registers to the arguments' C types (an `int` is the low half of its register) and call
//! the function; older calls become the newer one that can do the same.

use super::arguments::{int, long, size, word};
use super::directories::Format;
use super::extended_attributes::{Subject, sys_getxattr, sys_listxattr, sys_removexattr, sys_setxattr};
use super::{
    FileContext, access, attributes, close, control, descriptors, directories, epoll, file_system, locks,
    names, open, pipe, poll, position, read_write, select, signal, size as file_size, splice, stat, statx,
    sync, timer, transfer, watch,
};
use crate::syscall::entry::{Entry, Handler, Support};
use septum_abi::linux::{Errno, syscall as number};

/// AT_FDCWD
const HERE: i32 = -100;
/// AT_SYMLINK_NOFOLLOW
const NO_FOLLOW: u32 = 0x100;
/// AT_REMOVEDIR
const DIRECTORY: u32 = 0x200;
/// AT_EMPTY_PATH is not among what the older calls take.
const NONE: u32 = 0;
/// O_CREAT | O_WRONLY | O_TRUNC
const CREAT: u32 = 0o1101;

const fn full<C>(number: usize, handler: Handler<C>, notes: &'static str) -> Entry<C> {
    Entry { number, handler, support: Support::Full, notes }
}

const fn partial<C>(number: usize, handler: Handler<C>, notes: &'static str) -> Entry<C> {
    Entry { number, handler, support: Support::Partial, notes }
}

const fn accepted<C>(number: usize, handler: Handler<C>, notes: &'static str) -> Entry<C> {
    Entry { number, handler, support: Support::Accepted, notes }
}

const fn refused<C>(number: usize, handler: Handler<C>, notes: &'static str) -> Entry<C> {
    Entry { number, handler, support: Support::Refused, notes }
}

/// The table's lifetime as a constant needs a type to hang on.
struct Table<C>(core::marker::PhantomData<C>);

/// Every system call on files.
#[must_use]
pub const fn file_calls<C: FileContext + 'static>() -> &'static [Entry<C>] {
    Table::<C>::CALLS
}

impl<C: FileContext + 'static> Table<C> {
    const CALLS: &'static [Entry<C>] = &[
        // Opening and closing
        full(
            number::OPEN,
            |c, [path, flags, mode, ..]| open::sys_openat(c, HERE, path, word(flags), word(mode)),
            "O_DIRECT, O_SYNC, O_NOATIME and O_ASYNC are accepted without effect",
        ),
        full(
            number::OPENAT,
            |c, [fd, path, flags, mode, ..]| open::sys_openat(c, int(fd), path, word(flags), word(mode)),
            "as open; O_TMPFILE only in RAM",
        ),
        partial(
            number::OPENAT2,
            |c, [fd, path, how, len, ..]| open::sys_openat2(c, int(fd), path, how, size(len)),
            "RESOLVE_CACHED is EAGAIN; RESOLVE_IN_ROOT implies RESOLVE_NO_MAGICLINKS",
        ),
        full(number::CREAT, |c, [path, mode, ..]| open::sys_openat(c, HERE, path, CREAT, word(mode)), ""),
        full(number::CLOSE, |c, [fd, ..]| close::sys_close(c, int(fd)), ""),
        full(
            number::CLOSE_RANGE,
            |c, [first, last, flags, ..]| close::sys_close_range(c, word(first), word(last), word(flags)),
            "CLOSE_RANGE_CLOEXEC; CLOSE_RANGE_UNSHARE has no effect",
        ),
        // Reading and writing
        full(
            number::READ,
            |c, [fd, address, len, ..]| read_write::sys_read(c, int(fd), address, size(len)),
            "",
        ),
        full(
            number::WRITE,
            |c, [fd, address, len, ..]| read_write::sys_write(c, int(fd), address, size(len)),
            "",
        ),
        full(
            number::PREAD64,
            |c, [fd, address, len, at, ..]| read_write::sys_pread64(c, int(fd), address, size(len), at),
            "",
        ),
        full(
            number::PWRITE64,
            |c, [fd, address, len, at, ..]| read_write::sys_pwrite64(c, int(fd), address, size(len), at),
            "",
        ),
        full(
            number::READV,
            |c, [fd, vectors, count, ..]| read_write::sys_readv(c, int(fd), vectors, size(count)),
            "",
        ),
        full(
            number::WRITEV,
            |c, [fd, vectors, count, ..]| read_write::sys_writev(c, int(fd), vectors, size(count)),
            "",
        ),
        full(
            number::PREADV,
            |c, [fd, vectors, count, at, ..]| read_write::sys_preadv(c, int(fd), vectors, size(count), at),
            "",
        ),
        full(
            number::PWRITEV,
            |c, [fd, vectors, count, at, ..]| read_write::sys_pwritev(c, int(fd), vectors, size(count), at),
            "",
        ),
        partial(
            number::PREADV2,
            |c, [fd, vectors, count, at, _, flags]| {
                read_write::sys_preadv2(c, int(fd), vectors, size(count), at, word(flags))
            },
            "RWF_HIPRI, RWF_DSYNC, RWF_SYNC",
        ),
        partial(
            number::PWRITEV2,
            |c, [fd, vectors, count, at, _, flags]| {
                read_write::sys_pwritev2(c, int(fd), vectors, size(count), at, word(flags))
            },
            "RWF_HIPRI, RWF_DSYNC, RWF_SYNC",
        ),
        full(
            number::LSEEK,
            |c, [fd, offset, whence, ..]| position::sys_lseek(c, int(fd), long(offset), word(whence)),
            "SEEK_DATA and SEEK_HOLE see no holes but the one at the end",
        ),
        full(
            number::SENDFILE,
            |c, [to, from, at, len, ..]| transfer::sys_sendfile(c, int(to), int(from), at, size(len)),
            "",
        ),
        full(
            number::COPY_FILE_RANGE,
            |c, [from, from_at, to, to_at, len, flags]| {
                transfer::sys_copy_file_range(
                    c,
                    (int(from), from_at),
                    (int(to), to_at),
                    size(len),
                    word(flags),
                )
            },
            "",
        ),
        partial(
            number::SPLICE,
            |c, [from, from_at, to, to_at, len, flags]| {
                splice::sys_splice(c, (int(from), from_at), (int(to), to_at), size(len), word(flags))
            },
            "SPLICE_F_NONBLOCK; bytes are copied, whatever the other flags say",
        ),
        partial(
            number::TEE,
            |c, [from, to, len, flags, ..]| splice::sys_tee(c, int(from), int(to), size(len), word(flags)),
            "as splice",
        ),
        partial(
            number::VMSPLICE,
            |c, [fd, vectors, count, flags, ..]| {
                splice::sys_vmsplice(c, int(fd), vectors, size(count), word(flags))
            },
            "as splice",
        ),
        // What a file is
        full(number::STAT, |c, [path, address, ..]| stat::sys_newfstatat(c, HERE, path, address, NONE), ""),
        full(
            number::LSTAT,
            |c, [path, address, ..]| stat::sys_newfstatat(c, HERE, path, address, NO_FOLLOW),
            "",
        ),
        full(number::FSTAT, |c, [fd, address, ..]| stat::sys_fstat(c, int(fd), address), ""),
        full(
            number::NEWFSTATAT,
            |c, [fd, path, address, flags, ..]| stat::sys_newfstatat(c, int(fd), path, address, word(flags)),
            "AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT",
        ),
        full(
            number::STATX,
            |c, [fd, path, flags, mask, address, _]| {
                statx::sys_statx(c, int(fd), path, word(flags), word(mask), address)
            },
            "no birth time; STATX_MNT_ID",
        ),
        full(
            number::ACCESS,
            |c, [path, mode, ..]| access::sys_faccessat2(c, HERE, path, word(mode), NONE),
            "",
        ),
        full(
            number::FACCESSAT,
            |c, [fd, path, mode, ..]| access::sys_faccessat2(c, int(fd), path, word(mode), NONE),
            "",
        ),
        full(
            number::FACCESSAT2,
            |c, [fd, path, mode, flags, ..]| {
                access::sys_faccessat2(c, int(fd), path, word(mode), word(flags))
            },
            "AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH",
        ),
        full(number::STATFS, |c, [path, address, ..]| file_system::sys_statfs(c, path, address), ""),
        full(number::FSTATFS, |c, [fd, address, ..]| file_system::sys_fstatfs(c, int(fd), address), ""),
        // Changing what it is
        full(number::CHMOD, |c, [path, mode, ..]| attributes::sys_fchmodat(c, HERE, path, word(mode)), ""),
        full(number::FCHMOD, |c, [fd, mode, ..]| attributes::sys_fchmod(c, int(fd), word(mode)), ""),
        full(
            number::FCHMODAT,
            |c, [fd, path, mode, ..]| attributes::sys_fchmodat(c, int(fd), path, word(mode)),
            "",
        ),
        full(
            number::CHOWN,
            |c, [path, uid, gid, ..]| attributes::sys_fchownat(c, HERE, path, (word(uid), word(gid)), NONE),
            "",
        ),
        full(
            number::LCHOWN,
            |c, [path, uid, gid, ..]| {
                attributes::sys_fchownat(c, HERE, path, (word(uid), word(gid)), NO_FOLLOW)
            },
            "",
        ),
        full(
            number::FCHOWN,
            |c, [fd, uid, gid, ..]| attributes::sys_fchown(c, int(fd), (word(uid), word(gid))),
            "",
        ),
        full(
            number::FCHOWNAT,
            |c, [fd, path, uid, gid, flags, _]| {
                attributes::sys_fchownat(c, int(fd), path, (word(uid), word(gid)), word(flags))
            },
            "AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH",
        ),
        full(
            number::UTIMENSAT,
            |c, [fd, path, times, flags, ..]| attributes::sys_utimensat(c, int(fd), path, times, word(flags)),
            "AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH",
        ),
        full(
            number::FUTIMESAT,
            |c, [fd, path, times, ..]| attributes::sys_futimesat(c, int(fd), path, times),
            "",
        ),
        full(number::UTIMES, |c, [path, times, ..]| attributes::sys_futimesat(c, HERE, path, times), ""),
        full(number::UTIME, |c, [path, times, ..]| attributes::sys_utime(c, path, times), ""),
        full(number::TRUNCATE, |c, [path, len, ..]| file_size::sys_truncate(c, path, len), ""),
        full(number::FTRUNCATE, |c, [fd, len, ..]| file_size::sys_ftruncate(c, int(fd), len), ""),
        partial(
            number::FALLOCATE,
            |c, [fd, mode, at, len, ..]| file_size::sys_fallocate(c, int(fd), word(mode), at, len),
            "FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE",
        ),
        // Directories and names
        full(
            number::GETDENTS64,
            |c, [fd, address, len, ..]| {
                directories::sys_getdents(c, int(fd), address, size(u64::from(word(len))), Format::New)
            },
            "",
        ),
        full(
            number::GETDENTS,
            |c, [fd, address, len, ..]| {
                directories::sys_getdents(c, int(fd), address, size(u64::from(word(len))), Format::Old)
            },
            "",
        ),
        full(number::GETCWD, |c, [address, len, ..]| directories::sys_getcwd(c, address, size(len)), ""),
        full(number::CHDIR, |c, [path, ..]| directories::sys_chdir(c, path), ""),
        full(number::FCHDIR, |c, [fd, ..]| directories::sys_fchdir(c, int(fd)), ""),
        full(number::CHROOT, |c, [path, ..]| directories::sys_chroot(c, path), ""),
        full(number::UMASK, |c, [mask, ..]| directories::sys_umask(c, word(mask)), ""),
        full(number::MKDIR, |c, [path, mode, ..]| names::sys_mkdirat(c, HERE, path, word(mode)), ""),
        full(number::MKDIRAT, |c, [fd, path, mode, ..]| names::sys_mkdirat(c, int(fd), path, word(mode)), ""),
        full(
            number::MKNOD,
            |c, [path, mode, device, ..]| names::sys_mknodat(c, HERE, path, word(mode), device),
            "devices other than those of /dev are ENXIO when opened",
        ),
        full(
            number::MKNODAT,
            |c, [fd, path, mode, device, ..]| names::sys_mknodat(c, int(fd), path, word(mode), device),
            "as mknod",
        ),
        full(number::SYMLINK, |c, [text, path, ..]| names::sys_symlinkat(c, text, HERE, path), ""),
        full(number::SYMLINKAT, |c, [text, fd, path, ..]| names::sys_symlinkat(c, text, int(fd), path), ""),
        full(number::LINK, |c, [old, new, ..]| names::sys_linkat(c, (HERE, old), (HERE, new), NONE), ""),
        full(
            number::LINKAT,
            |c, [old_fd, old, new_fd, new, flags, _]| {
                names::sys_linkat(c, (int(old_fd), old), (int(new_fd), new), word(flags))
            },
            "AT_SYMLINK_FOLLOW, AT_EMPTY_PATH",
        ),
        full(number::UNLINK, |c, [path, ..]| names::sys_unlinkat(c, HERE, path, NONE), ""),
        full(
            number::UNLINKAT,
            |c, [fd, path, flags, ..]| names::sys_unlinkat(c, int(fd), path, word(flags)),
            "AT_REMOVEDIR",
        ),
        full(number::RMDIR, |c, [path, ..]| names::sys_unlinkat(c, HERE, path, DIRECTORY), ""),
        full(
            number::RENAME,
            |c, [old, new, ..]| names::sys_renameat2(c, (HERE, old), (HERE, new), NONE),
            "a directory of a lower layer is EXDEV, as on Linux",
        ),
        full(
            number::RENAMEAT,
            |c, [old_fd, old, new_fd, new, ..]| {
                names::sys_renameat2(c, (int(old_fd), old), (int(new_fd), new), NONE)
            },
            "as rename",
        ),
        partial(
            number::RENAMEAT2,
            |c, [old_fd, old, new_fd, new, flags, _]| {
                names::sys_renameat2(c, (int(old_fd), old), (int(new_fd), new), word(flags))
            },
            "as rename; RENAME_NOREPLACE, RENAME_EXCHANGE",
        ),
        full(
            number::READLINK,
            |c, [path, address, len, ..]| names::sys_readlinkat(c, HERE, path, address, int(len)),
            "",
        ),
        full(
            number::READLINKAT,
            |c, [fd, path, address, len, ..]| names::sys_readlinkat(c, int(fd), path, address, int(len)),
            "",
        ),
        // Descriptors
        full(number::DUP, |c, [fd, ..]| descriptors::sys_dup(c, int(fd)), ""),
        full(number::DUP2, |c, [from, to, ..]| descriptors::sys_dup2(c, int(from), int(to)), ""),
        full(
            number::DUP3,
            |c, [from, to, flags, ..]| descriptors::sys_dup3(c, int(from), int(to), word(flags)),
            "O_CLOEXEC",
        ),
        partial(
            number::FCNTL,
            |c, [fd, command, argument, ..]| descriptors::sys_fcntl(c, int(fd), word(command), argument),
            "F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETPIPE_SZ, F_SETPIPE_SZ, F_GET_SEALS, F_ADD_SEALS, \
            F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETOWN, F_SETOWN_EX, F_SETSIG (for SIGURG alone), F_NOTIFY only ends",
        ),
        full(
            number::FLOCK,
            |c, [fd, operation, ..]| locks::sys_flock(c, int(fd), word(operation)),
            "between the programs of one partition",
        ),
        partial(
            number::IOCTL,
            |c, [fd, command, argument, ..]| control::sys_ioctl(c, int(fd), word(command), argument),
            "FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX; of sockets SIOCOUTQ and what asks about \
            interfaces; of terminals settings, sizes, groups and locks, without packets; else ENOTTY",
        ),
        full(number::PIPE, |c, [address, ..]| pipe::sys_pipe2(c, address, NONE), ""),
        full(
            number::PIPE2,
            |c, [address, flags, ..]| pipe::sys_pipe2(c, address, word(flags)),
            "O_CLOEXEC, O_NONBLOCK",
        ),
        full(number::EVENTFD, |c, [initial, ..]| pipe::sys_eventfd2(c, word(initial), NONE), ""),
        full(
            number::EVENTFD2,
            |c, [initial, flags, ..]| pipe::sys_eventfd2(c, word(initial), word(flags)),
            "EFD_SEMAPHORE, EFD_CLOEXEC, EFD_NONBLOCK",
        ),
        partial(
            number::MEMFD_CREATE,
            |c, [name, flags, ..]| pipe::sys_memfd_create(c, name, word(flags)),
            "MFD_CLOEXEC; no seals, no huge pages",
        ),
        full(
            number::POLL,
            |c, [address, count, timeout, ..]| poll::sys_poll(c, address, size(count), int(timeout)),
            "",
        ),
        full(
            number::PPOLL,
            |c, [address, count, timeout, mask, mask_len, _]| {
                poll::sys_ppoll(c, address, size(count), timeout, mask, size(mask_len))
            },
            "",
        ),
        full(
            number::SELECT,
            |c, [count, read, write, except, timeout, _]| {
                select::sys_select(c, int(count), [read, write, except], timeout)
            },
            "",
        ),
        full(
            number::PSELECT6,
            |c, [count, read, write, except, timeout, mask]| {
                select::sys_pselect6(c, int(count), [read, write, except], timeout, mask)
            },
            "",
        ),
        full(number::EPOLL_CREATE, |c, [len, ..]| epoll::sys_epoll_create(c, int(len)), ""),
        full(
            number::EPOLL_CREATE1,
            |c, [flags, ..]| epoll::sys_epoll_create1(c, word(flags)),
            "EPOLL_CLOEXEC",
        ),
        full(
            number::EPOLL_CTL,
            |c, [epoll, operation, fd, event, ..]| {
                epoll::sys_epoll_ctl(c, int(epoll), word(operation), int(fd), event)
            },
            "EPOLLET, EPOLLONESHOT; EPOLLEXCLUSIVE and EPOLLWAKEUP have no effect",
        ),
        full(
            number::EPOLL_WAIT,
            |c, [fd, events, most, timeout, ..]| {
                epoll::sys_epoll_pwait(c, int(fd), events, int(most), int(timeout), (0, 0))
            },
            "",
        ),
        full(
            number::EPOLL_PWAIT,
            |c, [fd, events, most, timeout, mask, len]| {
                epoll::sys_epoll_pwait(c, int(fd), events, int(most), int(timeout), (mask, size(len)))
            },
            "",
        ),
        full(
            number::EPOLL_PWAIT2,
            |c, [fd, events, most, timeout, mask, len]| {
                epoll::sys_epoll_pwait2(c, int(fd), events, int(most), timeout, (mask, size(len)))
            },
            "",
        ),
        partial(
            number::TIMERFD_CREATE,
            |c, [clock, flags, ..]| timer::sys_timerfd_create(c, int(clock), word(flags)),
            "CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME; TFD_CLOEXEC, TFD_NONBLOCK",
        ),
        full(
            number::TIMERFD_SETTIME,
            |c, [fd, flags, new, old, ..]| timer::sys_timerfd_settime(c, int(fd), word(flags), new, old),
            "TFD_TIMER_ABSTIME; TFD_TIMER_CANCEL_ON_SET has no effect: nobody sets the clock",
        ),
        full(
            number::TIMERFD_GETTIME,
            |c, [fd, address, ..]| timer::sys_timerfd_gettime(c, int(fd), address),
            "",
        ),
        full(
            number::SIGNALFD,
            |c, [fd, set, len, ..]| signal::sys_signalfd4(c, int(fd), set, size(len), NONE),
            "",
        ),
        full(
            number::SIGNALFD4,
            |c, [fd, set, len, flags, ..]| signal::sys_signalfd4(c, int(fd), set, size(len), word(flags)),
            "SFD_CLOEXEC, SFD_NONBLOCK",
        ),
        partial(
            number::INOTIFY_INIT,
            |c, _| watch::sys_inotify_init1(c, NONE),
            "what is done through this kernel; not what the host does to shared directories",
        ),
        partial(
            number::INOTIFY_INIT1,
            |c, [flags, ..]| watch::sys_inotify_init1(c, word(flags)),
            "as inotify_init; IN_CLOEXEC, IN_NONBLOCK",
        ),
        partial(
            number::INOTIFY_ADD_WATCH,
            |c, [fd, path, mask, ..]| watch::sys_inotify_add_watch(c, int(fd), path, word(mask)),
            "stores through mappings are not told; a file that is removed while it is open is told as deleted at once",
        ),
        full(
            number::INOTIFY_RM_WATCH,
            |c, [fd, watch, ..]| watch::sys_inotify_rm_watch(c, int(fd), int(watch)),
            "",
        ),
        // Caches and advice
        full(number::FSYNC, |c, [fd, ..]| sync::sys_fsync(c, int(fd), false), ""),
        full(number::FDATASYNC, |c, [fd, ..]| sync::sys_fsync(c, int(fd), true), ""),
        accepted(number::SYNC, |_, _| Ok(0), "nothing is kept back from the host"),
        accepted(number::SYNCFS, |c, [fd, ..]| sync::sys_syncfs(c, int(fd)), "as sync"),
        accepted(
            number::FADVISE64,
            |c, [fd, _, len, advice, ..]| sync::sys_fadvise64(c, int(fd), len, word(advice)),
            "advice is not taken",
        ),
        accepted(number::READAHEAD, |c, [fd, ..]| sync::sys_readahead(c, int(fd)), "advice is not taken"),
        accepted(
            number::SYNC_FILE_RANGE,
            |c, [fd, at, len, flags, ..]| sync::sys_sync_file_range(c, int(fd), at, len, word(flags)),
            "as sync",
        ),
        // Extended attributes
        partial(
            number::GETXATTR,
            |c, [file, name, address, len, ..]| {
                sys_getxattr(c, Subject::Path(file), name, address, size(len))
            },
            "user., trusted., security.; no access control lists. On the host's files only user.",
        ),
        partial(
            number::LGETXATTR,
            |c, [file, name, address, len, ..]| {
                sys_getxattr(c, Subject::Link(file), name, address, size(len))
            },
            "as getxattr",
        ),
        partial(
            number::FGETXATTR,
            |c, [file, name, address, len, ..]| {
                sys_getxattr(c, Subject::Descriptor(int(file)), name, address, size(len))
            },
            "as getxattr",
        ),
        partial(
            number::SETXATTR,
            |c, [file, name, address, len, flags, _]| {
                sys_setxattr(c, Subject::Path(file), name, (address, size(len)), word(flags))
            },
            "as getxattr",
        ),
        partial(
            number::LSETXATTR,
            |c, [file, name, address, len, flags, _]| {
                sys_setxattr(c, Subject::Link(file), name, (address, size(len)), word(flags))
            },
            "as getxattr",
        ),
        partial(
            number::FSETXATTR,
            |c, [file, name, address, len, flags, _]| {
                sys_setxattr(c, Subject::Descriptor(int(file)), name, (address, size(len)), word(flags))
            },
            "as getxattr",
        ),
        partial(
            number::LISTXATTR,
            |c, [file, address, len, ..]| sys_listxattr(c, Subject::Path(file), address, size(len)),
            "as getxattr",
        ),
        partial(
            number::LLISTXATTR,
            |c, [file, address, len, ..]| sys_listxattr(c, Subject::Link(file), address, size(len)),
            "as getxattr",
        ),
        partial(
            number::FLISTXATTR,
            |c, [file, address, len, ..]| {
                sys_listxattr(c, Subject::Descriptor(int(file)), address, size(len))
            },
            "as getxattr",
        ),
        partial(
            number::REMOVEXATTR,
            |c, [file, name, ..]| sys_removexattr(c, Subject::Path(file), name),
            "as getxattr",
        ),
        partial(
            number::LREMOVEXATTR,
            |c, [file, name, ..]| sys_removexattr(c, Subject::Link(file), name),
            "as getxattr",
        ),
        partial(
            number::FREMOVEXATTR,
            |c, [file, name, ..]| sys_removexattr(c, Subject::Descriptor(int(file)), name),
            "as getxattr",
        ),
        // Not there
        refused(number::MOUNT, |_, _| Err(Errno::EPERM), "EPERM: the host decides what is mounted"),
        refused(number::UMOUNT2, |_, _| Err(Errno::EPERM), "EPERM"),
    ];
}
