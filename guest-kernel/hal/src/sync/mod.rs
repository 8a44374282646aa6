//! Locks of the guest kernel.
//!
//! A holder may be a vCPU whose host thread was preempted, or one that has halted until a device answers. So a waiter looks a few times and
//! then halts; the holder wakes it. [`raw`] is the protocol, [`waiting`] how vCPUs carry it out.
//!
//! Interrupt handlers take no locks.

mod atomic {
    pub use core::sync::atomic::{AtomicU32, Ordering};
}
mod mutex;
mod once;
mod raw;
mod waiting;

pub use mutex::{Mutex, MutexGuard};
pub use once::Once;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn holders_that_sleep_exclude_waiters_that_halt() {
        let (mutex, inside) = (Mutex::new(0u32), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let mut value = mutex.lock();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        *value += 1;
                        if round % 20 == 0 {
                            std::thread::sleep(std::time::Duration::from_micros(300));
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(*mutex.lock(), 1600);
    }

    #[test]
    fn a_lock_that_is_held_stays_so_when_others_try() {
        let mutex = Mutex::new(1);
        let guard = mutex.lock();
        assert!(mutex.try_lock().is_none());
        assert!(mutex.try_lock().is_none());
        drop(guard);
        assert!(mutex.try_lock().is_some());
        assert!(mutex.try_lock().is_some());
    }

    #[test]
    fn a_value_is_made_once() {
        let (once, made) = (Once::new(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(*once.call_once(|| made.fetch_add(1, Ordering::SeqCst)), 0));
            }
        });
        assert_eq!((once.get(), made.into_inner()), (Some(&0), 1));
    }
}
