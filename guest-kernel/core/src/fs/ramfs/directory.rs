//! The entries of a directory in memory.
//!
//! An entry is an inode or a *whiteout*: for whoever reads the directory nothing is there, but an
//! [overlay](crate::fs::overlay) must not look in the layer below either. A plain RAM file system never has one.

use super::RamInode;
use crate::fs::inode::FileKind;
use crate::fs::listing::Listing;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use septum_abi::linux::Errno;

/// What a name stands for.
#[derive(Clone)]
pub enum Slot {
    /// A file.
    Inode(Arc<RamInode>),
    /// Nothing, whatever there is below.
    Whiteout,
}

/// The entries of one directory.
#[derive(Default)]
pub struct Entries {
    slots: BTreeMap<Box<[u8]>, Slot>,
    /// Entries that are not whiteouts.
    count: usize,
    /// The directory hides the one below entirely.
    pub is_opaque: bool,
}

impl Entries {
    pub fn slot(&self, name: &[u8]) -> Option<&Slot> {
        self.slots.get(name)
    }

    pub fn get(&self, name: &[u8]) -> Result<&Arc<RamInode>, Errno> {
        match self.slots.get(name) {
            Some(Slot::Inode(inode)) => Ok(inode),
            Some(Slot::Whiteout) | None => Err(Errno::ENOENT),
        }
    }

    /// Sets what `name` stands for; a whiteout or a file there before is replaced.
    pub fn set(&mut self, name: &[u8], inode: Arc<RamInode>) {
        let old = self.slots.insert(name.into(), Slot::Inode(inode));
        self.count += usize::from(!matches!(old, Some(Slot::Inode(_))));
    }

    /// Makes `name` stand for nothing.
    pub fn clear(&mut self, name: &[u8], leaves_whiteout: bool) {
        let old = if leaves_whiteout {
            self.slots.insert(name.into(), Slot::Whiteout)
        } else {
            self.slots.remove(name)
        };
        self.count -= usize::from(matches!(old, Some(Slot::Inode(_))));
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn list(&self, listing: &mut Listing) {
        for (name, slot) in &self.slots {
            if let Slot::Inode(inode) = slot {
                listing.push(name, inode.number, inode.kind);
            }
        }
    }
}

/// Whether `kind` is a directory, whose name counts as a link of its parent (its `..`).
pub fn is_directory(kind: FileKind) -> bool {
    kind == FileKind::Directory
}
