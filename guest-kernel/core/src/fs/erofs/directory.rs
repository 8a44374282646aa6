//! An open directory.

use super::errno;
use super::inode::{ErofsInode, file_kind};
use crate::fs::inode::{DirectoryEntry, File, FileKind};
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::linux::Errno;

/// An open directory.
pub(super) struct ErofsDirectory {
    inode: Arc<ErofsInode>,
}

impl ErofsDirectory {
    pub(super) fn new(inode: Arc<ErofsInode>) -> Self {
        Self { inode }
    }
}

impl File for ErofsDirectory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_directory(
        &self,
        from: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let image = &self.inode.file_system.image;
        let mut tell = |entry: septum_erofs::Entry<'_>| {
            if matches!(entry.name, b"." | b"..") {
                return true;
            }
            let kind = entry.kind().map_or(FileKind::Anonymous, file_kind);
            emit(DirectoryEntry { name: entry.name, inode: entry.number, kind, next: entry.next })
        };
        image.list(&self.inode.inode, from, &mut tell).map_err(errno)
    }
}
