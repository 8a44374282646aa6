//! select, pselect6.
//!
//! A set is a string of bits, one per descriptor, in 64-bit words. Of each of the three sets (readable, writable,
//! exceptional) the bits that are true remain.

use super::FileContext;
use super::arguments::pair;
use super::poll::{deadline, masked, state, tell_left, wait};
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::poll as event;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;

/// Which events count for each of the three sets. What is urgent is exceptional.
const EVENTS: [u16; 3] = [event::IN | event::HUP | event::ERR, event::OUT | event::ERR, event::URGENT];

/// One bit of one set.
struct Interest {
    set: usize,
    fd: usize,
    file: Arc<OpenFile>,
}

/// `select`: with a `timeval`.
pub fn sys_select<C: FileContext>(ctx: &C, count: i32, sets: [u64; 3], timeout: u64) -> Result<usize, Errno> {
    let deadline = deadline(ctx, timeout, 1000)?;
    let result = select(ctx, count, sets, deadline);
    tell_left(ctx, timeout, deadline, 1000)?;
    result
}

/// `pselect6`: with a `timespec`, and at `mask` the address and size of a signal mask.
pub fn sys_pselect6<C: FileContext>(
    ctx: &C,
    count: i32,
    sets: [u64; 3],
    timeout: u64,
    mask: u64,
) -> Result<usize, Errno> {
    let deadline = deadline(ctx, timeout, 1)?;
    let (mask, mask_size) = if mask == 0 { (0, 0) } else { pair(ctx, mask)? };
    let mut run = || select(ctx, count, sets, deadline);
    let result = masked(ctx, mask, super::arguments::size(mask_size), &mut run);
    tell_left(ctx, timeout, deadline, 1)?;
    result
}

fn select<C: FileContext>(
    ctx: &C,
    count: i32,
    addresses: [u64; 3],
    deadline: Option<u64>,
) -> Result<usize, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let limit = usize::try_from(ctx.descriptors().lock().limit).unwrap_or(usize::MAX);
    let count = count.min(limit);
    let len = count.div_ceil(64) * 8;
    let mut interests = Vec::new();
    for (set, &address) in addresses.iter().enumerate().filter(|(_, address)| **address != 0) {
        let mut bits = alloc::vec![0; len];
        ctx.copy_in(address, &mut bits)?;
        let table = ctx.descriptors().lock();
        for fd in (0..count).filter(|fd| bits[fd / 8] & (1 << (fd % 8)) != 0) {
            let file = table.get(i32::try_from(fd).map_err(|_| Errno::EBADF)?)?;
            interests.push(Interest { set, fd, file });
        }
    }
    let files: Vec<_> = interests.iter().map(|interest| Arc::clone(&interest.file)).collect();
    let is_ready = |interest: &&Interest| state(&interest.file) & EVENTS[interest.set] != 0;
    let mut ready: Vec<&Interest> = Vec::new();
    let total = wait(&files, deadline, || {
        ready = interests.iter().filter(is_ready).collect();
        ready.len()
    })?;
    for (set, &address) in addresses.iter().enumerate().filter(|(_, address)| **address != 0) {
        let mut bits = alloc::vec![0u8; len];
        for interest in ready.iter().filter(|interest| interest.set == set) {
            bits[interest.fd / 8] |= 1 << (interest.fd % 8);
        }
        ctx.copy_out(address, &bits)?;
    }
    Ok(total)
}
