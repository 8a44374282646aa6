//! Locks whose word names their owner (FUTEX_LOCK_PI and its kin, `futex(2)`, "Priority-inheritance futexes").
//!
//! ```text
//!   0 ──LOCK──► tid ──LOCK of another──► tid | WAITERS ──UNLOCK──► tid of the next | WAITERS
//!                    └──────UNLOCK─────────────► 0                └──nobody waits──► 0
//! ```
//!
//! The program takes and gives back a lock that nobody waits for by itself. Otherwise the kernel hands the word on: whoever gives
//! the lock back writes the next waiter's number, so a waiter that is woken has the lock. If the owner ends, the next one gets it with
//! OWNER_DIED. The host schedules, so there are no priorities to inherit; what the words say is the same.
//!
//! All changes here are made under the lock of the word's bucket, to the frame that was the word's when the call began.

use super::table::{self, Key, Waited};
use super::{ANY, OWNER, OWNER_DIED, WAITERS};
use crate::memory::buffer;
use crate::memory::fault::Access;
use crate::process::family;
use crate::process::thread::Thread;
use alloc::sync::Arc;
use septum_abi::linux::Errno;
use septum_guest_hal::address::UserAddr;
use septum_guest_hal::frame::{Frame, Pin};
use septum_guest_hal::word;

/// Such a word.
#[derive(Clone, Debug)]
pub struct Word {
    frame: Frame,
    offset: usize,
    /// A fork meanwhile copies the page for the child: this stays the one that the waiting program sees.
    _pin: Option<Arc<Pin>>,
}

impl Word {
    fn of(thread: &Thread, address: u64) -> Result<Self, Errno> {
        let user = UserAddr::new(address).ok_or(Errno::EFAULT)?;
        let (_locked, frame) = buffer::pin(&thread.process.space, user, Access::Write)?;
        let pin = frame.pin().map(Arc::new);
        Ok(Self { frame, offset: user.page_offset(), _pin: pin })
    }

    fn update(&self, change: impl FnMut(u32) -> Option<u32>) {
        // It was aligned when its key was made; what is gone has no owner.
        let _ = word::update(&self.frame, self.offset, change);
    }

    /// Gives it from `owner` to the thread with number `next`, with further bits, or frees it with those. EPERM if it is not `owner`'s.
    pub fn give(&self, owner: u32, next: Option<u32>, bits: u32) -> Result<(), Errno> {
        let mut result = Err(Errno::EPERM);
        self.update(|old| {
            let is_own = old & OWNER == owner;
            result = if is_own { Ok(()) } else { Err(Errno::EPERM) };
            is_own.then_some(next.map_or(0, |next| next | WAITERS) | bits)
        });
        result
    }
}

/// Takes the word for `own`, or says that somebody has it. True if it was taken. EFAULT if it is gone with the page that it was in.
fn attempt(word: &Word, own: u32, may_wait: bool, is_alive: impl Fn(u32) -> bool) -> Result<bool, Errno> {
    let mut result = Err(Errno::EFAULT);
    word.update(|old| {
        let (next, outcome) = match old & OWNER {
            0 => (Some(old & (WAITERS | OWNER_DIED) | own), Ok(true)),
            owner if owner == own => (None, Err(Errno::EDEADLK)),
            owner if !is_alive(owner) => (None, Err(Errno::ESRCH)),
            _ if !may_wait => (None, Err(Errno::EAGAIN)),
            _ => (Some(old | WAITERS), Ok(false)),
        };
        result = outcome;
        next
    });
    result
}

/// FUTEX_LOCK_PI, FUTEX_LOCK_PI2; if it may not wait, FUTEX_TRYLOCK_PI.
pub fn lock(
    thread: &Thread,
    address: u64,
    key: Key,
    deadline: Option<u64>,
    may_wait: bool,
) -> Result<usize, Errno> {
    let own = thread.task.tid();
    let is_alive = |owner| family::find_task(owner, &thread.process).is_some();
    let word = Word::of(thread, address)?;
    let mut result = Ok(true);
    let must_wait = || {
        result = attempt(&word, own, may_wait, is_alive);
        Some(result == Ok(false))
    };
    match table::wait(&thread.task, key, ANY, Some(word.clone()), deadline, must_wait)? {
        Waited::Woken => Ok(0),
        Waited::TimedOut => Err(Errno::ETIMEDOUT),
        Waited::Changed | Waited::Absent => result.map(|_| 0),
    }
}

/// FUTEX_UNLOCK_PI
pub fn unlock(thread: &Thread, address: u64, key: Key) -> Result<usize, Errno> {
    let (word, own) = (Word::of(thread, address)?, thread.task.tid());
    table::hand_on(key, |next| word.give(own, next, 0)).map(|()| 0)
}

/// The owner ends and had the word in its list of robust locks.
pub fn abandon(thread: &Thread, address: u64, key: Key) -> Result<(), Errno> {
    let (word, own) = (Word::of(thread, address)?, thread.task.tid());
    // Not its own: the list may name locks that it was about to take.
    let _ = table::hand_on(key, |next| word.give(own, next, OWNER_DIED));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_of(value: u32) -> Word {
        let word = Word { frame: Frame::zeroed().unwrap(), offset: 8, _pin: None };
        word.update(|_| Some(value));
        word
    }

    fn value(word: &Word) -> u32 {
        word::load(&word.frame, word.offset).unwrap()
    }

    #[test]
    fn a_free_word_is_taken_and_keeps_that_its_owner_died() {
        let word = word_of(OWNER_DIED);
        assert_eq!(attempt(&word, 7, true, |_| true), Ok(true));
        assert_eq!(value(&word), OWNER_DIED | 7);
    }

    #[test]
    fn a_word_of_another_is_marked_only_if_it_is_worth_waiting_for() {
        let word = word_of(5);
        assert_eq!(attempt(&word, 7, false, |_| true), Err(Errno::EAGAIN));
        assert_eq!(attempt(&word, 7, true, |_| false), Err(Errno::ESRCH));
        assert_eq!(attempt(&word, 5, true, |_| true), Err(Errno::EDEADLK));
        assert_eq!(value(&word), 5);
        assert_eq!(attempt(&word, 7, true, |_| true), Ok(false));
        assert_eq!(value(&word), WAITERS | 5);
    }

    #[test]
    fn only_the_owner_gives_a_word_away() {
        let word = word_of(WAITERS | 5);
        assert_eq!(word.give(7, None, 0), Err(Errno::EPERM));
        assert_eq!(word.give(5, Some(7), OWNER_DIED), Ok(()));
        assert_eq!(value(&word), WAITERS | OWNER_DIED | 7);
        assert_eq!(word.give(7, None, 0), Ok(()));
        assert_eq!(value(&word), 0);
    }
}
