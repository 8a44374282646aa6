//! Who the process is: numbers, users, groups, sessions.

use super::entry::{Entry, Support};
use super::system::process_of;
use super::{int, uint};
use crate::memory::buffer;
use crate::process::family;
use crate::process::thread::Thread;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

/// A call that tells a number.
macro_rules! tells {
    ($number:ident, $value:expr) => {
        Entry {
            number: number::$number,
            handler: |thread, _| Ok(to_result($value(thread))),
            support: Support::Full,
            notes: "",
        }
    };
}

/// A call that may set user or group only to what they are (or anything, for user 0).
macro_rules! sets {
    ($number:ident, $count:literal, $field:ident) => {
        Entry {
            number: number::$number,
            handler: |thread, a| {
                let mut fs = thread.process.fs.lock();
                let wanted = a[..$count].iter().map(|argument| uint(*argument)).filter(|id| *id != u32::MAX);
                for id in wanted {
                    if fs.uid != 0 && id != fs.$field {
                        return Err(Errno::EPERM);
                    }
                    fs.$field = id;
                }
                Ok(0)
            },
            support: Support::Partial,
            notes: "real, effective and saved are one",
        }
    };
}

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    tells!(GETPID, |thread: &Thread| thread.process.pid),
    tells!(GETTID, |thread: &Thread| thread.task.tid()),
    tells!(GETPPID, |thread: &Thread| thread.process.shown_parent()),
    tells!(GETUID, |thread: &Thread| thread.process.fs.lock().uid),
    tells!(GETEUID, |thread: &Thread| thread.process.fs.lock().uid),
    tells!(GETGID, |thread: &Thread| thread.process.fs.lock().gid),
    tells!(GETEGID, |thread: &Thread| thread.process.fs.lock().gid),
    tells!(GETPGRP, |thread: &Thread| thread.process.kin.group()),
    Entry {
        number: number::GETPGID,
        handler: |thread, a| process_of(thread, int(a[0])).map(|process| to_result(process.kin.group())),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::GETSID,
        handler: |thread, a| process_of(thread, int(a[0])).map(|process| to_result(process.kin.session())),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SETPGID,
        handler: |thread, a| sys_setpgid(thread, int(a[0]), int(a[1])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SETSID,
        handler: |thread, _| {
            family::begin_session(&thread.process)?;
            Ok(to_result(thread.process.pid))
        },
        support: Support::Full,
        notes: "",
    },
    sets!(SETUID, 1, uid),
    sets!(SETREUID, 2, uid),
    sets!(SETRESUID, 3, uid),
    sets!(SETGID, 1, gid),
    sets!(SETREGID, 2, gid),
    sets!(SETRESGID, 3, gid),
    Entry {
        number: number::GETRESUID,
        handler: |thread, a| {
            let id = thread.process.fs.lock().uid;
            three(thread, a, id)
        },
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::GETRESGID,
        handler: |thread, a| {
            let id = thread.process.fs.lock().gid;
            three(thread, a, id)
        },
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::GETGROUPS,
        handler: |_, _| Ok(0),
        support: Support::Partial,
        notes: "there are no supplementary groups",
    },
    Entry {
        number: number::SETGROUPS,
        handler: |thread, _| if thread.process.fs.lock().uid == 0 { Ok(0) } else { Err(Errno::EPERM) },
        support: Support::Accepted,
        notes: "",
    },
    Entry {
        number: number::CAPGET,
        handler: |thread, a| sys_capget(thread, a[0], a[1]),
        support: Support::Partial,
        notes: "user 0 has all capabilities, others none",
    },
    Entry {
        number: number::CAPSET,
        handler: |thread, a| sys_capset(thread, a[0], a[1]),
        support: Support::Accepted,
        notes: "what user 0 gives up stays with it",
    },
    Entry {
        number: number::SET_TID_ADDRESS,
        handler: |thread, a| {
            thread.clear_tid.set(a[0]);
            Ok(to_result(thread.task.tid()))
        },
        support: Support::Full,
        notes: "",
    },
];

fn to_result(number: u32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// `setpgid(2)`
fn sys_setpgid(thread: &Thread, pid: i32, group: i32) -> Result<usize, Errno> {
    if group < 0 || (group == 0 && pid < 0) {
        return Err(Errno::EINVAL);
    }
    let group = group.unsigned_abs();
    let process = process_of(thread, pid)?;
    family::set_group(&thread.process, &process, if group == 0 { process.pid } else { group })?;
    Ok(0)
}

fn three(thread: &Thread, addresses: [u64; 6], id: u32) -> Result<usize, Errno> {
    for address in &addresses[..3] {
        buffer::write(&thread.process.space, *address, &id.to_le_bytes())?;
    }
    Ok(0)
}

/// The process that a header is about. `None` if it is of another version than 3, which is told it.
fn capability_header(thread: &Thread, header: u64) -> Result<Option<i32>, Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut bytes = [0; 8];
    buffer::read(&thread.process.space, header, &mut bytes)?;
    let header_bytes = u64::from_le_bytes(bytes);
    if uint(header_bytes) == VERSION_3 {
        return Ok(Some(int(header_bytes >> 32)));
    }
    buffer::write(&thread.process.space, header, &VERSION_3.to_le_bytes())?;
    Ok(None)
}

/// `capset(2)`, version 3: EPERM for what one does not have.
fn sys_capset(thread: &Thread, header: u64, data: u64) -> Result<usize, Errno> {
    let pid = capability_header(thread, header)?.ok_or(Errno::EINVAL)?;
    if pid != 0 && u32::try_from(pid) != Ok(thread.process.pid) {
        return Err(Errno::EPERM);
    }
    // effective, permitted and inheritable, low halves then high halves.
    let mut bytes = [0; 24];
    buffer::read(&thread.process.space, data, &mut bytes)?;
    if thread.process.uid() == 0 || bytes.iter().all(|&byte| byte == 0) { Ok(0) } else { Err(Errno::EPERM) }
}

/// `capget(2)`, version 3
fn sys_capget(thread: &Thread, header: u64, data: u64) -> Result<usize, Errno> {
    let Some(pid) = capability_header(thread, header)? else {
        return if data == 0 { Ok(0) } else { Err(Errno::EINVAL) };
    };
    if pid < 0 {
        return Err(Errno::EINVAL);
    }
    let process = process_of(thread, pid)?;
    if data != 0 {
        let has_all = process.uid() == 0;
        // effective, permitted and inheritable, low halves then high halves.
        let low = if has_all { u32::MAX } else { 0 };
        let high = if has_all { 0x1ffu32 } else { 0 };
        for (index, word) in [low, low, 0, high, high, 0].into_iter().enumerate() {
            buffer::write(&thread.process.space, data + index as u64 * 4, &word.to_le_bytes())?;
        }
    }
    Ok(0)
}
