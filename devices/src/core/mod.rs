//! What every device shares: guest memory, the services of the machine, device threads, counted misbehaviour.

mod misbehaviour;
mod services;
mod thread;

pub use misbehaviour::{Fault, Misbehaviour};
pub use services::{HostServices, KickRegistrar, MsiSender};
pub use thread::{DeviceThread, DeviceThreadHandle, Subscriber};

/// Guest RAM as one layout of mapped regions.
pub type GuestRegions = vm_memory::GuestMemoryMmap<()>;

/// Guest RAM as devices hold it: a handle through which the machine may later replace the layout.
pub type GuestMemory = vm_memory::GuestMemoryAtomic<GuestRegions>;

/// A snapshot of the layout, kept alive while a device works on guest memory.
pub type GuestMemoryGuard = vm_memory::atomic::GuestMemoryLoadGuard<GuestRegions>;

/// A device's position that came out of guest-controlled arithmetic, as an index; never truncates.
pub(crate) fn index(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

/// Locks, also after another thread panicked while holding the lock: one broken device must not take others along.
pub(crate) fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
