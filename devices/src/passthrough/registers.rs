//! The registers that the guest sees of a function of the host: a pure model.
//!
//! ```text
//! 0x00 identity, class, subsystem      the function's
//! 0x04 command                         memory decoding: always on, whatever is written; bus mastering: the function's
//! 0x10 BARs                            this machine's addresses; I/O ports are absent
//! 0x34 capabilities                    MSI, MSI-X: this machine's. PCI Express, vendor's own: as they were, read-only. Others are absent
//! 0x30 expansion ROM, 0x3c interrupt pin: absent
//! ```

use crate::pci::msix::{self, Message};
use crate::pci::{ConfigSpace, Identity, MemoryBar};

use super::BARS;
use std::ops::Range;

/// Bytes of configuration space that are looked at.
pub const BYTES: usize = 256;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BAR0: usize = 0x10;
const FIRST_CAPABILITY: usize = 0x34;
const STATUS_CAPABILITIES: u8 = 1 << 4;
/// More capabilities than fit, so the list has a loop.
const CAPABILITY_LIMIT: usize = 48;

mod capability {
    pub const MSI: u8 = 0x05;
    pub const VENDOR: u8 = 0x09;
    pub const EXPRESS: u8 = 0x10;
}

/// Bytes of the PCI Express capability, version 2.
const EXPRESS_BYTES: usize = 0x3c;
/// MSI control: on.
const MSI_ENABLE: u16 = 1;
/// MSI control: how many vectors the guest uses, as a power of two.
const MSI_USED: u16 = 0b111 << 4;
/// MSI control: addresses have 64 bits.
const MSI_WIDE: u16 = 1 << 7;

/// A memory BAR of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its size, a power of two.
    pub bytes: u64,
    /// Whether it takes two registers, and its address 64 bits.
    pub is_wide: bool,
    /// Whether reading it changes nothing.
    pub is_prefetchable: bool,
}

/// What the guest wants of the function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// It may send: DMA and interrupts.
    pub is_bus_master: bool,
    /// What its MSI vectors send; nothing while MSI is off.
    pub messages: Vec<Message>,
    /// The control word of MSI-X; 0 if there is none.
    pub msix_control: u16,
}

/// The registers.
#[derive(Clone, Debug)]
pub struct Registers {
    space: ConfigSpace,
    msi: Option<Msi>,
    /// Where its capability of MSI-X is.
    msix: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Msi {
    at: usize,
    is_wide: bool,
    /// As a power of two.
    vectors: u16,
}

/// Where a function keeps its MSI-X table, which the guest never reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorTable {
    /// In which BAR.
    pub bar: usize,
    /// Where in it.
    pub offset: u64,
    /// How many vectors of it the guest sees.
    pub vectors: u16,
}

impl VectorTable {
    /// Its bytes in the BAR.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(u64::from(self.vectors) * msix::ENTRY_SIZE)
    }
}

/// The most vectors of MSI-X that a function has here: each is a descriptor from the moment when it is turned on.
const MOST_VECTORS: u16 = 256;

/// The MSI-X table that registers describe, of a function that has `vectors` of them.
#[must_use]
pub fn vector_table(bytes: &[u8; BYTES], vectors: u32) -> Option<VectorTable> {
    let (_, at) = capabilities(bytes).find(|(id, at)| *id == msix::CAPABILITY && at + 12 <= BYTES)?;
    let said = (word(bytes, at + 2) & 0x7ff) + 1;
    let vectors = said.min(u16::try_from(vectors).unwrap_or(u16::MAX)).min(MOST_VECTORS);
    let place = u32::from(word(bytes, at + 4)) | u32::from(word(bytes, at + 6)) << 16;
    let bar = usize::try_from(place & 0b111).ok().filter(|bar| *bar < BARS)?;
    (vectors > 0).then_some(VectorTable { bar, offset: u64::from(place & !0b111), vectors })
}

fn word(bytes: &[u8; BYTES], at: usize) -> u16 {
    u16::from_le_bytes([0, 1].map(|step| bytes.get(at + step).copied().unwrap_or(0)))
}

/// The memory BARs that registers describe; `size` tells how large each is, 0 for one that is not there.
#[must_use]
pub fn bars(bytes: &[u8; BYTES], size: impl Fn(usize) -> u64) -> [Option<Bar>; BARS] {
    const IS_PORTS: u8 = 1;
    let mut bars = [None; BARS];
    let mut index = 0;
    while index < BARS {
        let low = bytes[BAR0 + 4 * index];
        let bar = Bar {
            bytes: size(index),
            is_wide: low & 0b110 == 0b100 && index + 1 < BARS,
            is_prefetchable: low & 0b1000 != 0,
        };
        let is_memory = low & IS_PORTS == 0 && bar.bytes.is_power_of_two() && bar.bytes >= 16;
        bars[index] = is_memory.then_some(bar);
        index += if bar.is_wide { 2 } else { 1 };
    }
    bars
}

impl Registers {
    /// The model of a function whose registers are `bytes`, which has `vectors` MSI vectors, and whose BARs the machine put to these addresses.
    #[must_use]
    pub fn new(
        bytes: &[u8; BYTES],
        bars: &[Option<(Bar, u64)>; BARS],
        vectors: u32,
        table: Option<&VectorTable>,
    ) -> Self {
        let identity = Identity {
            vendor: word(bytes, 0x00),
            device: word(bytes, 0x02),
            revision: bytes[0x08],
            class: u32::from_le_bytes([bytes[0x09], bytes[0x0a], bytes[0x0b], 0]),
            subsystem_vendor: word(bytes, 0x2c),
            subsystem: word(bytes, 0x2e),
        };
        let mut space = ConfigSpace::new(&identity).without_bus_mastering();
        for (index, (bar, address)) in
            bars.iter().enumerate().filter_map(|(index, bar)| Some((index, (*bar)?)))
        {
            let Bar { bytes, is_wide, is_prefetchable } = bar;
            space = space.with_bar(index, MemoryBar { bytes, address, is_wide, is_prefetchable });
        }
        let mut registers = Self { space, msi: None, msix: None };
        for (id, at) in capabilities(bytes) {
            registers.add_capability(bytes, (id, at), vectors, table);
        }
        registers
    }

    fn add_capability(
        &mut self,
        bytes: &[u8; BYTES],
        (id, at): (u8, usize),
        vectors: u32,
        table: Option<&VectorTable>,
    ) {
        let body = |len: usize| bytes.get(at + 2..(at + len).min(BYTES)).unwrap_or_default();
        // What does not fit is left out: there is room for all that a function can have.
        match id {
            capability::MSI if self.msi.is_none() && vectors > 0 => {
                let control = word(bytes, at + 2);
                let is_wide = control & MSI_WIDE != 0;
                // As many as both say, rounded down to what can be said.
                let vectors = u16::try_from(vectors.min(32).ilog2()).unwrap_or(0).min(control >> 1 & 0b111);
                let [low, high] = (vectors << 1 | control & MSI_WIDE).to_le_bytes();
                let mut body = vec![low, high];
                body.resize(if is_wide { 12 } else { 8 }, 0);
                let [low, high] = (MSI_ENABLE | MSI_USED).to_le_bytes();
                let mut writable = vec![low, high, 0xfc, 0xff, 0xff, 0xff];
                writable.extend(std::iter::repeat_n(0xff, if is_wide { 6 } else { 2 }));
                let added = self.space.add_capability(id, &body, &writable);
                self.msi = added.ok().map(|at| Msi { at, is_wide, vectors });
            }
            msix::CAPABILITY if self.msix.is_none() => {
                let Some(table) = table else { return };
                let mut body = (table.vectors - 1).to_le_bytes().to_vec();
                body.extend_from_slice(bytes.get(at + 4..at + 12).unwrap_or(&[0; 8]));
                self.msix = self.space.add_capability(id, &body, &msix::CONTROL_WRITABLE).ok();
            }
            capability::EXPRESS => drop(self.space.add_capability(id, body(EXPRESS_BYTES), &[])),
            capability::VENDOR => {
                let len = bytes.get(at + 2).copied().map_or(0, usize::from);
                if len >= 3 {
                    let _ = self.space.add_capability(id, body(len), &[]);
                }
            }
            _ => {}
        }
    }

    /// The guest reads.
    pub fn read(&self, register: usize, data: &mut [u8]) {
        self.space.read(register, data);
    }

    /// The guest writes. What it wants of the function may be something else then.
    pub fn write(&mut self, register: usize, data: &[u8]) {
        self.space.write(register, data);
    }

    /// What the guest wants of the function.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let msix_control = self.msix.map_or(0, |at| self.space.word(at + 2));
        Wanted { is_bus_master: self.space.is_bus_master(), messages: self.messages(), msix_control }
    }

    fn messages(&self) -> Vec<Message> {
        let Some(Msi { at, is_wide, vectors }) = self.msi else { return Vec::new() };
        let word = |offset: usize| self.space.word(at + offset);
        let control = word(2);
        if control & MSI_ENABLE == 0 {
            return Vec::new();
        }
        let used = (control & MSI_USED) >> 4;
        let count = 1_u32 << used.min(vectors);
        let long = |offset| u64::from(word(offset)) | u64::from(word(offset + 2)) << 16;
        let (address, data) = if is_wide { (long(4) | long(8) << 32, word(12)) } else { (long(4), word(8)) };
        // The function changes the lowest bits of the data to say which vector it is.
        let first = u32::from(data) & !(count - 1);
        (first..first + count).map(|data| Message { address, data }).collect()
    }
}

/// Identities and offsets of the capabilities.
fn capabilities(bytes: &[u8; BYTES]) -> impl Iterator<Item = (u8, usize)> {
    let mut next = if bytes[STATUS] & STATUS_CAPABILITIES != 0 { bytes[FIRST_CAPABILITY] } else { 0 };
    std::iter::from_fn(move || {
        let at = usize::from(next & !3);
        if at < 0x40 {
            return None;
        }
        next = bytes[at + 1];
        Some((bytes[at], at))
    })
    .take(CAPABILITY_LIMIT)
}

/// The function's own command register, for what the guest wants.
#[must_use]
pub fn command(is_bus_master: bool) -> (u64, [u8; 2]) {
    const MEMORY: u16 = 1 << 1;
    const BUS_MASTER: u16 = 1 << 2;
    const NO_PIN: u16 = 1 << 10;
    let command = MEMORY | NO_PIN | if is_bus_master { BUS_MASTER } else { 0 };
    (COMMAND as u64, command.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The registers of QEMU's edu device, as its host has them.
    fn edu() -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..0x10].copy_from_slice(&[
            0x34, 0x12, 0xe8, 0x11, 0x03, 0x01, 0x10, 0x00, 0x10, 0x00, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00,
        ]);
        bytes[0x10..0x14].copy_from_slice(&0xfea0_0000_u32.to_le_bytes());
        bytes[0x2c..0x30].copy_from_slice(&[0xf4, 0x1a, 0x00, 0x11]);
        bytes[0x34] = 0x40;
        bytes[0x40..0x44].copy_from_slice(&[capability::MSI, 0x50, 0x80, 0x00]);
        // Power management, which is left out, and PCI Express.
        bytes[0x50..0x54].copy_from_slice(&[0x01, 0x60, 0x03, 0x00]);
        bytes[0x60..0x64].copy_from_slice(&[capability::EXPRESS, 0, 0x02, 0x00]);
        bytes
    }

    fn model() -> Registers {
        let bytes = edu();
        let bars = bars(&bytes, |index| if index == 0 { 0x10_0000 } else { 0 });
        assert_eq!(bars[0], Some(Bar { bytes: 0x10_0000, is_wide: false, is_prefetchable: false }));
        assert_eq!(bars[1..], [None; 5]);
        Registers::new(&bytes, &bars.map(|bar| bar.map(|bar| (bar, 0xc010_0000))), 1, None)
    }

    fn long(registers: &Registers, register: usize) -> u32 {
        let mut bytes = [0; 4];
        registers.read(register, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn the_guest_sees_the_function_at_the_machines_addresses() {
        let mut registers = model();
        assert_eq!(long(&registers, 0), 0x11e8_1234);
        assert_eq!(long(&registers, 8), 0x00ff_0010);
        assert_eq!(long(&registers, 0x2c), 0x1100_1af4);
        assert_eq!(long(&registers, 0x10), 0xc010_0000);
        registers.write(0x10, &[0xff; 4]);
        assert_eq!(long(&registers, 0x10), 0xfff0_0000);
        assert_eq!(long(&registers, 0x14), 0);
        assert_eq!(long(&registers, 0x30), 0);
        assert_eq!(long(&registers, 0x3c) & 0xff00, 0, "no pin");
    }

    #[test]
    fn only_capabilities_that_are_understood_are_there() {
        let registers = model();
        let mut bytes = [0; BYTES];
        registers.read(0, &mut bytes);
        let found: Vec<u8> = capabilities(&bytes).map(|(id, _)| id).collect();
        assert_eq!(found, [capability::MSI, capability::EXPRESS]);
    }

    #[test]
    fn what_the_guest_writes_becomes_what_it_wants() {
        let mut registers = model();
        assert_eq!(registers.wanted(), Wanted::default());
        registers.write(COMMAND, &[0b100, 0]);
        assert!(registers.wanted().is_bus_master);
        let at = usize::from(long(&registers, FIRST_CAPABILITY).to_le_bytes()[0]);
        registers.write(at + 4, &0xfee0_0000_u64.to_le_bytes());
        registers.write(at + 12, &[0x51, 0]);
        assert_eq!(registers.wanted().messages, []);
        // As many vectors as there can be, of which there is one.
        registers.write(at + 2, &[0x71, 0]);
        assert_eq!(registers.wanted().messages, [Message { address: 0xfee0_0000, data: 0x51 }]);
        assert_eq!(command(registers.wanted().is_bus_master), (4, [0b110, 0b100]));
        registers.write(0, &[0xff; BYTES]);
        assert_eq!(long(&registers, 0), 0x11e8_1234);
        assert_eq!(registers.wanted().messages.len(), 1);
    }

    #[test]
    fn several_vectors_differ_in_the_lowest_bits() {
        let mut bytes = edu();
        bytes[0x42] = 0x84 | 0b10;
        let mut registers = Registers::new(&bytes, &[None; BARS], 8, None);
        registers.write(0x40 + 4, &0xfee0_0000_u64.to_le_bytes());
        registers.write(0x40 + 12, &[0x46, 0]);
        registers.write(0x40 + 2, &[0x21, 0]);
        let data: Vec<u32> = registers.wanted().messages.iter().map(|message| message.data).collect();
        assert_eq!(data, [0x44, 0x45, 0x46, 0x47]);
    }

    #[test]
    fn the_table_of_vectors_is_found_and_its_control_word_is_the_guests() {
        let mut bytes = edu();
        // 65 vectors in BAR 0 at 0x2000, as QEMU's NVMe has them.
        bytes[0x40..0x4c].copy_from_slice(&[msix::CAPABILITY, 0, 64, 0, 0, 0x20, 0, 0, 0, 0x30, 0, 0]);
        let table = vector_table(&bytes, 65).unwrap();
        assert_eq!(table, VectorTable { bar: 0, offset: 0x2000, vectors: 65 });
        assert_eq!(table.range(), 0x2000..0x2410);
        assert_eq!(vector_table(&bytes, 3).unwrap().vectors, 3);
        assert_eq!(vector_table(&bytes, 0), None);
        let mut registers = Registers::new(&bytes, &[None; BARS], 0, Some(&table));
        assert_eq!(long(&registers, 0x40) >> 16, 64);
        registers.write(0x40, &[0xff; 12]);
        assert_eq!(registers.wanted().msix_control, 0xc000 | 64);
        assert_eq!(long(&registers, 0x44), 0x2000);
        // BARs that there are not.
        bytes[0x44] = 7;
        assert_eq!(vector_table(&bytes, 65), None);
    }

    #[test]
    fn lists_and_bars_that_make_no_sense_are_survived() {
        let mut bytes = [0xff; BYTES];
        assert_eq!(bars(&bytes, |_| 3), [None; BARS]);
        let _ =
            Registers::new(&bytes, &[None; BARS], u32::MAX, vector_table(&bytes, u32::MAX).as_ref()).wanted();
        bytes[0x10] = 0b100;
        bytes[0x34] = 0xfc;
        bytes[0xfc..].copy_from_slice(&[capability::VENDOR, 0xfc, 0xff, 0]);
        let _ = Registers::new(&bytes, &[None; BARS], 0, None).wanted();
    }
}
