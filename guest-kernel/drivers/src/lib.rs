//! Drivers of the guest kernel: the PCI bus and the virtio devices on it.
//!
//! ```text
//! discover ── pci ── virtio::transport ──┬── virtio::console   standard streams
//!                                        ├── virtio::fs        files of the host
//!                                        └── virtio::entropy   random bytes
//!                          virtio::queue under each
//! ```
//!
//! To the kernel proper a device is a `File` or an `Inode`. Time is counted in register accesses (each may leave the virtual
//! machine, 10 to 30 µs) and in instructions (ring 0 may be emulated, 0.7 µs each): nothing is probed that the boot
//! page says is absent, nothing is set up that is not used, and data moves between the device and the
//! program's pages without passing through the kernel.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod pci;
pub mod platform;
#[cfg(test)]
mod testing;
pub mod virtio;

use crate::pci::Function;
use crate::virtio::console::Console;
use crate::virtio::entropy::Entropy;
use crate::virtio::fs::FuseFileSystem;
use crate::virtio::transport::{self, Transport, TransportError, device_type};
use alloc::sync::Arc;

/// The devices of the partition. Console and file system are up; the entropy device, which the boot page's seed makes superfluous at
/// the start, is brought up when it is first asked for.
#[derive(Default)]
pub struct Devices {
    /// The standard streams.
    pub console: Option<Arc<Console>>,
    /// Directories of the host.
    pub file_system: Option<Arc<FuseFileSystem>>,
    entropy: Option<Function>,
}

/// Finds the devices at the given bits of the boot page's bitmap (`BootPage::{ecam_base, pci_devices}`) and brings them up.
///
/// A device that cannot be used is left out, and told to `failed` with its virtio device type.
pub fn discover(ecam_base: u64, pci_devices: u32, mut failed: impl FnMut(u16, TransportError)) -> Devices {
    let mut devices = Devices::default();
    for function in pci::functions(ecam_base, pci_devices) {
        let Some(kind) = transport::type_of(&function) else { continue };
        let result = match kind {
            device_type::CONSOLE => start(&function, Console::start).map(|it| devices.console = Some(it)),
            device_type::FILE_SYSTEM => {
                start(&function, FuseFileSystem::start).map(|it| devices.file_system = Some(it))
            }
            device_type::ENTROPY => {
                devices.entropy = Some(function);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            failed(kind, error);
        }
    }
    devices
}

fn start<T>(
    function: &Function,
    bring_up: impl FnOnce(&Transport) -> Result<T, TransportError>,
) -> Result<Arc<T>, TransportError> {
    bring_up(&Transport::probe(function)?).map(Arc::new)
}

impl Devices {
    /// Brings the entropy device up, if there is one.
    #[must_use]
    pub fn entropy(&self) -> Option<Result<Entropy, TransportError>> {
        let function = self.entropy.as_ref()?;
        Some(Transport::probe(function).and_then(|transport| Entropy::start(&transport)))
    }
}
