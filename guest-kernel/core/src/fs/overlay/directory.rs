//! Reading a directory of two layers.

use super::OverlayInode;
use crate::fs::inode::{Access, DirectoryEntry, File, InodeRef};
use crate::fs::listing::Listing;
use crate::fs::ramfs::RamInode;
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

const READ: Access = Access { read: true, write: false };

/// How an open directory is being read: decided when reading starts, and again when it starts over.
enum Reading {
    /// Nothing is written above: as the lower file system gives it.
    Lower(Arc<dyn File>),
    /// From a snapshot of both layers.
    Merged(Listing),
}

/// An open directory.
pub struct OverlayDirectory {
    inode: Arc<OverlayInode>,
    reading: Mutex<Option<Reading>>,
}

impl OverlayDirectory {
    pub fn new(inode: Arc<OverlayInode>) -> Self {
        Self { inode, reading: Mutex::new(None) }
    }

    fn start(&self) -> Result<Reading, Errno> {
        match self.inode.layers() {
            (None, Some(lower)) => Ok(Reading::Lower(lower.open(READ)?)),
            (upper, lower) => {
                let mut listing = Listing::default();
                merge(upper.as_deref(), lower.as_ref(), &mut listing)?;
                Ok(Reading::Merged(listing))
            }
        }
    }
}

impl File for OverlayDirectory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_directory(
        &self,
        from: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let mut reading = self.reading.lock();
        if from == 0 {
            *reading = None;
        }
        let current = match reading.take() {
            Some(current) => current,
            None => self.start()?,
        };
        let result = match &current {
            Reading::Lower(file) => file.read_directory(from, emit),
            Reading::Merged(listing) => {
                listing.read(from, emit);
                Ok(())
            }
        };
        *reading = Some(current);
        result
    }
}

/// Lists what is seen of both layers, each name once.
pub fn merge(upper: Option<&RamInode>, lower: Option<&InodeRef>, listing: &mut Listing) -> Result<(), Errno> {
    if let Some(lower) = lower {
        let is_hidden = |name: &[u8]| upper.is_some_and(|upper| upper.slot(name).is_some());
        lower.open(READ)?.read_directory(0, &mut |entry| {
            if !is_hidden(entry.name) {
                listing.push(entry.name, entry.inode, entry.kind);
            }
            true
        })?;
    }
    if let Some(upper) = upper {
        upper.list(listing)?;
    }
    Ok(())
}
