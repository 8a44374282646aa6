//! What the other end of a connection may reach of a socket: whom to wake, and an error to tell.

use crate::fs::owner::Owner;
use crate::wait::WaitQueue;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// The part of a socket that others know.
#[derive(Debug, Default)]
pub struct Shared {
    /// Woken when what can be done with the socket changes.
    pub queue: WaitQueue,
    error: Mutex<Option<Errno>>,
    /// Whether there is one, so that looking is cheap.
    has_error: AtomicBool,
    /// A connection of TCP was reset before its other end had finished: what is to be received ends with an error.
    pub is_cut: AtomicBool,
    /// An urgent byte is one like the others (SO_OOBINLINE).
    pub has_urgent_inline: AtomicBool,
    /// Who is told of urgent data.
    pub owner: Mutex<Owner>,
}

impl Shared {
    /// Notes an error that the program is told once, and wakes.
    pub fn fail(&self, errno: Errno) {
        *self.error.lock() = Some(errno);
        self.has_error.store(true, Ordering::SeqCst);
        self.queue.wake_all();
    }

    /// Tells the owner of urgent data.
    pub fn tell_urgent(&self) {
        let owner = *self.owner.lock();
        owner.tell_urgent();
    }

    /// The error, told once.
    pub fn take_error(&self) -> Option<Errno> {
        if !self.has_error() {
            return None;
        }
        self.has_error.store(false, Ordering::SeqCst);
        self.error.lock().take()
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_error(&self) -> bool {
        self.has_error.load(Ordering::SeqCst)
    }
}
