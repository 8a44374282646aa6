//! How vCPUs wait for locks: a table says which lock each waits for, and [`park`] halts.
//!
//! There is nothing to allocate, because the heap has a lock too.

use super::raw::Waiting;
use crate::park::{self, MAX_VCPUS};
use crate::vcpu;
use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The lock that each vCPU waits for; 0: none.
static LOCKS: [AtomicUsize; MAX_VCPUS] = [const { AtomicUsize::new(0) }; MAX_VCPUS];

/// This vCPU's way to wait.
pub struct Vcpus {
    /// A notification was taken that may have been for something else.
    took_notification: Cell<bool>,
}

impl Vcpus {
    pub fn new() -> Self {
        Self { took_notification: Cell::new(false) }
    }
}

fn slot(number: u32) -> &'static AtomicUsize {
    &LOCKS[number as usize % MAX_VCPUS]
}

impl Waiting for Vcpus {
    fn begin(&self, lock: usize) {
        let number = vcpu::current();
        park::make_known(number);
        slot(number).store(lock, Ordering::SeqCst);
    }

    fn wait(&self) {
        if park::park(None) {
            self.took_notification.set(true);
        }
    }

    fn end(&self) {
        let number = vcpu::current();
        slot(number).store(0, Ordering::SeqCst);
        if self.took_notification.get() {
            // Whoever waits for something else and takes a lock in order to look must not halt on that account.
            park::unpark(number);
        }
    }

    // Out of the way of all those who give back a lock that nobody waits for.
    #[cold]
    #[inline(never)]
    fn wake_one(&self, lock: usize) {
        for number in ring(park::known().end, vcpu::current()) {
            if slot(number).load(Ordering::SeqCst) == lock {
                return park::unpark(number);
            }
        }
    }
}

/// All numbers below `end` but `own`, from the one behind it on: if the search always began at the first, the last ones would wait for
/// as long as others keep coming.
fn ring(end: u32, own: u32) -> impl Iterator<Item = u32> {
    (own.saturating_add(1).min(end)..end).chain(0..own.min(end))
}

#[cfg(test)]
mod tests {
    use super::ring;

    #[test]
    fn the_next_one_is_woken_first_and_everybody_once() {
        assert!(ring(5, 2).eq([3, 4, 0, 1]));
        assert!(ring(3, 2).eq([0, 1]));
        assert!(ring(2, 7).eq([0, 1]));
    }
}
