//! What the machine does for its devices.
//!
//! Two services are enough: sending a message-signalled interrupt, and turning a guest write to an address into an
//! event. The machine implements them with KVM; tests with recorders. Both may be called from any thread, vCPU
//! threads included, and must not call back into the bus.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

use super::GuestMemory;
use std::ops::Range;
use std::os::fd::{BorrowedFd, RawFd};

/// Delivers message-signalled interrupts.
pub trait MsiSender: Send + Sync {
    /// Writes `data` to the interrupt `address`, as the device on the bus would.
    ///
    /// Called by device threads after they put something into a used ring, and by vCPU threads when an unmasking
    /// releases a pending interrupt.
    ///
    /// # Errors
    /// The machine could not deliver it; the caller logs and goes on.
    fn signal(&self, address: u64, data: u32) -> io::Result<()>;
}

/// Turns guest writes into events without leaving the kernel.
pub trait KickRegistrar: Send + Sync {
    /// From now on a guest write of any width and value to guest-physical `address` signals `fd`, and does not reach
    /// [`PciBus::mmio_write`](crate::pci::PciBus::mmio_write). An implementation may also do nothing: the bus handles
    /// a write that does reach it in the same way, only slower.
    ///
    /// Called when a virtio device is added, and when the guest moves its BAR.
    ///
    /// # Errors
    /// The address cannot be registered; the device stays usable through `mmio_write`.
    fn register(&self, fd: &EventFd, address: u64) -> io::Result<()>;

    /// Undoes a successful `register` with the same arguments.
    ///
    /// # Errors
    /// The pair was not registered.
    fn unregister(&self, fd: &EventFd, address: u64) -> io::Result<()>;
}

/// Maps files of the host into guest-physical memory.
///
/// What it is asked for comes from the guest, unchecked: places, lengths and offsets. An implementation refuses what is not
/// wholly within the window, and bounds the number of the host's mappings.
pub trait FileWindow: Send + Sync {
    /// Where the window is, guest-physical: a power of two of bytes, aligned to it.
    fn place(&self) -> Range<u64>;

    /// Maps `len` bytes from `offset` on of `file` at `at` in the window; what was there is replaced.
    ///
    /// # Errors
    /// The request makes no sense, or the host refused.
    fn map(&self, at: u64, len: u64, file: RawFd, offset: u64, is_writable: bool) -> io::Result<()>;

    /// Puts a copy of `len` bytes from `offset` on of `file` at `at` in the window, read-only, in pieces as large as the host has.
    ///
    /// # Errors
    /// As for [`map`](Self::map), or the file is shorter, or somebody has it open for writing. There is what was there, or nothing.
    fn copy(&self, at: u64, len: u64, file: BorrowedFd<'_>, offset: u64) -> io::Result<()>;

    /// Whether nobody has `file`, which is open for reading, open for writing, as far as the host lets this process know.
    fn lies_still(&self, file: BorrowedFd<'_>) -> bool;

    /// Makes `len` bytes at `at` in the window hold nothing.
    ///
    /// # Errors
    /// As for [`map`](Self::map).
    fn unmap(&self, at: u64, len: u64) -> io::Result<()>;
}

/// Gives guest memory host memory ahead of its use.
pub trait MemoryPopulator: Send + Sync {
    /// Makes `len` bytes of guest memory from `start` on present. What they hold stays. Both come from the guest, unchecked.
    ///
    /// # Errors
    /// It is no guest memory, or the host refused; nothing depends on it.
    fn populate(&self, start: u64, len: u64) -> io::Result<()>;
}

/// Everything that a device bus needs of its machine.
#[derive(Clone)]
pub struct HostServices {
    /// Guest RAM.
    pub memory: GuestMemory,
    /// Interrupts.
    pub msi: Arc<dyn MsiSender>,
    /// Doorbells.
    pub kicks: Arc<dyn KickRegistrar>,
}
