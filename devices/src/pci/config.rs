//! Configuration space of a type-0 function: a pure model of its first 256 bytes.
//!
//! ```text
//! 0x00 vendor, device   0x04 command, status   0x08 revision, class   0x0c cache line, …, header type
//! 0x10 BAR0 … 0x24 BAR5 0x2c subsystem ids     0x34 first capability  0x3c interrupt line, pin
//! 0x40 capabilities, in the order in which they were added …
//! ```
//!
//! Two arrays say everything: the bytes, and which of their bits the guest may change. BAR sizing falls out of that:
//! the address bits below the BAR's size are not writable, so all-ones reads back as the size mask. Capabilities are
//! added while the function is built; afterwards only [`ConfigSpace::write`] changes anything.
//! The extended space (256 to 4095) reads as zeros: an empty list.

use std::ops::Range;

use thiserror::Error;

/// Bytes of the model.
const SIZE: usize = 0x100;

/// Offsets of registers (PCI 3.0 chapter 6).
pub(crate) mod register {
    pub const COMMAND: usize = 0x04;
    pub const STATUS: usize = 0x06;
    pub const CACHE_LINE_SIZE: usize = 0x0c;
    pub const BAR0: usize = 0x10;
    pub const FIRST_CAPABILITY: usize = 0x34;
    pub const INTERRUPT_LINE: usize = 0x3c;
    pub const END_OF_HEADER: usize = 0x40;
}

/// Command register: memory decoding.
const COMMAND_MEMORY: u16 = 1 << 1;
/// Command register: the function may send (interrupts included).
const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// Command register: no pin interrupt. Kept for the guest, without effect: there are no pins.
const COMMAND_INTERRUPT_DISABLE: u16 = 1 << 10;
/// Status register: there is a capability list.
const STATUS_CAPABILITIES: u8 = 1 << 4;
/// BAR: 64-bit memory, not prefetchable.
const BAR_MEMORY_64: u8 = 0b100;
/// BAR: reading it changes nothing.
const BAR_PREFETCHABLE: u8 = 0b1000;

/// Who a function says it is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Vendor number.
    pub vendor: u16,
    /// Device number.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Class, subclass and programming interface, as in `0x06_00_00`.
    pub class: u32,
    /// Subsystem vendor number.
    pub subsystem_vendor: u16,
    /// Subsystem number.
    pub subsystem: u16,
}

/// A memory BAR that somebody else decodes.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBar {
    /// Its size, a power of two, at least 16.
    pub bytes: u64,
    /// Where it is: a multiple of its size.
    pub address: u64,
    /// Whether its address has 64 bits.
    pub is_wide: bool,
    /// Whether reading it changes nothing.
    pub is_prefetchable: bool,
}

/// A capability does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("configuration space is full")]
pub struct CapabilityError;

/// The registers of one function.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: [u8; SIZE],
    writable: [u8; SIZE],
    /// Where the offset of the next capability is to be written.
    link: usize,
    /// First free byte.
    free: usize,
    bar_sizes: [u64; 6],
}

impl ConfigSpace {
    /// Registers of a function without BARs and capabilities, with memory decoding and bus mastering enabled.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let mut space = Self {
            bytes: [0; SIZE],
            writable: [0; SIZE],
            link: register::FIRST_CAPABILITY,
            free: register::END_OF_HEADER,
            bar_sizes: [0; 6],
        };
        let [interface, subclass, class, _] = identity.class.to_le_bytes();
        space.set(0x00, &identity.vendor.to_le_bytes());
        space.set(0x02, &identity.device.to_le_bytes());
        space.set(register::COMMAND, &(COMMAND_MEMORY | COMMAND_BUS_MASTER).to_le_bytes());
        space.set(0x08, &[identity.revision, interface, subclass, class]);
        space.set(0x2c, &identity.subsystem_vendor.to_le_bytes());
        space.set(0x2e, &identity.subsystem.to_le_bytes());
        let command = COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTERRUPT_DISABLE;
        space.allow(register::COMMAND, &command.to_le_bytes());
        space.allow(register::CACHE_LINE_SIZE, &[0xff]);
        space.allow(register::INTERRUPT_LINE, &[0xff]);
        space
    }

    /// As it is, with bus mastering off until the guest turns it on.
    #[must_use]
    pub fn without_bus_mastering(mut self) -> Self {
        self.set(register::COMMAND, &COMMAND_MEMORY.to_le_bytes());
        self
    }

    /// Makes BAR `index`, and the one after it if it is wide, a memory BAR. What makes no sense is left out.
    #[must_use]
    pub fn with_bar(mut self, index: usize, bar: MemoryBar) -> Self {
        let last = if bar.is_wide { index + 1 } else { index };
        if last >= self.bar_sizes.len() || !bar.bytes.is_power_of_two() || bar.bytes < 16 {
            return self;
        }
        let at = register::BAR0 + 4 * index;
        let len = if bar.is_wide { 8 } else { 4 };
        let mut bytes = bar.address.to_le_bytes();
        bytes[0] |= if bar.is_wide { BAR_MEMORY_64 } else { 0 }
            | if bar.is_prefetchable { BAR_PREFETCHABLE } else { 0 };
        self.set(at, &bytes[..len]);
        self.allow(at, &(!(bar.bytes - 1)).to_le_bytes()[..len]);
        self
    }

    /// Makes BARs `index` and `index + 1` one 64-bit memory BAR of `size` bytes (a power of two, at least 16) at
    /// `address` (aligned to `size`).
    #[must_use]
    pub fn with_memory_bar(mut self, index: usize, size: u64, address: u64) -> Self {
        debug_assert!(size.is_power_of_two() && size >= 16 && address.is_multiple_of(size) && index < 5);
        let at = register::BAR0 + 4 * index;
        let mut bytes = address.to_le_bytes();
        bytes[0] |= BAR_MEMORY_64;
        self.set(at, &bytes);
        self.allow(at, &(!(size - 1)).to_le_bytes());
        if let Some(slot) = self.bar_sizes.get_mut(index) {
            *slot = size;
        }
        self
    }

    /// Appends a capability with this `id`; `body` follows its two header bytes, and the guest may change the bits
    /// of it that are set in `writable` (missing bytes: none). Returns the capability's offset.
    ///
    /// # Errors
    /// There is no room left.
    pub fn add_capability(&mut self, id: u8, body: &[u8], writable: &[u8]) -> Result<usize, CapabilityError> {
        let at = self.free;
        let end = at + 2 + body.len();
        let offset = u8::try_from(at).map_err(|_| CapabilityError)?;
        if end > SIZE {
            return Err(CapabilityError);
        }
        self.bytes[register::STATUS] |= STATUS_CAPABILITIES;
        self.bytes[self.link] = offset;
        self.set(at, &[id, 0]);
        self.set(at + 2, body);
        self.allow(at + 2, writable);
        self.link = at + 1;
        self.free = end.next_multiple_of(4);
        Ok(at)
    }

    /// Reads as many bytes as `data` holds, from `register` on.
    pub fn read(&self, register: usize, data: &mut [u8]) {
        for (position, byte) in data.iter_mut().enumerate() {
            *byte = self.bytes.get(register.saturating_add(position)).copied().unwrap_or(0);
        }
    }

    /// Writes `data` from `register` on, as far as bits are writable.
    pub fn write(&mut self, register: usize, data: &[u8]) {
        for (position, value) in data.iter().enumerate() {
            let at = register.saturating_add(position);
            if let (Some(byte), Some(mask)) = (self.bytes.get_mut(at), self.writable.get(at)) {
                *byte = *byte & !mask | value & mask;
            }
        }
    }

    /// The address range that the 64-bit memory BAR `index` decodes now; `None` while memory decoding is off.
    #[must_use]
    pub fn decoded_bar(&self, index: usize) -> Option<Range<u64>> {
        let size = self.bar_sizes.get(index).copied().filter(|size| *size != 0)?;
        if self.command() & COMMAND_MEMORY == 0 {
            return None;
        }
        let mut bytes = [0; 8];
        self.read(register::BAR0 + 4 * index, &mut bytes);
        let start = u64::from_le_bytes(bytes) & !0xf;
        Some(start..start.checked_add(size)?)
    }

    /// Whether the function may send interrupts.
    #[must_use]
    pub fn is_bus_master(&self) -> bool {
        self.command() & COMMAND_BUS_MASTER != 0
    }

    /// A 16-bit register.
    #[must_use]
    pub fn word(&self, register: usize) -> u16 {
        let mut bytes = [0; 2];
        self.read(register, &mut bytes);
        u16::from_le_bytes(bytes)
    }

    fn command(&self) -> u16 {
        self.word(register::COMMAND)
    }

    fn set(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn allow(&mut self, at: usize, mask: &[u8]) {
        self.writable[at..at + mask.len()].copy_from_slice(mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity {
        vendor: 0x1af4,
        device: 0x1043,
        revision: 1,
        class: 0x07_80_00,
        subsystem_vendor: 0x1af4,
        subsystem: 0x43,
    };

    fn dword(space: &ConfigSpace, register: usize) -> u32 {
        let mut bytes = [0; 4];
        space.read(register, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn identity_and_class_are_where_the_specification_puts_them() {
        let space = ConfigSpace::new(&IDENTITY);
        assert_eq!(dword(&space, 0x00), 0x1043_1af4);
        assert_eq!(dword(&space, 0x08), 0x0780_0001);
        assert_eq!(dword(&space, 0x2c), 0x0043_1af4);
    }

    #[test]
    fn a_bar_is_sized_and_moved() {
        let mut space = ConfigSpace::new(&IDENTITY).with_memory_bar(0, 0x8000, 0xc000_0000);
        assert_eq!(space.decoded_bar(0), Some(0xc000_0000..0xc000_8000));
        space.write(0x10, &[0xff; 4]);
        space.write(0x14, &[0xff; 4]);
        assert_eq!(dword(&space, 0x10), 0xffff_8004);
        assert_eq!(dword(&space, 0x14), 0xffff_ffff);
        space.write(0x10, &0xd000_0000_u32.to_le_bytes());
        space.write(0x14, &[0; 4]);
        assert_eq!(space.decoded_bar(0), Some(0xd000_0000..0xd000_8000));
        space.write(0x04, &[0]);
        assert_eq!(space.decoded_bar(0), None);
        assert!(!space.is_bus_master());
    }

    #[test]
    fn capabilities_form_a_list_and_only_their_writable_bits_change() {
        let mut space = ConfigSpace::new(&IDENTITY);
        let first = space.add_capability(0x09, &[1, 2, 3], &[]).unwrap();
        let second = space.add_capability(0x11, &[0; 10], &[0, 0xc0]).unwrap();
        let mut bytes = [0; 1];
        space.read(0x34, &mut bytes);
        assert_eq!(usize::from(bytes[0]), first);
        space.read(first + 1, &mut bytes);
        assert_eq!(usize::from(bytes[0]), second);
        space.read(second + 1, &mut bytes);
        assert_eq!(bytes[0], 0);
        space.write(first, &[0xff; 32]);
        assert_eq!(space.word(second + 2), 0xc000);
        assert_eq!(space.word(first), 0x4809);
    }

    #[test]
    fn a_full_space_refuses_more() {
        let mut space = ConfigSpace::new(&IDENTITY);
        assert!(space.add_capability(0x09, &[0; 150], &[]).is_ok());
        assert_eq!(space.add_capability(0x09, &[0; 150], &[]), Err(CapabilityError));
    }

    #[test]
    fn accesses_beyond_the_end_read_zero_and_change_nothing() {
        let mut space = ConfigSpace::new(&IDENTITY);
        space.write(0xff, &[0xff; 8]);
        space.write(usize::MAX, &[0xff; 8]);
        let mut bytes = [1; 8];
        space.read(usize::MAX - 2, &mut bytes);
        assert_eq!(bytes, [0; 8]);
    }
}
