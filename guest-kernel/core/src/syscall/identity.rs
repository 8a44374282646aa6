//! Who the process is: numbers, users, groups, sessions.

use super::entry::{Entry, Support};
use super::system::process_of;
use super::{int, uint};
use crate::fs::context::FsContext;
use crate::memory::buffer;
use crate::process::family;
use crate::process::thread::Thread;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

/// Most supplementary groups (NGROUPS_MAX).
const MOST_GROUPS: usize = 65_536;

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

/// A call that is answered as Linux does.
macro_rules! sets {
    ($number:ident, $handler:expr) => {
        Entry { number: number::$number, handler: $handler, support: Support::Full, notes: "" }
    };
}

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    tells!(GETPID, |thread: &Thread| thread.process.pid),
    tells!(GETTID, |thread: &Thread| thread.task.tid()),
    tells!(GETPPID, |thread: &Thread| thread.process.shown_parent()),
    tells!(GETUID, |thread: &Thread| thread.process.fs.lock().other_uids[0]),
    tells!(GETEUID, |thread: &Thread| thread.process.fs.lock().uid),
    tells!(GETGID, |thread: &Thread| thread.process.fs.lock().other_gids[0]),
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
    sets!(SETUID, |thread, a| sys_set_one(thread, USERS, a[0])),
    sets!(SETREUID, |thread, a| sys_set_two(thread, USERS, [a[0], a[1]])),
    sets!(SETRESUID, |thread, a| sys_set_three(thread, USERS, [a[0], a[1], a[2]])),
    sets!(SETGID, |thread, a| sys_set_one(thread, GROUPS, a[0])),
    sets!(SETREGID, |thread, a| sys_set_two(thread, GROUPS, [a[0], a[1]])),
    sets!(SETRESGID, |thread, a| sys_set_three(thread, GROUPS, [a[0], a[1], a[2]])),
    sets!(SETFSUID, |thread, _| Ok(to_result(thread.process.fs.lock().uid))),
    sets!(SETFSGID, |thread, _| Ok(to_result(thread.process.fs.lock().gid))),
    sets!(GETRESUID, |thread, a| tell_three(thread, USERS, a)),
    sets!(GETRESGID, |thread, a| tell_three(thread, GROUPS, a)),
    sets!(GETGROUPS, |thread, a| sys_getgroups(thread, int(a[0]), a[1])),
    sets!(SETGROUPS, |thread, a| sys_setgroups(thread, int(a[0]), a[1])),
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

/// Real, effective and saved number, of users or of groups.
type Numbers = [u32; 3];

/// Where they are.
struct Kind {
    get: fn(&FsContext) -> Numbers,
    set: fn(&mut FsContext, Numbers),
}

const USERS: &Kind = &Kind {
    get: |fs| [fs.other_uids[0], fs.uid, fs.other_uids[1]],
    set: |fs, [real, effective, saved]| (fs.uid, fs.other_uids) = (effective, [real, saved]),
};

const GROUPS: &Kind = &Kind {
    get: |fs| [fs.other_gids[0], fs.gid, fs.other_gids[1]],
    set: |fs, [real, effective, saved]| (fs.gid, fs.other_gids) = (effective, [real, saved]),
};

/// A number that is to be set; -1 stays as it is.
fn wanted(argument: u64) -> Option<u32> {
    Some(uint(argument)).filter(|id| *id != u32::MAX)
}

/// `setuid(2)`, `setgid(2)`
fn sys_set_one(thread: &Thread, kind: &Kind, argument: u64) -> Result<usize, Errno> {
    let id = wanted(argument).ok_or(Errno::EINVAL)?;
    let mut fs = thread.process.fs.lock();
    let [real, _, saved] = (kind.get)(&fs);
    match fs.uid {
        0 => (kind.set)(&mut fs, [id; 3]),
        _ if id == real || id == saved => (kind.set)(&mut fs, [real, id, saved]),
        _ => return Err(Errno::EPERM),
    }
    Ok(0)
}

/// `setreuid(2)`, `setregid(2)`
fn sys_set_two(thread: &Thread, kind: &Kind, arguments: [u64; 2]) -> Result<usize, Errno> {
    let mut fs = thread.process.fs.lock();
    let [old_real, old_effective, saved] = (kind.get)(&fs);
    let [real, effective] = arguments.map(wanted);
    if fs.uid != 0 {
        let may = |id: Option<u32>, among: &[u32]| id.is_none_or(|id| among.contains(&id));
        if !may(real, &[old_real, old_effective]) || !may(effective, &[old_real, old_effective, saved]) {
            return Err(Errno::EPERM);
        }
    }
    let is_saved = real.is_some() || effective.is_some_and(|id| id != old_real);
    let (real, effective) = (real.unwrap_or(old_real), effective.unwrap_or(old_effective));
    (kind.set)(&mut fs, [real, effective, if is_saved { effective } else { saved }]);
    Ok(0)
}

/// `setresuid(2)`, `setresgid(2)`
fn sys_set_three(thread: &Thread, kind: &Kind, arguments: [u64; 3]) -> Result<usize, Errno> {
    let mut fs = thread.process.fs.lock();
    let old = (kind.get)(&fs);
    let given = arguments.map(wanted);
    if fs.uid != 0 && given.iter().flatten().any(|id| !old.contains(id)) {
        return Err(Errno::EPERM);
    }
    (kind.set)(&mut fs, core::array::from_fn(|place| given[place].unwrap_or(old[place])));
    Ok(0)
}

/// `getresuid(2)`, `getresgid(2)`
fn tell_three(thread: &Thread, kind: &Kind, addresses: [u64; 6]) -> Result<usize, Errno> {
    let ids = (kind.get)(&thread.process.fs.lock());
    for (address, id) in addresses.into_iter().zip(ids) {
        buffer::write(&thread.process.space, address, &id.to_le_bytes())?;
    }
    Ok(0)
}

/// `getgroups(2)`
fn sys_getgroups(thread: &Thread, room: i32, list: u64) -> Result<usize, Errno> {
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let groups = thread.process.fs.lock().groups.clone();
    let groups = groups.as_deref().unwrap_or_default();
    if room == 0 {
        return Ok(groups.len());
    }
    if room < groups.len() {
        return Err(Errno::EINVAL);
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|gid| gid.to_le_bytes()).collect();
    buffer::write(&thread.process.space, list, &bytes)?;
    Ok(groups.len())
}

/// `setgroups(2)`
fn sys_setgroups(thread: &Thread, count: i32, list: u64) -> Result<usize, Errno> {
    if thread.process.uid() != 0 {
        return Err(Errno::EPERM);
    }
    let count = usize::try_from(count).ok().filter(|count| *count <= MOST_GROUPS).ok_or(Errno::EINVAL)?;
    let mut bytes = alloc::vec![0; count * 4];
    buffer::read(&thread.process.space, list, &mut bytes)?;
    let mut groups: Vec<u32> =
        bytes.chunks_exact(4).map(|gid| u32::from_le_bytes([gid[0], gid[1], gid[2], gid[3]])).collect();
    if groups.contains(&u32::MAX) {
        return Err(Errno::EINVAL);
    }
    groups.sort_unstable();
    thread.process.fs.lock().groups = (!groups.is_empty()).then(|| groups.into());
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
            buffer::write(&thread.process.space, data.wrapping_add(index as u64 * 4), &word.to_le_bytes())?;
        }
    }
    Ok(0)
}
