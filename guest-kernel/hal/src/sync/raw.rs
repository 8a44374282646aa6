//! The protocol of a lock whose waiters halt.
//!
//! ```text
//!   FREE ──try──► HELD ──unlock──► FREE                         nobody waits: two exchanges
//!   any ──a waiter's exchange──► CONTENDED ──unlock──► FREE     and the holder wakes one who is listed as waiting
//! ```
//!
//! A waiter lists itself *before* its exchange; the holder reads the list *after* its own. If the waiter's comes first, the holder
//! sees CONTENDED and the list; if the holder's does, the waiter gets the lock. Whoever got it by waiting leaves
//! CONTENDED behind, so others that wait are not forgotten, whoever comes in between.

use super::atomic::{AtomicU32, Ordering};

/// Nobody has it.
pub const FREE: u32 = 0;
/// Somebody has it.
pub const HELD: u32 = 1;
/// Somebody has it and others may be halted.
pub const CONTENDED: u32 = 2;

/// How this CPU waits for a lock and wakes others.
pub trait Waiting {
    /// Lists this CPU as waiting for the lock with this identity.
    fn begin(&self, lock: usize);
    /// Waits until it is woken; may return without a reason.
    fn wait(&self);
    /// Takes it off the list.
    fn end(&self);
    /// Wakes one CPU that is listed as waiting for this lock.
    fn wake_one(&self, lock: usize);
}

/// The lock.
#[derive(Debug)]
pub struct RawLock {
    /// One of the constants above.
    pub(super) state: AtomicU32,
}

impl RawLock {
    fn identity(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> bool {
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Whether it looks free.
    pub fn looks_free(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FREE
    }

    /// Takes the lock, waiting as long as it takes.
    pub fn lock_waiting(&self, waiting: &impl Waiting) {
        waiting.begin(self.identity());
        while self.state.swap(CONTENDED, Ordering::AcqRel) != FREE {
            waiting.wait();
        }
        waiting.end();
    }

    /// Gives the lock back.
    pub fn unlock(&self, waiting: &impl Waiting) {
        // After the exchange the lock may be gone, with whatever it was part of; its identity is only compared.
        let identity = self.identity();
        if self.state.swap(FREE, Ordering::AcqRel) == CONTENDED {
            waiting.wake_one(identity);
        }
    }
}
