//! Drivers of the guest kernel: the PCI bus and the virtio devices on it.
//!
//! ```text
//! discover ── pci ── virtio::transport ──┬── virtio::console   standard streams
//!                                        ├── virtio::fs        files of the host
//!                                        ├── virtio::entropy   random bytes
//!                                        ├── virtio::block     disks
//!                                        ├── virtio::vsock     the way out of the partition
//!                                        └── virtio::balloon   free memory goes back to the host
//!                          virtio::queue under each
//! passthrough ── pci                      functions of the host, for programs to drive
//! ```
//!
//! To the kernel proper a device is a `File` or an `Inode`. Time is counted in register accesses (each may leave the virtual
//! machine, 10 to 30 µs) and in instructions (ring 0 may be emulated, 0.7 µs each): nothing is probed that the boot
//! page says is absent, nothing is set up that is not used, and data moves between the device and the
//! program's pages without passing through the kernel.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod passthrough;
pub mod pci;
pub mod platform;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, missing_docs, reason = "for tests")]
pub mod testing;
pub mod virtio;

use crate::pci::{Function, Place};
use crate::virtio::balloon::Balloon;
use crate::virtio::block::OnTheBus;
use crate::virtio::console::Console;
use crate::virtio::entropy::Entropy;
use crate::virtio::fs::FuseFileSystem;
use crate::virtio::ready::Ready;
use crate::virtio::transport::{self, Transport, TransportError, device_type};
use crate::virtio::vsock::Vsock;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::ready::ReadyDevice;
use septum_guest_core::fs::pci as pci_files;

/// The devices of the partition. Console and file system are up; those on the bus are looked for when they are first asked for.
#[derive(Default)]
pub struct Devices {
    /// The standard streams.
    pub console: Option<Arc<Console>>,
    /// Directories of the host.
    pub file_system: Option<Arc<FuseFileSystem>>,
    on_bus: OnBus,
}

/// Where to look for devices that are not ready.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnBus {
    ecam_base: u64,
    /// Bit N: 00:N.0 is there, and not ready.
    functions: u32,
    /// Bit N: 00:N.0 is a function of the host.
    passed: u32,
}

impl OnBus {
    /// The first virtio device of a type.
    #[must_use]
    pub fn find(&self, kind: u16) -> Option<Function> {
        self.find_all(kind).next()
    }

    /// The virtio devices of a type, in their order on the bus.
    pub fn find_all(&self, kind: u16) -> impl Iterator<Item = Function> {
        let functions = pci::functions(self.ecam_base, self.functions);
        functions.filter(move |function| transport::type_of(function) == Some(kind))
    }
}

/// Takes over the devices that are ready, and remembers where others are (`BootPage::{ready, ecam_base, pci_devices, passed_functions}`).
///
/// A device that cannot be used is left out, and told to `failed` with its virtio device type.
pub fn discover(
    ready: &[ReadyDevice],
    ecam_base: u64,
    (pci_devices, passed): (u32, u32),
    mut failed: impl FnMut(u32, TransportError),
) -> Devices {
    let on_bus = OnBus { ecam_base, functions: pci_devices & !passed, passed };
    let mut devices = Devices { on_bus, ..Devices::default() };
    for (place, ready) in ready.iter().enumerate() {
        let Some(transport) = Ready::at(place, ready).map(Transport::Ready) else { continue };
        devices.on_bus.functions &= !1_u32.checked_shl(ready.number).unwrap_or(0);
        let result = match u16::try_from(ready.kind) {
            Ok(device_type::CONSOLE) => {
                Console::start(&transport).map(|console| devices.console = Some(Arc::new(console)))
            }
            Ok(device_type::FILE_SYSTEM) => {
                let place = Place { ecam_base, device: ready.number };
                FuseFileSystem::start(&transport, Some(place))
                    .map(|host| devices.file_system = Some(Arc::new(host)))
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            failed(ready.kind, error);
        }
    }
    devices
}

impl Devices {
    /// Brings the entropy device up, if there is one: the boot page's seed makes it superfluous at the start.
    #[must_use]
    pub fn entropy(&self) -> Option<Result<Entropy, TransportError>> {
        let function = self.on_bus.find(device_type::ENTROPY)?;
        Some(Transport::probe(&function).and_then(|transport| Entropy::start(&transport)))
    }

    /// The disks, of which there are `count`; each is brought up when it is first opened.
    #[must_use]
    pub fn disks(&self, count: u8) -> OnTheBus {
        OnTheBus::new(self.on_bus, count)
    }

    /// The functions of the host, for programs to drive.
    #[must_use]
    pub fn passed(&self) -> Vec<Box<dyn pci_files::Function>> {
        passthrough::functions(self.on_bus.ecam_base, self.on_bus.passed)
    }

    /// The balloon, which is looked for and brought up when there is something to report.
    #[must_use]
    pub fn balloon(&self) -> Balloon {
        Balloon::new(self.on_bus)
    }

    /// The socket device, which is looked for and brought up when a socket needs it.
    #[must_use]
    pub fn vsock(&self) -> Vsock {
        Vsock::new(self.on_bus)
    }
}
