//! One PCI bus, as a guest without firmware finds it: devices present, BARs assigned, decoding enabled.
//!
//! ```text
//!  bus ─────────► finds the function that owns an address; nothing else
//!   └ function ─► adapter: locks, interrupts, ioeventfds     (virtio::transport, passthrough, host_bridge)
//!       ├ config ─► model of 256 bytes of registers: BAR sizing, capability list, command register
//!       └ msix ───► model of the MSI-X table and its pending bits
//! ```
//!
//! The host plays the firmware's part, so that our own guest kernel never writes a BAR. A guest that does it all
//! again (Linux) may: sizing, moving and disabling work as on hardware. Every access has a defined answer: absent
//! functions read as ones, registers that do not exist as zeros, and writes that make no sense change nothing.

mod address;
mod bus;
mod config;
mod function;
mod host_bridge;
pub mod msix;
mod port_access;

pub use address::PciAddress;
pub use bus::{PciBus, PciError};
pub use config::{CapabilityError, ConfigSpace, Identity, MemoryBar};
pub use function::PciFunction;
pub use port_access::{CONFIG_ADDRESS_PORT, CONFIG_DATA_PORT};
