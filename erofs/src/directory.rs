//! Directories: blocks of entries, sorted by name.
//!
//! ```text
//! block   │ number, name offset, kind │ number, name offset, kind │ … │ name │ name │ … │
//!           12 bytes each                                             to the next one's offset
//! ```
//!
//! Names grow from block to block, and inside of each, so that one is found by halving. If they do not, it is not found.

use crate::bytes::{eight, two};
use crate::{BLOCK, BLOCK_SIZE, Error, Image, Inode, Kind, Storage};
use core::cmp::Ordering;

const ENTRY: usize = 12;
const LONGEST_NAME: usize = 255;
const BAD: Error = Error::Corrupt("a directory whose entries make no sense");

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name; `.` and `..` are entries too.
    pub name: &'a [u8],
    /// The number of its file.
    pub number: u64,
    /// FT_* of the kernel: the kind as the directory says.
    pub type_code: u8,
    /// Where a later read goes on behind it.
    pub next: u64,
}

impl Entry<'_> {
    /// The kind that the directory gives it.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Some(match self.type_code {
            1 => Kind::Regular,
            2 => Kind::Directory,
            3 => Kind::CharacterDevice,
            4 => Kind::BlockDevice,
            5 => Kind::Fifo,
            6 => Kind::Socket,
            7 => Kind::Symlink,
            _ => return None,
        })
    }
}

/// A block of entries, copied.
struct Block {
    bytes: [u8; BLOCK_SIZE],
    len: usize,
    count: usize,
}

impl Block {
    fn entry(&self, index: usize) -> Result<(&[u8], u64, u8), Error> {
        let at = index * ENTRY;
        let start = usize::from(two(&self.bytes, at + 8));
        let is_last = index + 1 == self.count;
        let end = if is_last { self.len } else { usize::from(two(&self.bytes, at + ENTRY + 8)) };
        if start < self.count * ENTRY || end > self.len {
            return Err(BAD);
        }
        let name = self.bytes.get(start..end).ok_or(BAD)?;
        // Behind the last one there may be zeros.
        let len = name.iter().position(|&byte| byte == 0);
        let name = match len {
            Some(len) if is_last => &name[..len],
            Some(_) => return Err(BAD),
            None => name,
        };
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(&b'/') {
            return Err(BAD);
        }
        Ok((name, eight(&self.bytes, at), self.bytes[at + 10]))
    }
}

impl<S: Storage> Image<S> {
    fn directory_block(&self, inode: &Inode, index: u64) -> Result<Block, Error> {
        let mut block = Block { bytes: [0; BLOCK_SIZE], len: 0, count: 0 };
        block.len = self.read_contents(inode, index * BLOCK, &mut block.bytes)?;
        let names = usize::from(two(&block.bytes, 8));
        if block.len < ENTRY || names < ENTRY || !names.is_multiple_of(ENTRY) || names >= block.len {
            return Err(BAD);
        }
        block.count = names / ENTRY;
        Ok(block)
    }

    /// The number of the entry `name` of a directory.
    ///
    /// # Errors
    /// [`Error::Missing`], or the directory makes no sense.
    pub fn lookup(&self, directory: &Inode, name: &[u8]) -> Result<u64, Error> {
        if directory.kind != Kind::Directory {
            return Err(Error::NotDirectory);
        }
        // The last block whose first name is not behind the one that is looked for.
        let (mut low, mut high) = (0, directory.size.div_ceil(BLOCK));
        let mut block = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let candidate = self.directory_block(directory, middle)?;
            match candidate.entry(0)?.0.cmp(name) {
                Ordering::Greater => high = middle,
                _ => {
                    low = middle + 1;
                    block = Some(candidate);
                }
            }
        }
        let block = block.ok_or(Error::Missing)?;
        let (mut low, mut high) = (0, block.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, number, _) = block.entry(middle)?;
            match found.cmp(name) {
                Ordering::Equal => return Ok(number),
                Ordering::Greater => high = middle,
                Ordering::Less => low = middle + 1,
            }
        }
        Err(Error::Missing)
    }

    /// Calls `emit` for the entries from position `from` on (0 is the start) until it returns false.
    ///
    /// # Errors
    /// It is no directory, or makes no sense from some entry on.
    pub fn list(
        &self,
        directory: &Inode,
        from: u64,
        emit: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Error> {
        if directory.kind != Kind::Directory {
            return Err(Error::NotDirectory);
        }
        let mut first = usize::try_from(from % BLOCK).unwrap_or(0);
        for number in from / BLOCK..directory.size.div_ceil(BLOCK) {
            let block = self.directory_block(directory, number)?;
            for index in first..block.count {
                let (name, inode, type_code) = block.entry(index)?;
                let is_last = index + 1 == block.count;
                let next = if is_last { (number + 1) * BLOCK } else { number * BLOCK + index as u64 + 1 };
                if !emit(Entry { name, number: inode, type_code, next }) {
                    return Ok(());
                }
            }
            first = 0;
        }
        Ok(())
    }
}
