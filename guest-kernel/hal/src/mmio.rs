//! Device registers.

use crate::address::PhysAddr;
use septum_abi::layout::{LOW_RAM_END, MMIO_MAP, MMIO_SIZE};

/// Registers of a device, mapped uncached for as long as the kernel runs.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: u64,
    len: usize,
}

macro_rules! accessors {
    ($($read:ident $write:ident $type:ty)*) => {$(
        /// Reads the register at `offset`; all ones if it is not in this window.
        #[must_use]
        pub fn $read(&self, offset: usize) -> $type {
            match self.at::<$type>(offset) {
                // SAFETY: 1. `at` checked bounds and alignment; 2. the window lies in the device mapping, which
                // holds no Rust objects; 3. a device register may be read at any time.
                Some(register) => unsafe { register.read_volatile() },
                None => <$type>::MAX,
            }
        }

        /// Writes the register at `offset`; nothing happens if it is not in this window.
        pub fn $write(&self, offset: usize, value: $type) {
            if let Some(register) = self.at::<$type>(offset) {
                // SAFETY: as for reading; what a device does then to memory is bounded by what it was given.
                unsafe { register.write_volatile(value) };
            }
        }
    )*};
}

impl Registers {
    /// The `len` bytes at `address`; `None` outside of the device GiB below 4 GiB.
    #[must_use]
    pub fn map(address: PhysAddr, len: usize) -> Option<Self> {
        let offset = address.0.checked_sub(LOW_RAM_END)?;
        let end = offset.checked_add(len as u64)?;
        (end <= MMIO_SIZE).then_some(Self { base: MMIO_MAP + offset, len })
    }

    /// The `len` bytes at `offset` of this window.
    #[must_use]
    pub fn window(&self, offset: usize, len: usize) -> Option<Self> {
        (offset.checked_add(len)? <= self.len).then_some(Self { base: self.base + offset as u64, len })
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let fits = offset.checked_add(size_of::<T>())? <= self.len && offset.is_multiple_of(align_of::<T>());
        fits.then_some((self.base + offset as u64) as *mut T)
    }

    accessors! {
        read_u8 write_u8 u8
        read_u16 write_u16 u16
        read_u32 write_u32 u32
        read_u64 write_u64 u64
    }
}
