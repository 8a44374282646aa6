//! Processes as descriptors: `pidfd_open`, `pidfd_send_signal`, `pidfd_getfd`.

use super::entry::{Entry, Support};
use super::files::arguments::usable_file;
use super::{int, signals, uint};
use crate::fs::open::OpenFlags;
use crate::fs::proc;
use crate::process::family;
use crate::process::file::ProcessFile;
use crate::process::thread::Thread;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::PIDFD_OPEN,
        handler: |thread, a| sys_pidfd_open(thread, int(a[0]), uint(a[1])),
        support: Support::Full,
        notes: "PIDFD_NONBLOCK",
    },
    Entry {
        number: number::PIDFD_SEND_SIGNAL,
        handler: |thread, a| sys_pidfd_send_signal(thread, int(a[0]), int(a[1]), a[2], uint(a[3])),
        support: Support::Full,
        notes: "directories of `/proc` too",
    },
    Entry {
        number: number::PIDFD_GETFD,
        handler: |thread, a| sys_pidfd_getfd(thread, int(a[0]), int(a[1]), uint(a[2])),
        support: Support::Full,
        notes: "from processes of the same user",
    },
];

/// `pidfd_open(2)`
fn sys_pidfd_open(thread: &Thread, pid: i32, flags: u32) -> Result<usize, Errno> {
    let flags = OpenFlags::from_bits_retain(flags);
    if pid <= 0 || !OpenFlags::NON_BLOCKING.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let Some(process) = family::find(pid.unsigned_abs()) else {
        let is_thread = family::find_task(pid.unsigned_abs(), &thread.process).is_some();
        return Err(if is_thread { Errno::EINVAL } else { Errno::ESRCH });
    };
    thread.process.descriptors.lock().insert(ProcessFile::open(&process, flags), true, 0)
}

/// `pidfd_send_signal(2)`
fn sys_pidfd_send_signal(
    thread: &Thread,
    fd: i32,
    signal: i32,
    info: u64,
    flags: u32,
) -> Result<usize, Errno> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let file = usable_file(thread, fd)?;
    if let Some(pid) = proc::process_of(file.dentry().inode()) {
        // Older than descriptors of processes, and good for signals only.
        let process = family::find(pid).ok_or(Errno::ESRCH)?;
        return signals::send_with_info(thread, &process, signal, info, || Ok(()));
    }
    let process = ProcessFile::process_of(&file)?;
    signals::send_with_info(thread, process, signal, info, || ProcessFile::process_there(&file).map(|_| ()))
}

/// `pidfd_getfd(2)`
fn sys_pidfd_getfd(thread: &Thread, fd: i32, wanted: i32, flags: u32) -> Result<usize, Errno> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let file = usable_file(thread, fd)?;
    let process = ProcessFile::process_there(&file)?;
    let uid = thread.process.uid();
    if process.end.lock().is_some() {
        return Err(Errno::ESRCH);
    }
    if uid != 0 && uid != process.uid() {
        return Err(Errno::EPERM);
    }
    let found = process.descriptors.lock().get(wanted)?;
    thread.process.descriptors.lock().insert(found, true, 0)
}
