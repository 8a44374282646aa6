//! Futexes (`futex(2)`): waiting for a word of the program's memory to change.
//!
//! * [`table`]: who waits for which word; * [`owned`]: words that name their owner;
//! * [`robust`]: what becomes of words whose owner has ended.
//!
//! A waiter compares the word and lists itself under the lock of the word's bucket; a waker has changed the word before it takes
//! that lock. So the waiter either sees the change or is seen.

mod owned;
pub mod robust;
mod table;

use table::{Key, Waited};
pub use table::{Place, hand_on_all};

use super::clock::read_timespec;
use super::entry::{Entry, Support};
use super::{int, uint};
use crate::memory::buffer;
use crate::memory::fault::Access;
use crate::process::thread::Thread;
use core::sync::atomic::Ordering;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::address::UserAddr;
use septum_guest_hal::clock::{monotonic_ns, realtime_ns};
use septum_guest_hal::{user, word};

const WAIT: u32 = 0;
const WAKE: u32 = 1;
const REQUEUE: u32 = 3;
const CMP_REQUEUE: u32 = 4;
const WAKE_OP: u32 = 5;
const LOCK_PI: u32 = 6;
const UNLOCK_PI: u32 = 7;
const TRYLOCK_PI: u32 = 8;
const WAIT_BITSET: u32 = 9;
const WAKE_BITSET: u32 = 10;
const LOCK_PI2: u32 = 13;
const PRIVATE: u32 = 128;
const CLOCK_REALTIME: u32 = 256;
/// FUTEX_BITSET_MATCH_ANY
const ANY: u32 = u32::MAX;
/// FUTEX_TID_MASK: the owner, in a word that names it.
const OWNER: u32 = 0x3fff_ffff;
const OWNER_DIED: u32 = 0x4000_0000;
const WAITERS: u32 = 0x8000_0000;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::FUTEX,
        handler: sys_futex,
        support: Support::Partial,
        notes: "WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, the BITSET forms, LOCK_PI, LOCK_PI2, TRYLOCK_PI, UNLOCK_PI (there are no priorities to inherit); no REQUEUE_PI",
    },
    Entry {
        number: number::SET_ROBUST_LIST,
        handler: |thread, a| {
            if a[1] != robust::HEAD_SIZE {
                return Err(Errno::EINVAL);
            }
            thread.task.robust_list.store(a[0], Ordering::Relaxed);
            Ok(0)
        },
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::GET_ROBUST_LIST,
        handler: |thread, a| robust::sys_get_robust_list(thread, int(a[0]), a[1], a[2]),
        support: Support::Full,
        notes: "of threads of the same process",
    },
];

/// Whether an interrupted call is made again whatever the handler's flags say.
#[must_use]
pub fn must_restart(operation: u64) -> bool {
    matches!(uint(operation) & !(PRIVATE | CLOCK_REALTIME), LOCK_PI | LOCK_PI2)
}

/// `futex(2)`
fn sys_futex(thread: &Thread, arguments: [u64; 6]) -> Result<usize, Errno> {
    let [address, operation, value, fourth, second, third] = arguments;
    let (operation, value, third) = (uint(operation), uint(value), uint(third));
    let is_private = operation & PRIVATE != 0;
    let key = |address| key_of(thread, address, is_private);
    let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let command = operation & !(PRIVATE | CLOCK_REALTIME);
    if operation & CLOCK_REALTIME != 0 && !matches!(command, WAIT | WAIT_BITSET | LOCK_PI2) {
        return Err(Errno::ENOSYS);
    }
    match operation & !(PRIVATE | CLOCK_REALTIME) {
        command @ (WAIT | WAIT_BITSET) => {
            let bits = if command == WAIT { ANY } else { third };
            if bits == 0 {
                return Err(Errno::EINVAL);
            }
            let is_realtime = operation & CLOCK_REALTIME != 0;
            let deadline = match fourth {
                0 => None,
                at => Some(deadline_of(read_timespec(thread, at)?, command == WAIT, is_realtime)),
            };
            wait(thread, key(address)?, address, value, bits, deadline)
        }
        WAKE => Ok(table::wake(key(address)?, count(value), ANY)),
        WAKE_BITSET if third == 0 => Err(Errno::EINVAL),
        WAKE_BITSET => Ok(table::wake(key(address)?, count(value), third)),
        command @ (REQUEUE | CMP_REQUEUE) => {
            if int(u64::from(value)) < 0 || int(fourth) < 0 {
                return Err(Errno::EINVAL);
            }
            let (from, to) = (key(address)?, key(second)?);
            let most = count(uint(fourth));
            loop {
                load(thread, address)?;
                let check = || match peek(address) {
                    Some(seen) if command == REQUEUE || seen == third => Some(Ok(())),
                    Some(_) => Some(Err(Errno::EAGAIN)),
                    None => None,
                };
                if let Some(result) = table::requeue(from, to, count(value), most, check) {
                    return result;
                }
            }
        }
        WAKE_OP => {
            let (first, other) = (key(address)?, key(second)?);
            let seen = update(thread, second, |old| operate(third, old))?;
            let mut woken = table::wake(first, count(value), ANY);
            if compares(third, seen)? {
                woken += table::wake(other, count(uint(fourth)), ANY);
            }
            Ok(woken)
        }
        command @ (LOCK_PI | LOCK_PI2) => {
            let is_realtime = command == LOCK_PI || operation & CLOCK_REALTIME != 0;
            let deadline = match fourth {
                0 => None,
                at => Some(deadline_of(read_timespec(thread, at)?, false, is_realtime)),
            };
            owned::lock(thread, address, key(address)?, deadline, true)
        }
        TRYLOCK_PI => owned::lock(thread, address, key(address)?, None, false),
        UNLOCK_PI => owned::unlock(thread, address, key(address)?),
        _ => Err(Errno::ENOSYS),
    }
}

/// On the monotonic clock.
fn deadline_of(ns: u64, is_relative: bool, is_realtime: bool) -> u64 {
    let now = monotonic_ns();
    match (is_relative, is_realtime) {
        (true, _) => now.saturating_add(ns),
        (false, false) => ns,
        (false, true) => now.saturating_add(ns.saturating_sub(realtime_ns())),
    }
}

/// The identity of the word at `address`: shared memory is the same wherever it is mapped.
fn key_of(thread: &Thread, address: u64, is_private: bool) -> Result<Key, Errno> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let user = UserAddr::new(address).ok_or(Errno::EFAULT)?;
    let own = Key { space: thread.process.space.id(), word: address };
    if is_private {
        return Ok(own);
    }
    if !thread.process.space.lock().area_at(address).ok_or(Errno::EFAULT)?.is_shared() {
        return Ok(own);
    }
    let (_locked, frame) = buffer::pin(&thread.process.space, user, Access::Read)?;
    Ok(Key { space: 0, word: frame.address().0 + address % PAGE_SIZE as u64 })
}

/// The word, if its page is present: one load of the eight aligned bytes around it.
fn peek(address: u64) -> Option<u32> {
    let mut bytes = [0; 8];
    user::copy_from_user(UserAddr::new(address & !7)?, &mut bytes).ok()?;
    let at = if address & 4 == 0 { 0 } else { 4 };
    Some(u32::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte])))
}

/// The word; EFAULT if there is none.
fn load(thread: &Thread, address: u64) -> Result<u32, Errno> {
    let mut bytes = [0; 8];
    buffer::read(&thread.process.space, address & !7, &mut bytes)?;
    let at = if address & 4 == 0 { 0 } else { 4 };
    Ok(u32::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte])))
}

/// Changes the word at once; returns what it was.
fn update(thread: &Thread, address: u64, change: impl FnMut(u32) -> Option<u32>) -> Result<u32, Errno> {
    let user = UserAddr::new(address).ok_or(Errno::EFAULT)?;
    // Under the lock, so that the page stays the one that is mapped.
    let (_locked, frame) = buffer::pin(&thread.process.space, user, Access::Write)?;
    // It was aligned when its key was made.
    word::update(&frame, user.page_offset(), change).ok_or(Errno::EFAULT)
}

fn wait(
    thread: &Thread,
    key: Key,
    address: u64,
    expected: u32,
    bits: u32,
    deadline: Option<u64>,
) -> Result<usize, Errno> {
    loop {
        if load(thread, address)? != expected {
            return Err(Errno::EAGAIN);
        }
        let is_expected = || peek(address).map(|seen| seen == expected);
        match table::wait(&thread.task, key, bits, None, deadline, is_expected)? {
            Waited::Woken => return Ok(0),
            Waited::Changed => return Err(Errno::EAGAIN),
            Waited::TimedOut => return Err(Errno::ETIMEDOUT),
            // The page went away before it could be looked at under the lock.
            Waited::Absent => {}
        }
    }
}

/// A sign-extended 12-bit field of a FUTEX_WAKE_OP operation.
fn operand(field: u32) -> u32 {
    (field << 20).cast_signed().wrapping_shr(20).cast_unsigned()
}

/// What FUTEX_WAKE_OP makes of the second word.
fn operate(encoded: u32, old: u32) -> Option<u32> {
    let argument = operand(encoded >> 12 & 0xfff);
    let argument = if encoded >> 31 != 0 { 1u32.wrapping_shl(argument) } else { argument };
    match encoded >> 28 & 7 {
        0 => Some(argument),
        1 => Some(old.wrapping_add(argument)),
        2 => Some(old | argument),
        3 => Some(old & !argument),
        4 => Some(old ^ argument),
        _ => None,
    }
}

/// Whether FUTEX_WAKE_OP wakes waiters of the second word too.
fn compares(encoded: u32, old: u32) -> Result<bool, Errno> {
    let (old, argument) = (old.cast_signed(), operand(encoded & 0xfff).cast_signed());
    if encoded >> 28 & 7 > 4 {
        return Err(Errno::ENOSYS);
    }
    Ok(match encoded >> 24 & 0xf {
        0 => old == argument,
        1 => old != argument,
        2 => old < argument,
        3 => old <= argument,
        4 => old > argument,
        5 => old >= argument,
        _ => return Err(Errno::ENOSYS),
    })
}

/// The end of a thread: clears the word that it was told to, and wakes who waits for that.
pub fn clear_and_wake(thread: &Thread, address: u64) {
    if buffer::write(&thread.process.space, address, &0u32.to_le_bytes()).is_ok() {
        for is_private in [true, false] {
            if let Ok(key) = key_of(thread, address, is_private) {
                table::wake(key, 1, ANY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_op_operates_and_compares_as_linux_does() {
        // FUTEX_OP(op, oparg, cmp, cmparg)
        let op = |op: u32, argument: u32, cmp: u32, with: u32| op << 28 | cmp << 24 | argument << 12 | with;
        assert_eq!(operate(op(1, 5, 0, 0), 7), Some(12));
        assert_eq!(operate(op(1, 0xfff, 0, 0), 7), Some(6));
        assert_eq!(operate(op(8 | 2, 4, 0, 0), 1), Some(17));
        assert_eq!(operate(op(7, 0, 0, 0), 1), None);
        assert_eq!(compares(op(0, 0, 4, 1), 2), Ok(true));
        assert_eq!(compares(op(0, 0, 2, 0xfff), 0), Ok(false));
        assert_eq!(compares(op(0, 0, 9, 0), 0), Err(Errno::ENOSYS));
    }
}
