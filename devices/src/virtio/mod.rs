//! Virtio 1.2 devices behind a PCI transport.
//!
//! ```text
//!  transport  registers: features, status, queue addresses, vectors, doorbells      (vCPU threads)
//!      │ activate(rings) / reset
//!      ▼
//!  VirtioDevice   balloon · block · console · entropy · fs · vsock: the part with the lock
//!      │
//!  worker         waits for kicks and host descriptors, on a device thread
//!      │
//!  ring · chain   one virtqueue; one buffer of it; both treat what they read as hostile
//!      │
//!  interrupt      MSI-X vector of a queue, pending bits
//! ```

pub mod balloon;
pub mod block;
pub(crate) mod chain;
pub mod console;
mod device;
pub mod entropy;
pub mod fs;
mod interrupt;
pub(crate) mod ring;
pub mod transport;
pub mod vsock;
pub(crate) mod worker;

pub use device::{ActivateError, ActivationContext, Attachment, Doorkeeper, VirtioDevice, read_config_bytes};
pub use interrupt::VirtioInterrupt;
pub use ring::{Chain, Ring, Rings};
pub use transport::{QueueSetup, Setup, Up, VirtioPciFunction};

/// Device types (virtio 1.2 chapter 5).
pub mod device_type {
    /// Block device.
    pub const BLOCK: u16 = 2;
    /// Console.
    pub const CONSOLE: u16 = 3;
    /// Entropy.
    pub const ENTROPY: u16 = 4;
    /// Memory balloon.
    pub const BALLOON: u16 = 5;
    /// Sockets.
    pub const SOCKET: u16 = 19;
    /// File system.
    pub const FILE_SYSTEM: u16 = 26;
}
