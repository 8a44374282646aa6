//! What is in a file, page by page.

use crate::{BLOCK, Error, Image, Inode, Kind, Storage};
use alloc::vec::Vec;

/// The longest target of a symbolic link (PATH_MAX, less the NUL).
const LONGEST_LINK: u64 = 4095;

/// Where the contents of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// In a block of their own.
    Block {
        /// Where the block is in the image.
        offset: u64,
        /// Bytes that belong to the file; those behind should be zero.
        len: usize,
    },
    /// Behind the inode.
    Inline {
        /// Where they are in the image.
        offset: u64,
        /// How many.
        len: usize,
    },
}

impl Inode {
    /// Where page `index` is; `None` beyond the end.
    #[must_use]
    pub fn page(&self, index: u64) -> Option<Page> {
        let start = index.checked_mul(BLOCK)?;
        let left = self.size.checked_sub(start).filter(|left| *left > 0)?;
        let len = usize::try_from(left.min(BLOCK)).ok()?;
        Some(if index < self.block_count {
            Page::Block { offset: self.blocks + start, len }
        } else {
            Page::Inline { offset: self.tail, len }
        })
    }
}

impl<S: Storage> Image<S> {
    /// Reads contents from `offset` on. Returns how much there was.
    ///
    /// # Errors
    /// The storage does not give it.
    pub fn read_contents(&self, inode: &Inode, offset: u64, into: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < into.len() {
            let at = offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
            let Some(Page::Block { offset: start, len } | Page::Inline { offset: start, len }) =
                inode.page(at / BLOCK)
            else {
                break;
            };
            let inside = usize::try_from(at % BLOCK).unwrap_or(0);
            let Some(have) = len.checked_sub(inside).filter(|have| *have > 0) else { break };
            let piece = have.min(into.len() - done);
            self.read(start + at % BLOCK, &mut into[done..done + piece])?;
            done += piece;
        }
        Ok(done)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// It is none, or makes no sense.
    pub fn read_link(&self, inode: &Inode) -> Result<Vec<u8>, Error> {
        if inode.kind != Kind::Symlink {
            return Err(Error::NotLink);
        }
        if !(1..=LONGEST_LINK).contains(&inode.size) {
            return Err(Error::Corrupt("a symbolic link of an impossible length"));
        }
        let mut target = alloc::vec![0; usize::try_from(inode.size).unwrap_or(0)];
        self.read_contents(inode, 0, &mut target)?;
        if target.contains(&0) {
            return Err(Error::Corrupt("a symbolic link with a NUL in it"));
        }
        Ok(target)
    }
}
