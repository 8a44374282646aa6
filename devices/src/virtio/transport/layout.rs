//! Where the transport's registers are.
//!
//! ```text
//! BAR0 (64-bit memory, 32 KiB)
//! 0x0000 ┌──────────────────────────┐
//!        │ common configuration     │  64 bytes     virtio 1.2 section 4.1.4.3
//! 0x1000 ├──────────────────────────┤
//!        │ ISR status               │  1 byte       4.1.4.5
//! 0x2000 ├──────────────────────────┤
//!        │ device configuration     │               4.1.4.6
//! 0x3000 ├──────────────────────────┤
//!        │ MSI-X table              │  16 bytes a vector
//! 0x3800 ├──────────────────────────┤
//!        │ MSI-X pending bits       │
//! 0x4000 ├──────────────────────────┤
//!        │ doorbells                │  4 bytes a queue, queue n at 0x4000 + 4 n     4.1.4.4
//! 0x8000 └──────────────────────────┘
//! ```
//!
//! Structures lie on pages of their own, so that a guest may map or trap them separately. Vector 0 is free for the
//! configuration and vector 1 + n for queue n, but drivers may assign them as they like.

/// The BAR that holds everything.
pub const BAR: usize = 0;
/// The BAR of the memory that some devices share with the driver; it does not move.
pub const SHARED_MEMORY_BAR: usize = 2;
/// Size of the BAR with the registers, in bytes.
pub const BAR_SIZE: u64 = 0x8000;

/// Common configuration.
pub const COMMON: u64 = 0x0000;
/// Bytes of the common configuration.
pub const COMMON_SIZE: u64 = 0x40;
/// ISR status.
pub const ISR: u64 = 0x1000;
/// Bytes of the ISR structure.
pub const ISR_SIZE: u64 = 0x4;
/// Device configuration.
pub const DEVICE: u64 = 0x2000;
/// Bytes set aside for the device configuration.
pub const DEVICE_SIZE: u64 = 0x1000;
/// MSI-X table.
pub const MSIX_TABLE: u64 = 0x3000;
/// MSI-X pending bits.
pub const MSIX_PENDING: u64 = 0x3800;
/// Doorbells.
pub const NOTIFY: u64 = 0x4000;
/// Distance between doorbells of consecutive `queue_notify_off` values.
pub const NOTIFY_MULTIPLIER: u32 = 4;

/// Most queues of a device: as many vectors, and one more, as fit the table's place.
pub const MAX_QUEUES: u16 = 127;

/// Which part of the BAR an offset lies in, and where in that part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Common configuration.
    Common(u64),
    /// ISR status.
    Isr(u64),
    /// Device configuration.
    Device(u64),
    /// MSI-X table.
    MsixTable(u64),
    /// MSI-X pending bits.
    MsixPending(u64),
    /// Doorbell of a queue.
    Notify(u64),
    /// Nothing.
    Nowhere,
}

impl Place {
    /// The place of a BAR offset.
    #[must_use]
    pub fn of(offset: u64) -> Self {
        match offset {
            NOTIFY..BAR_SIZE => Self::Notify((offset - NOTIFY) / u64::from(NOTIFY_MULTIPLIER)),
            MSIX_PENDING..NOTIFY => Self::MsixPending(offset - MSIX_PENDING),
            MSIX_TABLE..MSIX_PENDING => Self::MsixTable(offset - MSIX_TABLE),
            DEVICE..MSIX_TABLE => Self::Device(offset - DEVICE),
            ISR..DEVICE => Self::Isr(offset - ISR),
            COMMON..ISR => Self::Common(offset - COMMON),
            _ => Self::Nowhere,
        }
    }
}
