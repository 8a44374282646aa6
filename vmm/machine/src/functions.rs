//! PCI functions of the host on the guest's bus: VFIO on one side, KVM on the other.
//!
//! ```text
//!   Function (VFIO) ── BARs ──► memory slots (KVM)
//!        ▲       └──── MSI ──► events ──► lines (KVM)
//!        └── registers ── PassedFunction ◄── exits
//! ```

use crate::machine::MachineError;
use septum_devices::passthrough::{Bar, HostFunction, Lines, PassedFunction};
use septum_devices::pci::msix::Message;
use septum_devices::pci::{PciBus, PciError};
use septum_hypervisor::Vm;
use septum_vfio::{CONFIGURATION, Function};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};
use vmm_sys_util::eventfd::EventFd;

/// More lines than that KVM may not have.
const LINES: u32 = 1024;
/// A BAR begins on a page of its own, so that a program can have it without its neighbours.
const PAGE: u64 = 4096;

/// A function, as the adapter asks for it.
struct Host(Function);

fn region(bar: usize) -> Option<usize> {
    (bar < septum_devices::passthrough::BARS).then_some(bar)
}

impl HostFunction for Host {
    fn config_read(&self, register: u64, data: &mut [u8]) {
        self.0.read(CONFIGURATION, register, data);
    }

    fn config_write(&self, register: u64, data: &[u8]) {
        self.0.write(CONFIGURATION, register, data);
    }

    fn bar_bytes(&self, bar: usize) -> u64 {
        region(bar).map_or(0, |region| self.0.region(region).bytes)
    }

    fn bar_read(&self, bar: usize, offset: u64, data: &mut [u8]) {
        match region(bar) {
            Some(region) => self.0.read(region, offset, data),
            None => data.fill(0xff),
        }
    }

    fn bar_write(&self, bar: usize, offset: u64, data: &[u8]) {
        if let Some(region) = region(bar) {
            self.0.write(region, offset, data);
        }
    }

    fn msi_vectors(&self) -> u32 {
        self.0.msi_vectors()
    }

    fn set_msi(&self, events: &[EventFd]) -> io::Result<()> {
        self.0.set_msi(events)
    }
}

/// The machine's lines.
struct VmLines {
    vm: Arc<Vm>,
    next: AtomicU32,
}

impl Lines for VmLines {
    fn connect(&self, event: &EventFd) -> io::Result<u32> {
        let line = self.next.fetch_add(1, Ordering::Relaxed);
        if line >= LINES {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.vm.connect_line(line, event).map(|()| line)
    }

    fn route(&self, line: u32, message: Option<Message>) -> io::Result<()> {
        self.vm.route_line(line, message.map(|message| (message.address, message.data)))
    }
}

/// Puts functions on the bus, their BARs into memory. Returns a bit for each device number that they got.
///
/// # Errors
/// There is no room, or the host refused.
pub fn attach(vm: &Arc<Vm>, pci: &PciBus, functions: Vec<Function>) -> Result<u64, MachineError> {
    let lines: Arc<dyn Lines> = Arc::new(VmLines { vm: Arc::clone(vm), next: AtomicU32::new(0) });
    let mut numbers = 0;
    for function in functions {
        let name = function.name().to_owned();
        let bus = |error| MachineError::Function(name.clone(), io::Error::other(error));
        let host = Arc::new(Host(function));
        let place = |index: usize, bar: Bar| -> Result<u64, MachineError> {
            let room = bar.bytes.max(PAGE);
            let address = if bar.is_wide { pci.allocate_high(room) } else { pci.allocate(room) };
            let address = address.ok_or_else(|| bus(PciError::WindowFull { size: bar.bytes }))?;
            map_bar(vm, &host.0, index, address)
                .map_err(|error| MachineError::Function(name.clone(), error))?;
            Ok(address)
        };
        let passed =
            PassedFunction::new(Arc::clone(&host) as Arc<dyn HostFunction>, Arc::clone(&lines), place)?;
        let address = pci.add_function(Arc::new(passed)).map_err(bus)?;
        numbers |= 1_u64 << address.device();
    }
    Ok(numbers)
}

/// Gives the guest what can be mapped of a BAR that begins at `address`.
fn map_bar(vm: &Vm, function: &Function, index: usize, address: u64) -> io::Result<()> {
    for part in function.region(index).mappable {
        let mapping = function.map(index, &part)?;
        let region = GuestRegionMmap::new(mapping, GuestAddress(address + part.start));
        let region = region.ok_or(io::ErrorKind::InvalidInput)?;
        let memory = GuestMemoryMmap::from_regions(vec![region]).map_err(io::Error::other)?;
        vm.add_device_memory(&memory).map_err(io::Error::other)?;
    }
    Ok(())
}
