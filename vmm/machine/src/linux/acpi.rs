//! The ACPI tables of a Linux guest (ACPI 6.5), made by `acpi_tables`.
//!
//! ```text
//! RSDP ─► XSDT ─┬► FADT ─► DSDT   \_SB.PCI0 host bridge, \_SB.COM1 serial port, \_SB.ECAM reserved space, \_S5 soft off
//!               ├► MADT           a local APIC for each processor, the I/O APIC
//!               └► MCFG           configuration space
//! ```
//!
//! The hardware-reduced profile (section 4.1): no PM timer, no SCI, no legacy interrupt controller. Devices interrupt by messages, so the bridge
//! routes no pins; the serial port alone has a pin.

use super::kernel::LinuxError;
use super::layout::{ACPI, IO_APIC, RESET_PORT, RESET_VALUE, SERIAL, SERIAL_LINE, SLEEP_OFF, SLEEP_PORT};
use crate::guest::write_bytes;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Memory32Fixed, Name, Package, Path,
    ResourceTemplate, Scope,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace as Space, GAS};
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, aml::ZERO};
use septum_abi::layout::{ECAM_BASE, ECAM_SIZE, HIGH_PCI_WINDOW, LAPIC_BASE, PCI_WINDOW};
use septum_memory::GuestRam;

const OEM: [u8; 6] = *b"SEPTUM";
const TABLE: [u8; 8] = *b"PARTITN ";
const REVISION: u32 = 1;
/// A table begins at a multiple of this.
const ALIGNMENT: u64 = 16;
/// FADT: neither VGA, nor a clock with CMOS memory, nor a keyboard controller (section 5.2.9.3).
const NO_LEGACY: u16 = 1 << 2 | 1 << 5;

/// Tables one after the other in memory.
struct Place<'a> {
    ram: &'a GuestRam,
    free: u64,
}

impl Place<'_> {
    fn put(&mut self, table: &dyn Aml) -> Result<u64, LinuxError> {
        let mut bytes = Vec::new();
        table.to_aml_bytes(&mut bytes);
        self.put_bytes(&bytes)
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Result<u64, LinuxError> {
        let start = self.free.next_multiple_of(ALIGNMENT);
        let end = start + bytes.len() as u64;
        if end > ACPI.end {
            return Err(LinuxError::Structures);
        }
        write_bytes(self.ram, start, bytes).map_err(|_| LinuxError::Structures)?;
        self.free = end;
        Ok(start)
    }
}

/// Writes the tables of a machine with this many processors.
///
/// # Errors
/// They do not fit.
pub fn write(ram: &GuestRam, cpus: u32) -> Result<(), LinuxError> {
    let mut place = Place { ram, free: ACPI.start + Rsdp::len() as u64 };
    let dsdt = place.put_bytes(dsdt().as_slice())?;
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    xsdt.add_entry(place.put(&fadt(dsdt))?);
    xsdt.add_entry(place.put(&madt(cpus))?);
    let mut mcfg = MCFG::new(OEM, TABLE, REVISION);
    mcfg.add_ecam(ECAM_BASE, 0, 0, 0);
    xsdt.add_entry(place.put(&mcfg)?);
    let xsdt = place.put(&xsdt)?;
    place.free = ACPI.start;
    place.put(&Rsdp::new(OEM, xsdt)).map(|_| ())
}

fn register(port: u16) -> GAS {
    GAS::new(Space::SystemIo, 8, 0, AccessSize::ByteAccess, u64::from(port))
}

fn fadt(dsdt: u64) -> impl Aml {
    let mut fadt = FADTBuilder::new(OEM, TABLE, REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        // No buttons.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    fadt.reset_reg = register(RESET_PORT);
    fadt.reset_value = RESET_VALUE;
    fadt.sleep_control_reg = register(SLEEP_PORT);
    fadt.sleep_status_reg = register(SLEEP_PORT);
    fadt.iapc_boot_arch = NO_LEGACY.into();
    fadt.finalize()
}

fn madt(cpus: u32) -> MADT {
    let address = u32::try_from(LAPIC_BASE).unwrap_or(0);
    let mut madt = MADT::new(OEM, TABLE, REVISION, LocalInterruptController::Address(address));
    for number in (0..cpus).filter_map(|number| u8::try_from(number).ok()) {
        madt.add_structure(ProcessorLocalApic::new(number, number, EnabledStatus::Enabled));
    }
    madt.add_structure(IoApic::new(0, IO_APIC, 0));
    madt
}

fn dsdt() -> Sdt {
    let low = |address: u64| u32::try_from(address).unwrap_or(0);
    let nothing = ZERO;
    let bridge_id = Name::new(Path::new("_HID"), &EISAName::new("PNP0A08"));
    let bridge_compatible = Name::new(Path::new("_CID"), &EISAName::new("PNP0A03"));
    let number = Name::new(Path::new("_UID"), &nothing);
    let segment = Name::new(Path::new("_SEG"), &nothing);
    let bus = Name::new(Path::new("_BBN"), &nothing);
    let buses = AddressSpace::new_bus_number(0_u16, 0_u16);
    let ports = IO::new(0xcf8, 0xcf8, 1, 8);
    let small = AddressSpace::new_memory(
        AddressSpaceCacheable::NotCacheable,
        true,
        low(PCI_WINDOW.start),
        low(PCI_WINDOW.end - 1),
        None,
    );
    let large = AddressSpace::new_memory(
        AddressSpaceCacheable::Cacheable,
        true,
        HIGH_PCI_WINDOW.start,
        HIGH_PCI_WINDOW.end - 1,
        None,
    );
    let windows = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&buses, &ports, &small, &large]));
    let bridge = Device::new(
        Path::new("PCI0"),
        vec![&bridge_id, &bridge_compatible, &number, &segment, &bus, &windows],
    );

    let serial_id = Name::new(Path::new("_HID"), &EISAName::new("PNP0501"));
    let pin = Interrupt::new(true, true, false, false, SERIAL_LINE);
    let registers = IO::new(SERIAL.start, SERIAL.start, 1, 8);
    let serial_resources = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&pin, &registers]));
    let serial = Device::new(Path::new("COM1"), vec![&serial_id, &number, &serial_resources]);

    let board_id = Name::new(Path::new("_HID"), &EISAName::new("PNP0C02"));
    let space = Memory32Fixed::new(true, low(ECAM_BASE), low(ECAM_SIZE));
    let board_resources = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&space]));
    let board = Device::new(Path::new("ECAM"), vec![&board_id, &number, &board_resources]);

    let devices = Scope::new(Path::new("_SB_"), vec![&bridge, &serial, &board]);
    let off = Name::new(Path::new("_S5_"), &Package::new(vec![&SLEEP_OFF, &0_u8, &0_u8, &0_u8]));
    let mut bytes = Vec::new();
    devices.to_aml_bytes(&mut bytes);
    off.to_aml_bytes(&mut bytes);
    let mut dsdt = Sdt::new(*b"DSDT", 36, 2, OEM, TABLE, REVISION);
    dsdt.append_slice(&bytes);
    dsdt
}

#[cfg(test)]
mod tests {
    use super::*;
    use septum_memory::Pages;
    use vm_memory::{Bytes as _, GuestAddress};

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// The table at an address, whose sum is zero.
    fn table(ram: &GuestRam, address: u64, signature: &[u8]) -> Vec<u8> {
        let length: u32 = ram.read_obj(GuestAddress(address + 4)).unwrap();
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        ram.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        assert_eq!(&bytes[..4], signature);
        assert_eq!(bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0, "{signature:?}");
        bytes
    }

    #[test]
    fn the_tables_lead_from_the_root_to_every_processor() {
        for cpus in [1, 2, crate::linux::cpu::MOST] {
            let ram = septum_memory::allocate(16 << 20, Pages::Ordinary).unwrap();
            write(&ram, cpus).unwrap();
            let mut root = [0; 36];
            ram.read_slice(&mut root, GuestAddress(ACPI.start)).unwrap();
            assert_eq!(&root[..8], b"RSD PTR ");
            assert_eq!(root.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
            let xsdt = table(&ram, word(&root, 24), b"XSDT");
            assert_eq!(xsdt.len(), 36 + 3 * 8);
            let fadt = table(&ram, word(&xsdt, 36), b"FACP");
            table(&ram, word(&fadt, 140), b"DSDT");
            let madt = table(&ram, word(&xsdt, 44), b"APIC");
            assert_eq!(madt.len(), 44 + 8 * usize::try_from(cpus).unwrap() + 12);
            table(&ram, word(&xsdt, 52), b"MCFG");
        }
    }
}
