//! Robust futexes (`get_robust_list(2)`): a thread keeps a list of the locks that it holds, in its own memory; when it ends, their
//! words are marked and one waiter each is woken.

use super::{ANY, key_of, table, update};
use crate::memory::buffer;
use crate::process::thread::Thread;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;

/// ROBUST_LIST_LIMIT: the list may be a circle.
const LIMIT: usize = 2048;
const OWNER_DIED: u32 = 0x4000_0000;
const WAITERS: u32 = 0x8000_0000;
const OWNER: u32 = 0x3fff_ffff;

fn read(thread: &Thread, address: u64) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Marks what an ending thread still holds. A list that cannot be read ends there.
pub fn release(thread: &Thread) {
    let head = thread.task.robust_list.swap(0, Ordering::Relaxed);
    if head != 0 {
        let _ = walk(thread, head);
    }
}

fn walk(thread: &Thread, head: u64) -> Result<(), Errno> {
    // Bit 0 of a pointer tells a lock that inherits priorities; there is no difference here.
    let (offset, pending) = (read(thread, head + 8)?, read(thread, head + 16)? & !1);
    let mut entry = read(thread, head)? & !1;
    for _ in 0..LIMIT {
        if entry == head {
            break;
        }
        let next = read(thread, entry)? & !1;
        if entry != pending {
            mark(thread, entry.wrapping_add(offset))?;
        }
        entry = next;
    }
    if pending != 0 {
        mark(thread, pending.wrapping_add(offset))?;
    }
    Ok(())
}

fn mark(thread: &Thread, address: u64) -> Result<(), Errno> {
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
