//! VFIO, and nothing but VFIO: the only crate that makes its ioctls (Linux, Documentation/driver-api/vfio.rst).
//!
//! ```text
//!   sysfs: driver, group ──► Container ──────────► IOMMU: what the functions reach of memory (pin)
//!                               └ group ─► Function ─► configuration space, BARs, interrupts, reset
//! ```
//!
//! Everything is opened at once ([`open`]), while the host's `/dev` and `/sys` are there. What is open then works without them, and
//! without privileges but for [`Container::pin`]. When the process ends, however it ends, the kernel takes bus mastering from the functions,
//! resets those that can be, and frees their groups: nothing here has to be undone.
//!
//! A function that is used by several partitions one after the other keeps between them what its reset does not clear.
#![allow(unsafe_code, reason = "VFIO's ioctls, and mappings of BARs")]

mod container;
mod error;
mod function;
mod ioctl;
mod region;
mod sysfs;

pub use container::{Container, open};
pub use error::VfioError;
pub use function::{CONFIGURATION, Function, Interrupts};
pub use region::Region;
