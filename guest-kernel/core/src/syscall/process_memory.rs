//! The memory of another process: process_vm_readv, process_vm_writev.
//!
//! Its pages are found in its address space and copied through a page of the kernel's; no lock is held while the caller's own memory is
//! touched. What was copied before an address that is no good counts.

use super::entry::{Entry, Support};
use super::int;
use crate::memory::AddressSpace;
use crate::memory::buffer;
use crate::memory::fault::Access;
use crate::process::thread::Thread;
use crate::process::{Process, family};
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::address::{UserAddr, to_usize};
use septum_guest_hal::sync::Mutex;
use septum_guest_hal::user;

/// UIO_MAXIOV
const MOST: u64 = 1024;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::PROCESS_VM_READV,
        handler: |thread, a| transfer(thread, a, Access::Read),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::PROCESS_VM_WRITEV,
        handler: |thread, a| transfer(thread, a, Access::Write),
        support: Support::Full,
        notes: "",
    },
];

/// Addresses and lengths. EINVAL if there are too many, or one is too long.
fn pieces(thread: &Thread, vector: u64, count: u64) -> Result<Vec<(u64, u64)>, Errno> {
    if count > MOST {
        return Err(Errno::EINVAL);
    }
    let mut bytes = alloc::vec![0; to_usize(count) * 16];
    buffer::read(&thread.process.space, vector, &mut bytes)?;
    let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
    let pieces: Vec<_> = (0..to_usize(count)).map(|index| (word(index * 16), word(index * 16 + 8))).collect();
    let is_long = |(_, len): &(u64, u64)| i64::try_from(*len).is_err();
    if pieces.iter().any(is_long) { Err(Errno::EINVAL) } else { Ok(pieces) }
}

/// The process whose memory it is. ESRCH if there is none, EPERM if it is another user's.
fn target(thread: &Thread, pid: i32) -> Result<Arc<Process>, Errno> {
    let pid = u32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let process = family::find(pid)
        .or_else(|| family::find_task(pid, &thread.process).map(|task| Arc::clone(&task.process)))
        .filter(|process| process.thread_count() > 0)
        .ok_or(Errno::ESRCH)?;
    let own = thread.process.uid();
    if own == 0 || own == process.uid() { Ok(process) } else { Err(Errno::EPERM) }
}

/// Copies what lies in one page of the other's memory.
pub(super) fn exchange(
    space: &Mutex<AddressSpace>,
    address: u64,
    bytes: &mut [u8],
    access: Access,
) -> Result<(), Errno> {
    let user = UserAddr::new(address).ok_or(Errno::EFAULT)?;
    // Under the lock, so that the page stays the one that is mapped.
    let (_locked, frame) = buffer::pin(space, user, access)?;
    let is_done = match access {
        Access::Write => user::write_frame(&frame, user.page_offset(), bytes),
        _ => user::read_frame(&frame, user.page_offset(), bytes),
    };
    if is_done { Ok(()) } else { Err(Errno::EFAULT) }
}

fn transfer(thread: &Thread, a: [u64; 6], access: Access) -> Result<usize, Errno> {
    let [pid, local, local_count, remote, remote_count, flags] = a;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let local = pieces(thread, local, local_count)?;
    let mut room: u64 = local.iter().map(|(_, len)| *len).fold(0, u64::saturating_add);
    if room == 0 {
        return Ok(0);
    }
    let remote = pieces(thread, remote, remote_count)?;
    if remote.iter().all(|(_, len)| *len == 0) {
        return Ok(0);
    }
    let process = target(thread, int(pid))?;
    let mut local = Local { thread, pieces: local, at: 0 };
    let mut page = alloc::vec![0; PAGE_SIZE];
    let mut total = 0;
    for (address, len) in remote {
        let mut done = 0;
        while done < len && room > 0 {
            let at = address.wrapping_add(done);
            let in_page = PAGE_SIZE as u64 - at % PAGE_SIZE as u64;
            let step = to_usize(in_page.min(len - done).min(room));
            let bytes = &mut page[..step];
            let result = match access {
                Access::Write => local.take(bytes).and_then(|()| exchange(&process.space, at, bytes, access)),
                _ => exchange(&process.space, at, bytes, access).and_then(|()| local.put(bytes)),
            };
            match result {
                Ok(()) => {}
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => return Ok(total),
            }
            (total, done, room) = (total + step, done + step as u64, room - step as u64);
        }
    }
    Ok(total)
}

/// The caller's own memory, from front to back.
struct Local<'a> {
    thread: &'a Thread,
    pieces: Vec<(u64, u64)>,
    at: usize,
}

impl Local<'_> {
    /// The next piece of at most `max` bytes.
    fn next(&mut self, max: usize) -> Result<(u64, usize), Errno> {
        while self.pieces.get(self.at).is_some_and(|(_, len)| *len == 0) {
            self.at += 1;
        }
        let (address, len) = self.pieces.get_mut(self.at).ok_or(Errno::EFAULT)?;
        let step = (*len).min(max as u64);
        let piece = (*address, to_usize(step));
        (*address, *len) = (address.wrapping_add(step), *len - step);
        Ok(piece)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < bytes.len() {
            let (address, step) = self.next(bytes.len() - done)?;
            buffer::write(&self.thread.process.space, address, &bytes[done..done + step])?;
            done += step;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < bytes.len() {
            let (address, step) = self.next(bytes.len() - done)?;
            buffer::read(&self.thread.process.space, address, &mut bytes[done..done + step])?;
            done += step;
        }
        Ok(())
    }
}
