//! A PCI function of the host: what programs need of it ([`septum_guest_core::fs::pci`]).
//!
//! Where its memory is was decided by the host; how much there is is found out as on any bus, by writing ones to a BAR and reading what
//! stays. Interrupts are MSI or MSI-X, one vector: the lowest.

use crate::pci::{self, Capability};
use crate::platform::{Line, Registers};
use alloc::boxed::Box;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_core::fs::pci::{BARS, Bar, Function};
use septum_guest_hal::address::PhysAddr;
use septum_guest_hal::device_memory::DeviceMemory;
use septum_guest_hal::sync::{Mutex, Once};

const BAR: usize = 0x10;
const MSI: u8 = 0x05;
const MSI_X: u8 = 0x11;
const MSI_X_ENABLE: u16 = 1 << 15;
/// Bytes of an entry of the table of MSI-X.
const ENTRY: usize = 16;
const MSI_ENABLE: u16 = 1;
const MSI_USED: u16 = 0b111 << 4;
const MSI_WIDE: u16 = 1 << 7;
/// Bytes of configuration space.
const BYTES: usize = 4096;

struct Passed {
    function: pci::Function,
    number: u8,
    bars: Once<[Option<Bar>; BARS]>,
    line: Once<Option<Line>>,
    /// Held by whoever writes more than one register.
    changing: Mutex<()>,
}

/// The functions that the boot page's bitmap names.
#[must_use]
pub fn functions(ecam_base: u64, bitmap: u32) -> Vec<Box<dyn Function>> {
    let number = |device: u32| u8::try_from(device).ok().filter(|_| bitmap & 1 << device != 0);
    let find = |number: u8| {
        let function = pci::Place { ecam_base, device: number.into() }.function()?;
        let passed =
            Passed { function, number, bars: Once::new(), line: Once::new(), changing: Mutex::new(()) };
        Some(Box::new(passed) as Box<dyn Function>)
    };
    (0..32).filter_map(number).filter_map(find).collect()
}

impl Passed {
    fn size_bars(&self) -> [Option<Bar>; BARS] {
        let _changing = self.changing.lock();
        let mut bars = [None; BARS];
        let mut index = 0;
        while index < BARS {
            let low = self.function.read(BAR + 4 * index);
            let is_wide = low & 0b111 == 0b100 && index + 1 < BARS;
            bars[index] = self.size_bar(index, low, is_wide);
            index += if is_wide { 2 } else { 1 };
        }
        bars
    }

    fn size_bar(&self, index: usize, low: u32, is_wide: bool) -> Option<Bar> {
        let start = self.function.bar(index)?;
        // What stays of all ones; the address comes back at once.
        let stays = |register: usize, before: u32| {
            self.function.write_u32(register, u32::MAX);
            let stays = self.function.read(register);
            self.function.write_u32(register, before);
            stays
        };
        let at = BAR + 4 * index;
        let mask = if is_wide {
            let high = self.function.read(at + 4);
            u64::from(stays(at, low) & !0xf) | u64::from(stays(at + 4, high)) << 32
        } else {
            u64::from(stays(at, low) & !0xf) | u64::from(u32::MAX) << 32
        };
        let bytes = (!mask).checked_add(1).filter(|bytes| bytes.is_power_of_two())?;
        let memory = DeviceMemory::new(PhysAddr(start.0), bytes)?;
        Some(Bar { memory, bytes, is_wide, is_prefetchable: low & 0b1000 != 0 })
    }

    fn capability(&self, id: u8) -> Option<Capability> {
        self.function.capabilities().find(|capability| capability.id == id)
    }

    /// Turns the first vector of MSI-X on or off.
    fn set_first_vector(&self, message: Option<(u64, u32)>) -> Result<(), Errno> {
        let Capability { offset, .. } = self.capability(MSI_X).ok_or(Errno::ENODEV)?;
        let Some((address, data)) = message else {
            self.function.write_u16(offset + 2, 0);
            return Ok(());
        };
        let place = self.function.read(offset + 4);
        let bar = usize::try_from(place & 0b111).ok().and_then(|bar| self.bar(bar)).ok_or(Errno::ENODEV)?;
        let start = bar.memory.start().0 + u64::from(place & !0b111);
        let entry = Registers::map(PhysAddr(start), ENTRY).ok_or(Errno::ENODEV)?;
        let [low, high] = halves(address);
        for (field, value) in [low, high, data, 0].into_iter().enumerate() {
            entry.write_u32(4 * field, value);
        }
        self.function.write_u16(offset + 2, MSI_X_ENABLE);
        Ok(())
    }
}

fn halves(address: u64) -> [u32; 2] {
    [address & 0xffff_ffff, address >> 32].map(|half| u32::try_from(half).unwrap_or(0))
}

impl Function for Passed {
    fn number(&self) -> u8 {
        self.number
    }

    fn read(&self, register: usize, bytes: &mut [u8]) {
        let mut word = None;
        for (at, byte) in (register..BYTES).zip(bytes) {
            let base = at & !3;
            let value = match word {
                Some((found, value)) if found == base => value,
                _ => self.function.read(base),
            };
            word = Some((base, value));
            *byte = value.to_le_bytes()[at & 3];
        }
    }

    fn write(&self, register: usize, bytes: &[u8]) {
        let _changing = self.changing.lock();
        let (mut at, mut rest) = (register, bytes);
        while at < BYTES {
            let len = match rest {
                [a, b, c, d, ..] if at.is_multiple_of(4) => {
                    self.function.write_u32(at, u32::from_le_bytes([*a, *b, *c, *d]));
                    4
                }
                [a, b, ..] if at.is_multiple_of(2) => {
                    self.function.write_u16(at, u16::from_le_bytes([*a, *b]));
                    2
                }
                [a, ..] => {
                    self.function.write_u8(at, *a);
                    1
                }
                [] => return,
            };
            at += len;
            rest = &rest[len..];
        }
    }

    fn bar(&self, index: usize) -> Option<Bar> {
        self.bars.call_once(|| self.size_bars()).get(index).copied().flatten()
    }

    fn set_interrupting(&self, is_on: bool) -> Result<(), Errno> {
        let line = self.line.call_once(Line::allocate).as_ref().ok_or(Errno::ENODEV)?;
        // Before the lock, which it takes.
        let _ = self.bar(0);
        let _changing = self.changing.lock();
        let Some(Capability { offset, extra, .. }) = self.capability(MSI) else {
            return self.set_first_vector(is_on.then(|| line.message()));
        };
        let off = extra & !(MSI_ENABLE | MSI_USED);
        if !is_on {
            self.function.write_u16(offset + 2, off);
            return Ok(());
        }
        let (address, data) = line.message();
        let [low, high] = halves(address);
        self.function.write_u32(offset + 4, low);
        let data = u16::try_from(data & 0xffff).unwrap_or(0);
        if extra & MSI_WIDE == 0 {
            self.function.write_u16(offset + 8, data);
        } else {
            self.function.write_u32(offset + 8, high);
            self.function.write_u16(offset + 12, data);
        }
        self.function.write_u16(offset + 2, off | MSI_ENABLE);
        Ok(())
    }

    fn interrupts(&self) -> u32 {
        self.line.get().and_then(Option::as_ref).map_or(0, Line::count)
    }
}
