//! POSIX message queues: `mq_open`, `mq_unlink`, `mq_timedsend`, `mq_timedreceive`, `mq_notify`, `mq_getsetattr`.
//!
//! ```text
//! mq_attr    +0 flags  +8 most messages  +16 longest  +24 messages (i64)  +64
//! sigevent   +0 value (u64)  +8 signal, or a socket (i32)  +12 how (i32)  +64
//! ```

use super::clock::read_timespec;
use super::entry::{Entry, Support};
use super::files::FileContext;
use super::files::arguments::file;
use super::{int, uint};
use crate::fs::anonymous;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::{FileKind, SetMetadata};
use crate::fs::message_queue::{self, COOKIE, Message, MessageQueue, Notice, Notify, OpenQueue, PRIORITIES};
use crate::fs::open::OpenFlags;
use crate::memory::buffer;
use crate::net::{Role, Socket};
use crate::process::limits::QUEUES;
use crate::process::thread::Thread;
use crate::wait::wait_for_any;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::clock::{monotonic_ns, realtime_ns};

/// O_CREAT, O_EXCL
const CREATE: u32 = 0o100;
const EXCLUSIVE: u32 = 0o200;
/// SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD
const SIGNAL: i32 = 0;
const NONE: i32 = 1;
const THREAD: i32 = 2;
/// Most messages and longest, if nothing is said, and for whoever is not user 0; and for user 0.
const USUAL: (usize, usize) = (10, 8192);
const LARGEST: (usize, usize) = (65_536, 16 << 20);
/// Queues that there may be without user 0's help.
const MOST_QUEUES: usize = 256;
/// Bytes of a `mq_attr`.
const ATTRIBUTES: usize = 64;
/// Longest name.
const NAME_MAX: usize = 255;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::MQ_OPEN,
        handler: |thread, a| sys_mq_open(thread, a[0], uint(a[1]), uint(a[2]), a[3]),
        support: Support::Full,
        notes: "O_CREAT, O_EXCL, O_NONBLOCK; RLIMIT_MSGQUEUE; queues are in no directory (/dev/mqueue)",
    },
    Entry {
        number: number::MQ_UNLINK,
        handler: |thread, a| sys_mq_unlink(thread, a[0]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MQ_TIMEDSEND,
        handler: |thread, a| sys_mq_timedsend(thread, int(a[0]), a[1], a[2], uint(a[3]), a[4]),
        support: Support::Full,
        notes: "all messages together may take a quarter of the partition's memory",
    },
    Entry {
        number: number::MQ_TIMEDRECEIVE,
        handler: |thread, a| sys_mq_timedreceive(thread, int(a[0]), a[1], a[2], a[3], a[4]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MQ_NOTIFY,
        handler: |thread, a| sys_mq_notify(thread, int(a[0]), a[1]),
        support: Support::Full,
        notes: "SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD (as the C library asks for it)",
    },
    Entry {
        number: number::MQ_GETSETATTR,
        handler: |thread, a| sys_mq_getsetattr(thread, int(a[0]), a[1], a[2]),
        support: Support::Full,
        notes: "",
    },
];

fn name(thread: &Thread, address: u64) -> Result<Vec<u8>, Errno> {
    let name = thread.copy_in_string(address, 4096)?;
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    if name.contains(&b'/') || name == b"." || name == b".." {
        return Err(Errno::EACCES);
    }
    if name.len() > NAME_MAX { Err(Errno::ENAMETOOLONG) } else { Ok(name) }
}

/// Most messages and longest, as wished for at `address`.
fn sizes(thread: &Thread, address: u64, uid: u32) -> Result<(usize, usize), Errno> {
    if address == 0 {
        return Ok(USUAL);
    }
    let mut bytes = [0; 24];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    let word = |at: usize| i64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
    let within = |value: i64, most: usize| {
        usize::try_from(value).ok().filter(|value| (1..=most).contains(value)).ok_or(Errno::EINVAL)
    };
    let most = if uid == 0 { LARGEST } else { USUAL };
    Ok((within(word(8), most.0)?, within(word(16), most.1)?))
}

/// `mq_open(2)`
fn sys_mq_open(
    thread: &Thread,
    address: u64,
    flags: u32,
    mode: u32,
    attributes: u64,
) -> Result<usize, Errno> {
    let (uid, gid, umask) = {
        let fs = thread.process.fs.lock();
        (fs.uid, fs.gid, fs.umask)
    };
    let wished = if flags & CREATE != 0 { Some(sizes(thread, attributes, uid)) } else { None };
    let name = name(thread, address)?;
    let access = match flags & 3 {
        0 => OpenFlags::empty(),
        1 => OpenFlags::WRITE_ONLY,
        2 => OpenFlags::READ_WRITE,
        _ => return Err(Errno::EINVAL),
    };
    let limit = thread.process.limits.lock().0[QUEUES].0;
    let (queue, is_new) = message_queue::find_or_make(&name, |count| {
        let sizes = wished.unwrap_or(Err(Errno::ENOENT))?;
        if count >= MOST_QUEUES && uid != 0 {
            return Err(Errno::ENOSPC);
        }
        MessageQueue::new(name.clone(), sizes, (uid, gid, mode & 0o7777 & !umask), limit)
    })?;
    if !is_new {
        if flags & (CREATE | EXCLUSIVE) == CREATE | EXCLUSIVE {
            return Err(Errno::EEXIST);
        }
        check(thread, &queue, [4, 2, 6][flags as usize & 3])?;
    }
    let (owner, group, permissions) = queue.owner;
    let flags = OpenFlags::from_bits_truncate(flags) & OpenFlags::NON_BLOCKING | access;
    let shown = [b"/", &name[..]].concat();
    let file = anonymous::open_named(&shown, FileKind::Regular, Arc::new(OpenQueue::new(queue)), flags);
    let as_queue = SetMetadata {
        permissions: Some(permissions),
        uid: Some(owner),
        gid: Some(group),
        ..SetMetadata::default()
    };
    file.dentry().inode().set_metadata(&as_queue)?;
    thread.descriptors().lock().insert(file, true, 0)
}

/// EACCES unless the caller may do all of `wanted`: 4 to receive, 2 to send.
fn check(thread: &Thread, queue: &MessageQueue, wanted: u32) -> Result<(), Errno> {
    let (owner, group, permissions) = queue.owner;
    let fs = thread.process.fs.lock();
    let class = match () {
        () if fs.uid == 0 => return Ok(()),
        () if fs.uid == owner => permissions >> 6,
        () if fs.is_in_group(group) => permissions >> 3,
        () => permissions,
    };
    if wanted & !class & 7 == 0 { Ok(()) } else { Err(Errno::EACCES) }
}

/// `mq_unlink(2)`
fn sys_mq_unlink(thread: &Thread, address: u64) -> Result<usize, Errno> {
    let name = name(thread, address)?;
    let uid = thread.process.fs.lock().uid;
    // The directory that they are as if in is everybody's, and sticky.
    let may = |queue: &MessageQueue| {
        if uid == 0 || uid == queue.owner.0 { Ok(()) } else { Err(Errno::EPERM) }
    };
    message_queue::unlink(&name, may).map(|()| 0)
}

/// When to give up, by the monotonic clock; the time at `address` is one of day.
fn deadline(thread: &Thread, address: u64) -> Result<Option<u64>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let left = read_timespec(thread, address)?.saturating_sub(realtime_ns());
    Ok(Some(monotonic_ns().saturating_add(left)))
}

/// The queue of a descriptor that is open to receive, or to send.
fn queue(thread: &Thread, fd: i32, is_read: bool) -> Result<(Arc<OpenFile>, Arc<MessageQueue>), Errno> {
    let file = file(thread, fd)?;
    let queue = Arc::clone(OpenQueue::queue_of(&**file.file())?);
    let access = file.access();
    if if is_read { access.read } else { access.write } { Ok((file, queue)) } else { Err(Errno::EBADF) }
}

/// Tries until there is something; EAGAIN at once if the descriptor does not wait.
fn until_done<T>(
    file: &OpenFile,
    queue: &MessageQueue,
    deadline: Option<u64>,
    mut attempt: impl FnMut() -> Option<T>,
) -> Result<T, Errno> {
    if let Some(done) = attempt() {
        return Ok(done);
    }
    if file.flags().contains(OpenFlags::NON_BLOCKING) {
        return Err(Errno::EAGAIN);
    }
    wait_for_any(&[&queue.waiting], deadline, attempt)?.ok_or(Errno::ETIMEDOUT)
}

/// `mq_timedsend(2)`
fn sys_mq_timedsend(
    thread: &Thread,
    fd: i32,
    address: u64,
    len: u64,
    priority: u32,
    timeout: u64,
) -> Result<usize, Errno> {
    let deadline = deadline(thread, timeout)?;
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL);
    }
    let (file, queue) = queue(thread, fd, false)?;
    let len = usize::try_from(len).ok().filter(|len| *len <= queue.longest).ok_or(Errno::EMSGSIZE)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(len, 0);
    buffer::read(&thread.process.space, address, &mut bytes)?;
    let mut message = Some(Message::new(bytes)?);
    let (pid, uid) = (thread.process.pid, thread.process.uid());
    until_done(&file, &queue, deadline, || queue.send(priority, &mut message, pid, uid).then_some(0))
}

/// `mq_timedreceive(2)`
fn sys_mq_timedreceive(
    thread: &Thread,
    fd: i32,
    address: u64,
    room: u64,
    told_priority: u64,
    timeout: u64,
) -> Result<usize, Errno> {
    let deadline = deadline(thread, timeout)?;
    let (file, queue) = queue(thread, fd, true)?;
    if room < queue.longest as u64 {
        return Err(Errno::EMSGSIZE);
    }
    queue.change_receivers(true);
    let received = until_done(&file, &queue, deadline, || queue.receive());
    queue.change_receivers(false);
    let (priority, message) = received?;
    if told_priority != 0 {
        buffer::write(&thread.process.space, told_priority, &priority.to_le_bytes())?;
    }
    buffer::write(&thread.process.space, address, &message.bytes)?;
    Ok(message.bytes.len())
}

/// `mq_notify(2)`
fn sys_mq_notify(thread: &Thread, fd: i32, event: u64) -> Result<usize, Errno> {
    let space = &thread.process.space;
    let pid = thread.process.pid;
    let mut wish = None;
    if event != 0 {
        let mut bytes = [0; 16];
        buffer::read(space, event, &mut bytes)?;
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        let (value, number, how) = (word(0), int(word(8)), int(word(8) >> 32));
        let notify = match how {
            NONE => Notify::Nobody,
            SIGNAL => {
                let number = u32::try_from(number).ok().filter(|number| *number <= signal::LAST);
                Notify::Signal(number.ok_or(Errno::EINVAL)?)
            }
            THREAD => {
                let mut cookie = [0; COOKIE];
                buffer::read(space, value, &mut cookie)?;
                let socket = file(thread, number)?;
                match Socket::of(&socket).ok_or(Errno::ENOTSOCK)?.role {
                    Role::Routes(_) => {}
                    _ => return Err(Errno::EINVAL),
                }
                Notify::Socket(socket, cookie)
            }
            _ => return Err(Errno::EINVAL),
        };
        wish = Some(Notice { pid, notify, value });
    }
    let file = file(thread, fd)?;
    let queue = OpenQueue::queue_of(&**file.file())?;
    match wish {
        Some(notice) => queue.set_notice(notice)?,
        None => queue.forget_notice(pid),
    }
    Ok(0)
}

/// `mq_getsetattr(2)`
fn sys_mq_getsetattr(thread: &Thread, fd: i32, new: u64, old: u64) -> Result<usize, Errno> {
    const NON_BLOCKING: u64 = OpenFlags::NON_BLOCKING.bits() as u64;
    let space = &thread.process.space;
    let mut wished = None;
    if new != 0 {
        let mut bytes = [0; ATTRIBUTES];
        buffer::read(space, new, &mut bytes)?;
        let flags = u64::from_le_bytes(core::array::from_fn(|at| bytes[at]));
        if flags & !NON_BLOCKING != 0 {
            return Err(Errno::EINVAL);
        }
        wished = Some(flags != 0);
    }
    let file = file(thread, fd)?;
    let queue = OpenQueue::queue_of(&**file.file())?;
    let mut flags = file.flags();
    let words = [
        u64::from(flags.bits()) & NON_BLOCKING,
        queue.most as u64,
        queue.longest as u64,
        queue.count() as u64,
    ];
    if let Some(is_non_blocking) = wished {
        flags.set(OpenFlags::NON_BLOCKING, is_non_blocking);
        file.set_flags(flags);
    }
    if old != 0 {
        let mut bytes = vec![0; ATTRIBUTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        buffer::write(space, old, &bytes)?;
    }
    Ok(0)
}
