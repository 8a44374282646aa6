//! epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait, epoll_pwait2.
//!
//! ```text
//! struct epoll_event (packed)   +0 events (u32)  +4 data (u64)  +12
//! ```

use super::FileContext;
use super::arguments::{file, usable_file};
use super::poll::{deadline, masked, wait};
use crate::fs::anonymous;
use crate::fs::descriptors::OpenFile;
use crate::fs::epoll::{EXCLUSIVE, Epoll, Wish};
use crate::fs::inode::FileKind;
use crate::fs::open::OpenFlags;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;

/// Size of `struct epoll_event`.
const EVENT: usize = 12;
/// Most events asked for at once (Linux: EP_MAX_EVENTS).
const MOST: i32 = 0x7fff_ffff / 12;

/// EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD
const ADD: u32 = 1;
const DELETE: u32 = 2;
const MODIFY: u32 = 3;

/// `epoll_create`: the size is a relic that must be positive.
pub fn sys_epoll_create<C: FileContext>(ctx: &C, size: i32) -> Result<usize, Errno> {
    if size <= 0 { Err(Errno::EINVAL) } else { sys_epoll_create1(ctx, 0) }
}

/// `epoll_create1`
pub fn sys_epoll_create1<C: FileContext>(ctx: &C, flags: u32) -> Result<usize, Errno> {
    let flags = OpenFlags::from_bits_retain(flags);
    if !OpenFlags::CLOSE_ON_EXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let name = b"anon_inode:[eventpoll]";
    let file =
        anonymous::open_named(name, FileKind::Anonymous, Arc::new(Epoll::new()), OpenFlags::READ_WRITE);
    ctx.descriptors().lock().insert(file, flags.contains(OpenFlags::CLOSE_ON_EXEC), 0)
}

/// What may be asked for together with EPOLLEXCLUSIVE: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLWAKEUP, EPOLLET.
const WITH_EXCLUSIVE: u32 = EXCLUSIVE | 1 << 29 | 1 << 31 | 0x1d;

/// `epoll_ctl`
pub fn sys_epoll_ctl<C: FileContext>(
    ctx: &C,
    epoll: i32,
    operation: u32,
    fd: i32,
    event: u64,
) -> Result<usize, Errno> {
    let mut bytes = [0; EVENT];
    if operation != DELETE {
        ctx.copy_in(event, &mut bytes)?;
    }
    let [events, low, high] =
        [0, 4, 8].map(|at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let wish = Wish { events, data: u64::from(high) << 32 | u64::from(low) };
    let (watcher, watched) = (file(ctx, epoll)?, file(ctx, fd)?);
    if watcher.is_path_only() || watched.is_path_only() {
        return Err(Errno::EBADF);
    }
    if watched.is_seekable() {
        return Err(Errno::EPERM);
    }
    if Arc::ptr_eq(&watcher, &watched) {
        return Err(Errno::EINVAL);
    }
    let epoll = Epoll::of(&**watcher.file()).ok_or(Errno::EINVAL)?;
    let is_exclusive = operation == ADD && wish.events & EXCLUSIVE != 0;
    if is_exclusive && (wish.events & !WITH_EXCLUSIVE != 0 || Epoll::of(&**watched.file()).is_some()) {
        return Err(Errno::EINVAL);
    }
    match operation {
        ADD => epoll.add(fd, &watched, wish)?,
        DELETE => epoll.remove(fd, &watched)?,
        MODIFY => epoll.modify(fd, &watched, wish)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `epoll_wait`, and with a signal mask `epoll_pwait`. A negative timeout is for ever.
pub fn sys_epoll_pwait<C: FileContext>(
    ctx: &C,
    epoll: i32,
    events: u64,
    most: i32,
    timeout_ms: i32,
    mask: (u64, usize),
) -> Result<usize, Errno> {
    let deadline =
        u64::try_from(timeout_ms).ok().map(|ms| monotonic_ns().saturating_add(ms.saturating_mul(1_000_000)));
    masked(ctx, mask.0, mask.1, &mut || collect(ctx, epoll, events, most, deadline))
}

/// `epoll_pwait2`: with a `timespec`.
pub fn sys_epoll_pwait2<C: FileContext>(
    ctx: &C,
    epoll: i32,
    events: u64,
    most: i32,
    timeout: u64,
    mask: (u64, usize),
) -> Result<usize, Errno> {
    let deadline = deadline(ctx, timeout, 1)?;
    masked(ctx, mask.0, mask.1, &mut || collect(ctx, epoll, events, most, deadline))
}

fn collect<C: FileContext>(
    ctx: &C,
    fd: i32,
    address: u64,
    most: i32,
    deadline: Option<u64>,
) -> Result<usize, Errno> {
    let most = usize::try_from(most).ok().filter(|_| (1..=MOST).contains(&most)).ok_or(Errno::EINVAL)?;
    let watcher: Arc<OpenFile> = usable_file(ctx, fd)?;
    let epoll = Epoll::of(&**watcher.file()).ok_or(Errno::EINVAL)?;
    let mut found: Vec<Wish> = Vec::new();
    wait(core::slice::from_ref(&watcher), deadline, || {
        found = epoll.take(most);
        found.len()
    })?;
    let mut bytes = Vec::with_capacity(found.len() * EVENT);
    for event in &found {
        bytes.extend_from_slice(&event.events.to_le_bytes());
        bytes.extend_from_slice(&event.data.to_le_bytes());
    }
    ctx.copy_out(address, &bytes)?;
    Ok(found.len())
}
