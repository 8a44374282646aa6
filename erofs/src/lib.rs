//! Reading EROFS images: what is in a file system that never changes.
//!
//! ```text
//! 0          1024          1152                                                       blocks * 4096
//! │ nothing  │ superblock  │ inodes, with attributes and short contents behind each │ blocks of contents │
//! ```
//!
//! One reader for both sides: the guest kernel reads the image through its memory, the host through a file. It is of the kind
//! that can be mapped: contents in whole blocks of 4 KiB, or short ones behind their inode; nothing compressed, in chunks or on other devices.
//!
//! **The image is hostile.** Every number comes from it and is checked against the image's length before it is used; nothing is
//! followed in a loop that the image could make endless, nothing is allocated by a size that it names without a bound. What makes no
//! sense is [`Error::Corrupt`], which says what it was.
//!
//! The format: the Linux kernel's `fs/erofs/erofs_fs.h`, little endian.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod attributes;
mod bytes;
mod contents;
mod directory;
mod inode;
mod superblock;

pub use contents::Page;
pub use directory::Entry;
pub use inode::{Inode, Kind, device_number};
pub use superblock::SUPERBLOCK_OFFSET;

use superblock::Superblock;

/// Bytes a block: a page, so that it can be mapped.
pub const BLOCK: u64 = 4096;
const BLOCK_SIZE: usize = 4096;

/// Where the bytes of an image come from.
pub trait Storage {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `into` from `offset` on. False if they are not all there.
    fn read(&self, offset: u64, into: &mut [u8]) -> bool;
}

/// Why something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The storage does not give the bytes.
    Unreadable,
    /// The image contradicts itself.
    Corrupt(&'static str),
    /// It uses what this reader does not know.
    Unsupported(&'static str),
    /// There is no such entry or attribute.
    Missing,
    /// It is not a directory.
    NotDirectory,
    /// It is not a symbolic link.
    NotLink,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unreadable => f.write_str("it cannot be read"),
            Self::Corrupt(what) => write!(f, "it is damaged: {what}"),
            Self::Unsupported(what) => write!(f, "it uses {what}, which cannot be mapped"),
            Self::Missing => f.write_str("there is no such entry"),
            Self::NotDirectory => f.write_str("it is not a directory"),
            Self::NotLink => f.write_str("it is not a symbolic link"),
        }
    }
}

impl core::error::Error for Error {}

/// An image.
#[derive(Debug)]
pub struct Image<S> {
    storage: S,
    superblock: Superblock,
}

impl<S: Storage> Image<S> {
    /// Reads the superblock.
    ///
    /// # Errors
    /// It is no EROFS image, or one of a kind that is not supported.
    pub fn open(storage: S) -> Result<Self, Error> {
        let superblock = Superblock::read(&storage)?;
        Ok(Self { storage, superblock })
    }

    /// Where its bytes come from.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Bytes that belong to the file system.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.superblock.len
    }

    /// Never: there is a superblock.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// How many files it says it has.
    #[must_use]
    pub fn inodes(&self) -> u64 {
        self.superblock.inodes
    }

    /// The number of the root directory.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.superblock.root
    }

    /// Reads within the file system.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let len = u64::try_from(into.len()).map_err(|_| Error::Unreadable)?;
        let end = offset.checked_add(len).ok_or(Error::Corrupt("an offset beyond all files"))?;
        if end > self.superblock.len {
            return Err(Error::Corrupt("an offset beyond the end of the image"));
        }
        if self.storage.read(offset, into) { Ok(()) } else { Err(Error::Unreadable) }
    }

    fn array<const N: usize>(&self, offset: u64) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }
}
