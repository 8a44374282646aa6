//! Extended attributes of a file in memory.
//!
//! They lie in the kernel's own memory, so that all files of a file system together have an [`Allowance`]; a single file's are
//! as many as Linux's own file systems would keep.

use crate::fs::inode::SetWhen;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::frame;

/// Most bytes of names and values of one file.
const MOST_OF_FILE: u64 = 128 * 1024;
/// What an attribute costs besides its name and value.
const COST: u64 = 64;

/// Bytes that the attributes of a file system's files take.
#[derive(Debug, Default)]
pub struct Allowance(AtomicU64);

impl Allowance {
    /// A hundredth of memory, and in the smallest partition one file's.
    fn limit() -> u64 {
        (frame::usage().total.saturating_mul(PAGE_SIZE as u64) / 100).max(MOST_OF_FILE)
    }

    fn take(&self, bytes: u64) -> Result<(), Errno> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= Self::limit() {
            return Ok(());
        }
        self.give_back(bytes);
        Err(Errno::ENOSPC)
    }

    /// Counts bytes as free again.
    pub fn give_back(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The attributes of one file.
#[derive(Debug, Default)]
pub struct ExtendedAttributes {
    values: BTreeMap<Box<[u8]>, Box<[u8]>>,
    bytes: u64,
}

fn cost(name: &[u8], value: &[u8]) -> u64 {
    (name.len() + value.len()) as u64 + COST
}

impl ExtendedAttributes {
    /// What they cost.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A value.
    pub fn get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.values.get(name).map(|value| value.to_vec()).ok_or(Errno::ENODATA)
    }

    /// Sets a value. ENOSPC if it is too much.
    pub fn set(
        &mut self,
        allowance: &Allowance,
        name: &[u8],
        value: &[u8],
        when: SetWhen,
    ) -> Result<(), Errno> {
        let present = self.values.get(name);
        match (when, present) {
            (SetWhen::Absent, Some(_)) => return Err(Errno::EEXIST),
            (SetWhen::Present, None) => return Err(Errno::ENODATA),
            _ => {}
        }
        let (new, old) = (cost(name, value), present.map_or(0, |present| cost(name, present)));
        if self.bytes - old + new > MOST_OF_FILE {
            return Err(Errno::ENOSPC);
        }
        allowance.take(new)?;
        allowance.give_back(old);
        self.bytes = self.bytes - old + new;
        self.values.insert(name.into(), value.into());
        Ok(())
    }

    /// Takes one away.
    pub fn remove(&mut self, allowance: &Allowance, name: &[u8]) -> Result<(), Errno> {
        let value = self.values.remove(name).ok_or(Errno::ENODATA)?;
        let bytes = cost(name, &value);
        self.bytes -= bytes;
        allowance.give_back(bytes);
        Ok(())
    }

    /// All names, each with its NUL.
    pub fn names(&self) -> Vec<u8> {
        self.values.keys().flat_map(|name| name.iter().copied().chain([0])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_found_until_it_is_removed() {
        let allowance = Allowance::default();
        let mut attributes = ExtendedAttributes::default();
        assert_eq!(attributes.set(&allowance, b"user.b", b"1", SetWhen::Present), Err(Errno::ENODATA));
        attributes.set(&allowance, b"user.b", b"1", SetWhen::Absent).unwrap();
        assert_eq!(attributes.set(&allowance, b"user.b", b"2", SetWhen::Absent), Err(Errno::EEXIST));
        attributes.set(&allowance, b"user.b", b"22", SetWhen::Present).unwrap();
        attributes.set(&allowance, b"user.a", b"", SetWhen::Always).unwrap();
        assert_eq!(attributes.names(), b"user.a\0user.b\0");
        assert_eq!(attributes.get(b"user.b").unwrap(), b"22");
        attributes.remove(&allowance, b"user.b").unwrap();
        assert_eq!(attributes.remove(&allowance, b"user.b"), Err(Errno::ENODATA));
        attributes.remove(&allowance, b"user.a").unwrap();
        assert_eq!((attributes.bytes(), allowance.0.into_inner()), (0, 0));
    }

    #[test]
    fn one_file_has_not_more_than_its_share() {
        let allowance = Allowance::default();
        let mut attributes = ExtendedAttributes::default();
        let value = alloc::vec![7; 65_536];
        attributes.set(&allowance, b"user.1", &value, SetWhen::Always).unwrap();
        assert_eq!(attributes.set(&allowance, b"user.2", &value, SetWhen::Always), Err(Errno::ENOSPC));
        attributes.set(&allowance, b"user.1", &value[1..], SetWhen::Always).unwrap();
        assert_eq!(attributes.bytes(), allowance.0.into_inner());
    }
}
