//! The superblock: what kind of image it is, and where things begin.

use crate::bytes::{eight, four, two};
use crate::{BLOCK, Error, Storage};

/// Where it is.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
const SIZE: usize = 128;
const MAGIC: u32 = 0xe0f5_e1e2;
/// `feature_incompat` without consequence here: said of images that were written by tools which can compress.
const HARMLESS: u32 = 1;

/// What counts of it.
#[derive(Clone, Copy, Debug)]
pub struct Superblock {
    /// Number of the root directory.
    pub root: u64,
    /// Files.
    pub inodes: u64,
    /// Bytes of the file system.
    pub len: u64,
    /// Where inode 0 would be.
    pub inode_base: u64,
    /// Where shared attribute 0 would be.
    pub attribute_base: u64,
}

impl Superblock {
    pub fn read(storage: &impl Storage) -> Result<Self, Error> {
        let mut bytes = [0; SIZE];
        if storage.len() < BLOCK || !storage.read(SUPERBLOCK_OFFSET, &mut bytes) {
            return Err(Error::Corrupt("it is shorter than a file system's header"));
        }
        if four(&bytes, 0) != MAGIC {
            return Err(Error::Corrupt("it does not begin as an EROFS image does"));
        }
        if bytes[12] != 12 || bytes[90] != 0 {
            return Err(Error::Unsupported("blocks that are not 4096 bytes long"));
        }
        if four(&bytes, 80) & !HARMLESS != 0 || two(&bytes, 86) != 0 {
            return Err(Error::Unsupported("compression, chunks or other features"));
        }
        let blocks = u64::from(four(&bytes, 36));
        let len = blocks * BLOCK;
        if blocks == 0 || len > storage.len() {
            return Err(Error::Corrupt("it is shorter than its header says"));
        }
        Ok(Self {
            root: u64::from(two(&bytes, 14)),
            inodes: eight(&bytes, 16),
            len,
            inode_base: u64::from(four(&bytes, 40)) * BLOCK,
            attribute_base: u64::from(four(&bytes, 44)) * BLOCK,
        })
    }
}
