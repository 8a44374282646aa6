//! What processes may share, each until it goes its own way: memory, descriptors, signal actions.
//!
//! ```text
//! process A ─► Shared ─► Part ◄─ Shared ◄─ process B       clone with CLONE_VM, CLONE_FILES …
//!                                   │
//!                                   └─ then ─► Shared ─► Part of B's own      execve of B
//! ```
//!
//! A [`Shared`] lends what it stands for without a lock and without counting, because every system call needs it; so a part
//! that was once lent stays where it is until its process is gone. What is *in* it goes with its last user, who is told ([`Shared::leave`]).

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use septum_guest_hal::sync::Once;

struct Part<T> {
    value: T,
    /// Unlike any other part's.
    id: u32,
    /// Processes that use it.
    users: AtomicU32,
}

/// A process's part of something.
pub struct Shared<T> {
    part: Arc<Part<T>>,
    has_left: AtomicBool,
    /// What it uses instead.
    then: Once<Box<Self>>,
}

impl<T> Shared<T> {
    /// Its own.
    #[must_use]
    pub fn new(value: T) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let part = Part { value, id, users: AtomicU32::new(1) };
        Self { part: Arc::new(part), has_left: AtomicBool::new(false), then: Once::new() }
    }

    fn current(&self) -> &Self {
        let mut current = self;
        while let Some(then) = current.then.get() {
            current = then;
        }
        current
    }

    /// Another process's use of the same.
    #[must_use]
    pub fn share(&self) -> Self {
        let part = Arc::clone(&self.current().part);
        part.users.fetch_add(1, Ordering::AcqRel);
        Self { part, has_left: AtomicBool::new(false), then: Once::new() }
    }

    /// A number that tells it from everything else of its kind.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.current().part.id
    }

    /// Whether another process uses it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.current().part.users.load(Ordering::Acquire) > 1
    }

    /// Goes on with one of its own. Only the process itself does that, in one thread at a time.
    pub fn replace(&self, value: T) {
        let current = self.current();
        let own = Box::new(Self::new(value));
        current.then.call_once(|| own);
        let _ = current.give_up();
    }

    fn give_up(&self) -> bool {
        !self.has_left.swap(true, Ordering::AcqRel) && self.part.users.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The process is done with it. True, once, if nobody uses it any more.
    #[must_use]
    pub fn leave(&self) -> bool {
        self.current().give_up()
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.current().part.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_user_is_told_and_who_went_its_own_way_is_none() {
        let first = Shared::new(1);
        let second = first.share();
        assert!(first.is_shared() && first.id() == second.id());
        second.replace(2);
        assert!(!first.is_shared() && (*first, *second) == (1, 2) && first.id() != second.id());
        let third = second.share();
        assert!(first.leave() && !first.leave());
        assert!(!second.leave() && third.leave());
    }
}
