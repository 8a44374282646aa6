//! Locks of the guest kernel.
//!
//! One name for every layer above, so that how a waiter waits is decided here. A holder may wait for a
//! device; it must not hold the lock of something that an interrupt handler needs (handlers take no locks).

pub use spin::{Mutex, MutexGuard, Once, RwLock};
