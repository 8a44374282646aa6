//! A value that is made when it is first asked for.

use super::Mutex;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// Empty, then a value for ever.
pub struct Once<T> {
    is_made: AtomicBool,
    making: Mutex<()>,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written once, under the lock, and only shared afterwards.
unsafe impl<T: Send + Sync> Sync for Once<T> {}
// SAFETY: it owns its value.
unsafe impl<T: Send> Send for Once<T> {}

impl<T> Once<T> {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self { is_made: AtomicBool::new(false), making: Mutex::new(()), value: UnsafeCell::new(None) }
    }

    /// The value, if it was made.
    pub fn get(&self) -> Option<&T> {
        if !self.is_made.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: it was made, so nobody writes it any more.
        unsafe { &*self.value.get() }.as_ref()
    }

    /// The value, made by `make` if nobody has made one yet. `make` must not ask for it.
    pub fn call_once(&self, make: impl FnOnce() -> T) -> &T {
        if !self.is_made.load(Ordering::Acquire) {
            let _making = self.making.lock();
            if !self.is_made.load(Ordering::Acquire) {
                let value = make();
                // SAFETY: 1. the lock is held; 2. `is_made` is false, so nobody reads it.
                unsafe { *self.value.get() = Some(value) };
                self.is_made.store(true, Ordering::Release);
            }
        }
        // SAFETY: it was made, so it is there, and nobody writes it any more.
        unsafe { (*self.value.get()).as_ref().unwrap_unchecked() }
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Once").field(&self.get()).finish()
    }
}
