//! Robust futexes (`get_robust_list(2)`): a thread keeps a list of the locks that it holds, in its own memory; when it ends, their
//! words are marked and one waiter each is woken.

use super::{ANY, OWNER, OWNER_DIED, WAITERS, key_of, owned, table, update};
use crate::memory::buffer;
use crate::process::family;
use crate::process::thread::Thread;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;

/// ROBUST_LIST_LIMIT: the list may be a circle.
const LIMIT: usize = 2048;
/// Bytes of the list's head.
pub const HEAD_SIZE: u64 = 24;
/// In a pointer of the list: the lock's word names its owner ([`owned`]).
const OWNED: u64 = 1;

fn read(thread: &Thread, address: u64) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// `get_robust_list(2)`
pub fn sys_get_robust_list(thread: &Thread, tid: i32, head: u64, size: u64) -> Result<usize, Errno> {
    let task = match u32::try_from(tid) {
        Ok(0) => Some(Arc::clone(&thread.task)),
        Ok(tid) => family::find_task(tid, &thread.process),
        Err(_) => None,
    };
    let list = task.ok_or(Errno::ESRCH)?.robust_list.load(Ordering::Relaxed);
    buffer::write(&thread.process.space, size, &HEAD_SIZE.to_le_bytes())?;
    buffer::write(&thread.process.space, head, &list.to_le_bytes())?;
    Ok(0)
}

/// Marks what an ending thread still holds. A list that cannot be read ends there.
pub fn release(thread: &Thread) {
    let head = thread.task.robust_list.swap(0, Ordering::Relaxed);
    if head != 0 {
        let _ = walk(thread, head);
    }
}

fn walk(thread: &Thread, head: u64) -> Result<(), Errno> {
    let (offset, pending) = (read(thread, head + 8)?, read(thread, head + 16)?);
    let mut entry = read(thread, head)?;
    for _ in 0..LIMIT {
        if entry & !OWNED == head {
            break;
        }
        let next = read(thread, entry & !OWNED)?;
        if entry & !OWNED != pending & !OWNED {
            mark(thread, entry, offset)?;
        }
        entry = next;
    }
    if pending & !OWNED != 0 {
        mark(thread, pending, offset)?;
    }
    Ok(())
}

fn mark(thread: &Thread, entry: u64, offset: u64) -> Result<(), Errno> {
    let address = (entry & !OWNED).wrapping_add(offset);
    if entry & OWNED != 0 {
        return owned::abandon(thread, address, key_of(thread, address, false)?);
    }
    let own = thread.task.tid();
    let mut had_waiters = false;
    update(thread, address, |word| {
        had_waiters = word & WAITERS != 0;
        if word & OWNER == own { Some(word & WAITERS | OWNER_DIED) } else { None }
    })?;
    if had_waiters {
        for is_private in [true, false] {
            table::wake(key_of(thread, address, is_private)?, 1, ANY);
        }
    }
    Ok(())
}
