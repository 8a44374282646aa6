//! PCI functions of the host on the guest's bus: VFIO on one side, KVM on the other.
//!
//! ```text
//!   Function (VFIO) ── BARs ──► memory slots (KVM)
//!        ▲       └──── MSI ──► events ──► lines (KVM)
//!        └── registers ── PassedFunction ◄── exits
//! ```

use crate::machine::MachineError;
use septum_devices::passthrough::{Bar, HostFunction, Kind, Lines, PassedFunction};
use septum_devices::pci::msix::Message;
use septum_devices::pci::{PciBus, PciError};
use septum_hypervisor::Vm;
use septum_vfio::{CONFIGURATION, Function, Interrupts};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};
use vmm_sys_util::eventfd::EventFd;

/// More lines than that KVM may not have.
const LINES: u32 = 1024;
/// A BAR begins on a page of its own, so that a program can have it without its neighbours.
const PAGE: u64 = 4096;
/// Up to here a BAR has its place below 4 GiB, where the guest's kernel reaches it, too: a table of vectors is there.
const SMALL: u64 = 32 << 20;

/// A function, as the adapter asks for it.
struct Host(Function);

fn region(bar: usize) -> Option<usize> {
    (bar < septum_devices::passthrough::BARS).then_some(bar)
}

fn interrupts(kind: Kind) -> Interrupts {
    match kind {
        Kind::Msi => Interrupts::Msi,
        Kind::MsiX => Interrupts::MsiX,
    }
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

    fn vectors(&self, kind: Kind) -> u32 {
        self.0.vectors(interrupts(kind))
    }

    fn set_interrupts(&self, kind: Kind, events: &[EventFd]) -> io::Result<()> {
        self.0.set_interrupts(interrupts(kind), events)
    }
}

/// The machine's lines.
struct VmLines {
    vm: Arc<Vm>,
    next: AtomicU32,
}

impl Lines for VmLines {
    fn line(&self) -> io::Result<u32> {
        let line = self.next.fetch_add(1, Ordering::Relaxed);
        if line >= LINES {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(line)
    }

    fn connect(&self, line: u32, event: &EventFd) -> io::Result<()> {
        self.vm.connect_line(line, event)
    }

    fn disconnect(&self, line: u32, event: &EventFd) -> io::Result<()> {
        self.vm.disconnect_line(line, event)
    }

    fn route(&self, line: u32, message: Message) -> io::Result<()> {
        self.vm.route_line(line, (message.address, message.data))
    }
}

/// Puts functions on the bus, their BARs into memory. Returns a bit for each device number that they got.
///
/// # Errors
/// There is no room, or the host refused.
pub fn attach(vm: &Arc<Vm>, pci: &PciBus, functions: Vec<Function>) -> Result<u64, MachineError> {
    let lines: Arc<dyn Lines> =
        Arc::new(VmLines { vm: Arc::clone(vm), next: AtomicU32::new(vm.first_line()) });
    let mut numbers = 0;
    for function in functions {
        let name = function.name().to_owned();
        let bus = |error| MachineError::Function(name.clone(), io::Error::other(error));
        let host = Arc::new(Host(function));
        let place = |index: usize, bar: Bar, hidden: Range<u64>| -> Result<u64, MachineError> {
            let room = bar.bytes.max(PAGE);
            let address =
                if bar.is_wide && room > SMALL { pci.allocate_high(room) } else { pci.allocate(room) };
            let address = address.ok_or_else(|| bus(PciError::WindowFull { size: bar.bytes }))?;
            map_bar(vm, &host.0, index, address, &hidden)
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

/// Gives the guest what can be mapped of a BAR that begins at `address`, but for the pages with what is `hidden`.
fn map_bar(vm: &Vm, function: &Function, index: usize, address: u64, hidden: &Range<u64>) -> io::Result<()> {
    for part in function.region(index).mappable.iter().flat_map(|part| without(part, hidden)) {
        let mapping = function.map(index, &part)?;
        let region = GuestRegionMmap::new(mapping, GuestAddress(address + part.start));
        let region = region.ok_or(io::ErrorKind::InvalidInput)?;
        let memory = GuestMemoryMmap::from_regions(vec![region]).map_err(io::Error::other)?;
        vm.add_device_memory(&memory).map_err(io::Error::other)?;
    }
    Ok(())
}

/// What is left of whole pages without those of `hidden`.
fn without(part: &Range<u64>, hidden: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let (first, end) = if hidden.is_empty() {
        (part.end, part.end)
    } else {
        (hidden.start & !(PAGE - 1), hidden.end.saturating_add(PAGE - 1) & !(PAGE - 1))
    };
    let pieces = [part.start..first.min(part.end), end.max(part.start)..part.end];
    pieces.into_iter().filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn pages_of_a_table_are_left_out() {
        let left = |part, hidden| without(&part, &hidden).collect::<Vec<_>>();
        assert_eq!(left(0..0x4000, 0x2000..0x2410), [0..0x2000, 0x3000..0x4000]);
        assert_eq!(left(0..0x4000, 0..0x10).as_slice(), std::slice::from_ref(&(0x1000..0x4000)));
        assert_eq!(left(0..0x4000, 0x3ff0..0x4000).as_slice(), std::slice::from_ref(&(0..0x3000)));
        assert_eq!(left(0..0x4000, 0..0).as_slice(), std::slice::from_ref(&(0..0x4000)));
        assert_eq!(left(0x1000..0x2000, 0x1800..0x1810), []);
        assert_eq!(
            left(0x1000..0x2000, 0x3000..u64::MAX).as_slice(),
            std::slice::from_ref(&(0x1000..0x2000))
        );
    }
}
