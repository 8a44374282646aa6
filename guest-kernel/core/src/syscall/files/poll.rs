//! poll, ppoll.
//!
//! ```text
//! struct pollfd   +0 fd (i32)  +4 events (u16)  +6 revents (u16)  +8
//! ```

use super::FileContext;
use super::arguments::{field, int, pair};
use crate::fs::descriptors::OpenFile;
use crate::fs::epoll::Epoll;
use crate::fs::inode::{File, poll as event};
use crate::wait::{WaitQueue, wait_for_any};
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;

/// POLLNVAL
const INVALID: u16 = 0x20;

/// What is true of a file now.
#[must_use]
pub fn state(file: &OpenFile) -> u16 {
    event::state(file.file().poll())
}

/// Waits until `count_ready` tells of more than none, or until the deadline (then it is 0).
pub fn wait(
    files: &[Arc<OpenFile>],
    deadline_ns: Option<u64>,
    mut count_ready: impl FnMut() -> usize,
) -> Result<usize, Errno> {
    loop {
        let files = with_members(files);
        let queues: Vec<&WaitQueue> = files.iter().filter_map(|file| file.wait_queue()).collect();
        let generations = || queues.iter().fold(0u64, |sum, queue| sum.wrapping_add(queue.generation()));
        let before = generations();
        let soonest = files.iter().filter_map(|file| file.deadline_ns()).chain(deadline_ns).min();
        let ready = wait_for_any(&queues, soonest, || match count_ready() {
            // What is watched, or when a timer rings, may be other than before.
            0 => (generations() != before).then_some(0),
            count => Some(count),
        })?;
        match ready {
            Some(count) if count > 0 => return Ok(count),
            _ if deadline_ns.is_some_and(|deadline| monotonic_ns() >= deadline) => return Ok(0),
            _ => {}
        }
    }
}

/// `files`, and what those of them that are epolls watch. Not as open files: whoever waits does not keep those open.
fn with_members(files: &[Arc<OpenFile>]) -> Vec<Arc<dyn File>> {
    let mut all: Vec<Arc<dyn File>> = files.iter().map(|file| Arc::clone(file.file())).collect();
    let mut next = 0;
    while let Some(file) = all.get(next) {
        let members = Epoll::of(&**file).map(Epoll::members).unwrap_or_default();
        for member in members {
            // An epoll that several watch is asked once.
            let is_known = || all.iter().any(|file| Arc::as_ptr(file).addr() == Arc::as_ptr(&member).addr());
            if Epoll::of(&*member).is_none() || !is_known() {
                all.push(member);
            }
        }
        next += 1;
    }
    all
}

/// `poll`: a negative timeout is for ever.
pub fn sys_poll<C: FileContext>(
    ctx: &C,
    address: u64,
    count: usize,
    timeout_ms: i32,
) -> Result<usize, Errno> {
    let deadline =
        u64::try_from(timeout_ms).ok().map(|ms| monotonic_ns().saturating_add(ms.saturating_mul(1_000_000)));
    poll(ctx, address, count, deadline)
}

/// `ppoll`: with a `timespec`, which is set to what is left, and a signal mask.
pub fn sys_ppoll<C: FileContext>(
    ctx: &C,
    address: u64,
    count: usize,
    timeout: u64,
    mask: u64,
    mask_size: usize,
) -> Result<usize, Errno> {
    let deadline = deadline(ctx, timeout, 1)?;
    let result = masked(ctx, mask, mask_size, &mut || poll(ctx, address, count, deadline));
    tell_left(ctx, timeout, deadline, 1)?;
    result
}

fn poll<C: FileContext>(ctx: &C, address: u64, count: usize, deadline: Option<u64>) -> Result<usize, Errno> {
    if u32::try_from(count).map_or(true, |count| count > ctx.descriptors().lock().limit) {
        return Err(Errno::EINVAL);
    }
    let mut bytes = alloc::vec![0; count * 8];
    ctx.copy_in(address, &mut bytes)?;
    // Per pollfd: what it waits for, and its file. A negative number waits for nothing.
    let entries: Vec<(u16, i32, Option<Arc<OpenFile>>)> = {
        let table = ctx.descriptors().lock();
        let entry = |bytes: &[u8]| {
            let fd = int(field(bytes, 0));
            let events = u16::from_le_bytes([bytes[4], bytes[5]]);
            (events, fd, table.get(fd).ok().filter(|file| !file.is_path_only()))
        };
        bytes.chunks_exact(8).map(entry).collect()
    };
    let files: Vec<_> = entries.iter().filter_map(|(_, _, file)| file.clone()).collect();
    let ready = wait(&files, deadline, || {
        let mut ready = 0;
        for ((events, fd, file), bytes) in entries.iter().zip(bytes.chunks_exact_mut(8)) {
            let found = match file {
                Some(file) => state(file) & (events | event::ERR | event::HUP),
                None if *fd < 0 => 0,
                None => INVALID,
            };
            bytes[6..8].copy_from_slice(&found.to_le_bytes());
            ready += usize::from(found != 0);
        }
        ready
    })?;
    ctx.copy_out(address, &bytes)?;
    Ok(ready)
}

/// The deadline that is the `timespec` (or `timeval`, with `unit_ns` 1000) at `address` from now; null is for ever.
pub fn deadline<C: FileContext>(ctx: &C, address: u64, unit_ns: u64) -> Result<Option<u64>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let (seconds, fraction) = pair(ctx, address)?;
    let is_negative = |value: u64| super::arguments::long(value) < 0;
    // A timeval may hold more than a second of microseconds, a timespec may not.
    if is_negative(seconds) || is_negative(fraction) || (unit_ns == 1 && fraction >= 1_000_000_000) {
        return Err(Errno::EINVAL);
    }
    let ns = seconds.saturating_mul(1_000_000_000).saturating_add(fraction.saturating_mul(unit_ns));
    Ok(Some(monotonic_ns().saturating_add(ns)))
}

/// Stores how long it is until the deadline at `address`, as Linux does.
pub fn tell_left<C: FileContext>(
    ctx: &C,
    address: u64,
    deadline: Option<u64>,
    unit_ns: u64,
) -> Result<(), Errno> {
    let Some(deadline) = deadline else { return Ok(()) };
    let left = deadline.saturating_sub(monotonic_ns());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(left / 1_000_000_000).to_le_bytes());
    bytes[8..].copy_from_slice(&(left % 1_000_000_000 / unit_ns).to_le_bytes());
    // A timeout in read-only memory is no error.
    match ctx.copy_out(address, &bytes) {
        Err(Errno::EFAULT) => Ok(()),
        result => result,
    }
}

/// Runs `wait` under the signal mask at `mask`, if there is one.
pub fn masked<C: FileContext>(
    ctx: &C,
    mask: u64,
    mask_size: usize,
    wait: &mut dyn FnMut() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    if mask == 0 {
        return wait();
    }
    if mask_size != 8 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; 8];
    ctx.copy_in(mask, &mut bytes)?;
    ctx.with_signal_mask(u64::from_le_bytes(bytes), wait)
}
