//! What every device shares: guest memory, the services of the machine, device threads, counted traffic and misbehaviour.

mod misbehaviour;
mod pace;
mod services;
mod thread;
mod traffic;

pub use misbehaviour::{Fault, Misbehaviour};
pub(crate) use pace::Pace;
pub use services::{FileWindow, HostServices, KickRegistrar, MemoryPopulator, MsiSender};
pub use thread::{DeviceThread, DeviceThreadHandle, Subscriber};
pub use traffic::{Traffic, TrafficCount};

/// Guest RAM as one layout of mapped regions.
pub type GuestRegions = vm_memory::GuestMemoryMmap<()>;

/// Guest RAM as devices hold it: a handle through which the machine may later replace the layout.
pub type GuestMemory = vm_memory::GuestMemoryAtomic<GuestRegions>;

/// A snapshot of the layout, kept alive while a device works on guest memory.
pub type GuestMemoryGuard = vm_memory::atomic::GuestMemoryLoadGuard<GuestRegions>;

/// How long a device thread may watch a queue before it sleeps. Waking a thread costs tens of microseconds, and a
/// guest that waits for one request usually sends the next one at once; with a single processor, though, watching
/// only keeps the guest from running.
#[must_use]
pub fn spin_limit() -> std::time::Duration {
    let has_company = std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
    std::time::Duration::from_micros(if has_company { 20 } else { 0 })
}

/// A device's position that came out of guest-controlled arithmetic, as an index; never truncates.
pub(crate) fn index(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

/// Locks, also after another thread panicked while holding the lock: one broken device must not take others along.
pub(crate) fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
