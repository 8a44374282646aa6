//! Addresses as types: a guest-physical one is never mistaken for a program's, nor dereferenced by chance.

use septum_abi::layout::{PAGE_SIZE, USER_END};

/// A guest-physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(pub u64);

/// An address in the program's half of the address space. Says nothing about what is mapped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserAddr(u64);

impl UserAddr {
    /// The address, if it lies in the program's half.
    #[must_use]
    pub fn new(address: u64) -> Option<Self> {
        (address < USER_END).then_some(Self(address))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The start of its page.
    #[must_use]
    pub fn page(self) -> Self {
        Self(self.0 & !(PAGE_SIZE as u64 - 1))
    }

    /// Offset in its page.
    #[must_use]
    pub fn page_offset(self) -> usize {
        (self.0 & (PAGE_SIZE as u64 - 1)) as usize
    }
}

/// A 64-bit length or offset as a `usize`; the same thing on x86-64.
#[must_use]
pub const fn to_usize(value: u64) -> usize {
    value as usize
}
