//! Finding PCI functions and their registers.
//!
//! The host has done the bus work before the kernel runs: BARs have addresses, decoding and bus mastering are on,
//! and the boot page says which devices exist. What is left is to read where things are. Every register access
//! may leave the virtual machine, so configuration space is read in 32-bit words, each at most once.
//!
//! ```text
//! ECAM of bus 0: 32 KiB a device, 4 KiB a function; only function 0 is used here
//! 0x00 vendor, device      0x10..0x28 BARs      0x34 first capability      capabilities: a list of (id, next, ...)
//! ```

use crate::platform::Registers;
use septum_guest_hal::address::PhysAddr;

const FUNCTION_SIZE: usize = 4096;
const DEVICE_SHIFT: u32 = 15;
const BAR: usize = 0x10;
const BAR_COUNT: usize = 6;
const CAPABILITIES: usize = 0x34;
/// More capabilities than fit 192 bytes, so the list has a loop.
const CAPABILITY_LIMIT: usize = 48;

/// A PCI function that exists.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    config: Registers,
    /// Vendor.
    pub vendor: u16,
    /// Device, as its vendor numbers them.
    pub device: u16,
}

/// Where a function is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The ECAM of its bus.
    pub ecam_base: u64,
    /// N of 00:N.0.
    pub device: u32,
}

impl Place {
    /// The function, if it is there.
    #[must_use]
    pub fn function(self) -> Option<Function> {
        functions(self.ecam_base, 1_u32.checked_shl(self.device)?).next()
    }
}

/// An entry of the capability list.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// Where in configuration space.
    pub offset: usize,
    /// Capability number.
    pub id: u8,
    /// The bytes behind the link: bytes 2 and 3.
    pub extra: u16,
}

/// The functions that the boot page's bitmap names: bit N is 00:N.0.
pub fn functions(ecam_base: u64, bitmap: u32) -> impl Iterator<Item = Function> {
    (0..32u64).filter(move |device| bitmap & (1 << device) != 0).filter_map(move |device| {
        let config = Registers::map(PhysAddr(ecam_base + (device << DEVICE_SHIFT)), FUNCTION_SIZE)?;
        let [vendor, device] = halves(config.read_u32(0));
        (vendor != 0xffff).then_some(Function { config, vendor, device })
    })
}

fn halves(word: u32) -> [u16; 2] {
    let bytes = word.to_le_bytes();
    [u16::from_le_bytes([bytes[0], bytes[1]]), u16::from_le_bytes([bytes[2], bytes[3]])]
}

impl Function {
    /// Its capabilities.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let config = self.config;
        let mut next = config.read_u32(CAPABILITIES).to_le_bytes()[0];
        core::iter::from_fn(move || {
            let offset = usize::from(next & !3);
            if offset < 0x40 {
                return None;
            }
            let [id, link, low, high] = config.read_u32(offset).to_le_bytes();
            next = link;
            Some(Capability { offset, id, extra: u16::from_le_bytes([low, high]) })
        })
        .take(CAPABILITY_LIMIT)
    }

    /// A word of configuration space.
    #[must_use]
    pub fn read(&self, offset: usize) -> u32 {
        self.config.read_u32(offset)
    }

    /// Writes a word of configuration space.
    pub fn write_u32(&self, offset: usize, value: u32) {
        self.config.write_u32(offset, value);
    }

    /// Writes a byte of configuration space.
    pub fn write_u8(&self, offset: usize, value: u8) {
        self.config.write_u8(offset, value);
    }

    /// Writes a half word of configuration space.
    pub fn write_u16(&self, offset: usize, value: u16) {
        self.config.write_u16(offset, value);
    }

    /// Where memory BAR `index` begins; `None` if it has no address or is no memory.
    #[must_use]
    pub fn bar(&self, index: usize) -> Option<PhysAddr> {
        if index >= BAR_COUNT {
            return None;
        }
        let low = self.config.read_u32(BAR + 4 * index);
        let is_memory = low & 1 == 0;
        let is_wide = low & 0b110 == 0b100;
        let high =
            if is_wide && index + 1 < BAR_COUNT { self.config.read_u32(BAR + 4 * (index + 1)) } else { 0 };
        let address = u64::from(high) << 32 | u64::from(low & !0xf);
        (is_memory && address != 0).then_some(PhysAddr(address))
    }
}
