//! System V message queues: `msgget`, `msgsnd`, `msgrcv`, `msgctl`.
//!
//! ```text
//! msgbuf       +0 type (i64)  +8 contents
//! msqid64_ds   +0 ipc64_perm  +48 sent  +56 received  +64 changed (seconds)  +72 bytes  +80 messages  +88 most bytes (u64)
//!              +96 last sender  +100 last receiver (pid)  +120
//! msginfo      +0 pool  +4 map  +8 longest  +12 bytes in a queue  +16 queues  +20 segment  +24 messages (i32)  +28 segments (u16)  +32
//! ```

use super::entry::{Entry, Support};
use super::shared_memory::{Listing, caller};
use super::{int, uint};
use crate::ipc::messages::{LONGEST, MOST_BYTES, MOST_QUEUES, Message, QUEUES, State, Wanted};
use crate::ipc::{CHANGE, PERMISSION_LEN, READ, Request, seconds};
use crate::memory::buffer;
use crate::process::thread::Thread;
use alloc::vec;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

/// IPC_CREAT, IPC_EXCL, IPC_NOWAIT
const CREATE: u32 = 0o1000;
const EXCLUSIVE: u32 = 0o2000;
const IMPATIENT: u32 = 0o4000;
/// MSG_NOERROR, MSG_EXCEPT, MSG_COPY
const CUT: u32 = 0o10_000;
const EXCEPT: u32 = 0o20_000;
const COPY: u32 = 0o40_000;
/// IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO, MSG_STAT, MSG_INFO, MSG_STAT_ANY
const REMOVE: i32 = 0;
const SET: i32 = 1;
const STATUS: i32 = 2;
const LIMITS: i32 = 3;
const STATUS_AT: i32 = 11;
const USAGE: i32 = 12;
const STATUS_AT_ANY: i32 = 13;
/// Bytes of a `msqid64_ds`.
const STATUS_LEN: usize = 120;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::MSGGET,
        handler: |thread, a| sys_msgget(thread, int(a[0]), uint(a[1])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MSGSND,
        handler: |thread, a| sys_msgsnd(thread, int(a[0]), a[1], a[2], uint(a[3])),
        support: Support::Full,
        notes: "IPC_NOWAIT; all messages together may take a quarter of the partition's memory",
    },
    Entry {
        number: number::MSGRCV,
        handler: |thread, a| sys_msgrcv(thread, int(a[0]), (a[1], a[2]), a[3].cast_signed(), uint(a[4])),
        support: Support::Full,
        notes: "IPC_NOWAIT, MSG_NOERROR, MSG_EXCEPT, MSG_COPY",
    },
    Entry {
        number: number::MSGCTL,
        handler: |thread, a| sys_msgctl(thread, int(a[0]), int(a[1]), a[2]),
        support: Support::Full,
        notes: "",
    },
];

/// `msgget(2)`
fn sys_msgget(thread: &Thread, key: i32, flags: u32) -> Result<usize, Errno> {
    let (creates, is_exclusive) = (flags & CREATE != 0, flags & EXCLUSIVE != 0);
    let request = Request { key, size: 0, mode: flags & 0o777, creates, is_exclusive };
    let id = QUEUES.lock().get(request, caller(thread))?;
    usize::try_from(id).map_err(|_| Errno::ENOSPC)
}

/// `msgsnd(2)`
fn sys_msgsnd(thread: &Thread, id: i32, address: u64, len: u64, flags: u32) -> Result<usize, Errno> {
    let space = &thread.process.space;
    let mut kind = [0; 8];
    buffer::read(space, address, &mut kind)?;
    let kind = i64::from_le_bytes(kind);
    let len = usize::try_from(len).ok().filter(|len| *len <= LONGEST).ok_or(Errno::EINVAL)?;
    if kind < 1 || id < 0 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; len];
    buffer::read(space, address.wrapping_add(8), &mut bytes)?;
    let caller = caller(thread);
    let queue = QUEUES.lock().find(id)?;
    let mut message = Some(Message::new(kind, bytes)?);
    let attempt = || {
        queue.with(|state| {
            state.permission.check(caller, CHANGE)?;
            if !state.has_room(len) {
                return if flags & IMPATIENT != 0 { Err(Errno::EAGAIN) } else { Ok(false) };
            }
            if let Some(message) = message.take() {
                state.send(message, caller.pid);
            }
            Ok(true)
        })
    };
    until_done(&queue.waiting, attempt)?;
    queue.waiting.wake_all();
    Ok(0)
}

/// Tries until it is done, or an error.
fn until_done(
    queue: &crate::wait::WaitQueue,
    mut attempt: impl FnMut() -> Result<bool, Errno>,
) -> Result<(), Errno> {
    let attempt = || match attempt() {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(errno) => Some(Err(errno)),
    };
    queue.wait_until(attempt)?
}

fn wanted(kind: i64, flags: u32) -> Wanted {
    match kind {
        _ if flags & COPY != 0 => Wanted::Number(kind),
        0 => Wanted::Any,
        ..0 => Wanted::UpTo(kind.checked_neg().unwrap_or(i64::MAX)),
        _ if flags & EXCEPT != 0 => Wanted::OtherThan(kind),
        _ => Wanted::Kind(kind),
    }
}

/// `msgrcv(2)`
fn sys_msgrcv(
    thread: &Thread,
    id: i32,
    (address, room): (u64, u64),
    kind: i64,
    flags: u32,
) -> Result<usize, Errno> {
    let room = usize::try_from(room).ok().filter(|room| room.cast_signed() >= 0).ok_or(Errno::EINVAL)?;
    if id < 0 || flags & COPY != 0 && (flags & EXCEPT != 0 || flags & IMPATIENT == 0) {
        return Err(Errno::EINVAL);
    }
    let caller = caller(thread);
    let queue = QUEUES.lock().find(id)?;
    let wanted = wanted(kind, flags);
    let mut taken = None;
    let attempt = || {
        queue.with(|state| {
            state.permission.check(caller, READ)?;
            let Some((at, message)) = state.find(wanted).and_then(|at| Some((at, state.message(at)?))) else {
                return if flags & IMPATIENT != 0 { Err(Errno::ENOMSG) } else { Ok(false) };
            };
            if message.bytes.len() > room && flags & CUT == 0 {
                return Err(Errno::E2BIG);
            }
            taken = if flags & COPY != 0 {
                Some(Message::new(message.kind, message.bytes.clone())?)
            } else {
                state.receive(at, caller.pid)
            };
            Ok(true)
        })
    };
    until_done(&queue.waiting, attempt)?;
    queue.waiting.wake_all();
    let message = taken.ok_or(Errno::ENOMSG)?;
    let len = message.bytes.len().min(room);
    buffer::write(&thread.process.space, address, &message.kind.to_le_bytes())?;
    buffer::write(&thread.process.space, address.wrapping_add(8), &message.bytes[..len])?;
    Ok(len)
}

fn status(state: &State) -> [u8; STATUS_LEN] {
    let mut bytes = [0; STATUS_LEN];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &state.permission.encode(0));
    let [sent, received, changed] = state.times;
    let words = [sent, received, changed, state.bytes, state.count() as u64, state.limit];
    for (at, word) in (48..).step_by(8).zip(words) {
        put(at, &word.to_le_bytes());
    }
    put(96, &state.pids[0].to_le_bytes());
    put(100, &state.pids[1].to_le_bytes());
    bytes
}

/// What IPC_INFO tells, or MSG_INFO: limits, and what there is in place of three of them.
fn limits(is_usage: bool) -> (usize, [u8; 32]) {
    let queues = QUEUES.lock();
    let table = queues.table();
    let (mut count, mut bytes) = (0, 0);
    for (_, queue) in table.iter() {
        let _ = queue.with(|state| {
            (count, bytes) = (count + state.count() as u64, bytes + state.bytes);
            Ok(())
        });
    }
    let most_queues = MOST_QUEUES as u64;
    let all = [most_queues * MOST_BYTES / 1024, MOST_BYTES, MOST_BYTES];
    let [pool, map, messages] = if is_usage { [table.count() as u64, count, bytes] } else { all };
    let words = [pool, map, LONGEST as u64, MOST_BYTES, most_queues, 16, messages, 0xffff];
    let mut told = [0; 32];
    for (to, word) in told.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
    }
    (table.highest(), told)
}

/// `msgctl(2)`
fn sys_msgctl(thread: &Thread, id: i32, command: i32, address: u64) -> Result<usize, Errno> {
    let caller = caller(thread);
    let space = &thread.process.space;
    if id < 0 || command < 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        REMOVE => QUEUES.lock().remove(id, caller).map(|()| 0),
        SET => {
            let mut bytes = [0; STATUS_LEN];
            buffer::read(space, address, &mut bytes)?;
            let permission: [u8; PERMISSION_LEN] = core::array::from_fn(|at| bytes[at]);
            let limit = u64::from_le_bytes(core::array::from_fn(|at| bytes[88 + at]));
            let queue = QUEUES.lock().find(id)?;
            queue.with(|state| {
                state.permission.check_owner(caller)?;
                if limit > MOST_BYTES && caller.uid != 0 {
                    return Err(Errno::EPERM);
                }
                state.permission.change(&permission);
                (state.limit, state.times[2]) = (limit, seconds());
                Ok(0)
            })?;
            queue.waiting.wake_all();
            Ok(0)
        }
        STATUS | STATUS_AT | STATUS_AT_ANY => {
            let listing = Listing::of(command, STATUS, STATUS_AT_ANY);
            let (id, queue) = {
                let queues = QUEUES.lock();
                let id = if listing.is_by_place { queues.table().at(id)? } else { id };
                (id, queues.find(id)?)
            };
            let told = queue.with(|state| {
                if !listing.is_for_anybody {
                    state.permission.check(caller, READ)?;
                }
                Ok(status(state))
            })?;
            buffer::write(space, address, &told)?;
            listing.result(id)
        }
        LIMITS | USAGE => {
            let (highest, told) = limits(command == USAGE);
            buffer::write(space, address, &told)?;
            Ok(highest)
        }
        _ => Err(Errno::EINVAL),
    }
}
