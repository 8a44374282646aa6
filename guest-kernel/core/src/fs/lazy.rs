//! A directory tree that is made when somebody first looks at it.
//!
//! Most programs never look into `/dev`; making a dozen nodes for them would be most of what mounting costs.

use super::dentry::Dentry;
use super::inode::{
    Access, Create, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, Ownership, SetMetadata,
};
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Once;

/// The root of such a tree.
struct Lazy {
    make: fn() -> Result<InodeRef, Errno>,
    root: Once<Result<InodeRef, Errno>>,
}

/// A directory that `make` makes on first use.
#[must_use]
pub fn directory(make: fn() -> Result<InodeRef, Errno>) -> InodeRef {
    Arc::new(Lazy { make, root: Once::new() })
}

impl Lazy {
    fn root(&self) -> Result<&InodeRef, Errno> {
        self.root.call_once(self.make).as_ref().map_err(|errno| *errno)
    }
}

impl Inode for Lazy {
    /// The real root's, which is what its file system recognises.
    fn as_any(&self) -> &dyn Any {
        self.root().map_or(self, |root| root.as_any())
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        self.root()?.metadata()
    }

    fn kind(&self) -> FileKind {
        FileKind::Directory
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        self.root()?.set_metadata(changes)
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        self.root()?.lookup(name)
    }

    fn create(&self, name: &[u8], what: Create<'_>, ownership: Ownership) -> Result<InodeRef, Errno> {
        self.root()?.create(name, what, ownership)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        self.root()?.link(name, target)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.root()?.unlink(name)
    }

    fn remove_directory(&self, name: &[u8]) -> Result<(), Errno> {
        self.root()?.remove_directory(name)
    }

    fn rename(
        &self,
        name: &[u8],
        new_parent: &InodeRef,
        new_name: &[u8],
        keep_existing: bool,
    ) -> Result<(), Errno> {
        self.root()?.rename(name, new_parent, new_name, keep_existing)
    }

    fn follow(&self) -> Option<Arc<Dentry>> {
        None
    }

    fn create_unnamed(&self, ownership: Ownership) -> Result<InodeRef, Errno> {
        self.root()?.create_unnamed(ownership)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno> {
        self.root()?.open(access)
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        self.root()?.file_system()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::ramfs::RamFs;
    use core::sync::atomic::{AtomicU32, Ordering};

    static MADE: AtomicU32 = AtomicU32::new(0);

    fn make() -> Result<InodeRef, Errno> {
        MADE.fetch_add(1, Ordering::Relaxed);
        Ok(RamFs::new().root())
    }

    #[test]
    fn it_is_made_once_and_only_when_needed() {
        let directory = directory(make);
        assert_eq!((directory.kind(), MADE.load(Ordering::Relaxed)), (FileKind::Directory, 0));
        let ownership = Ownership { uid: 0, gid: 0, permissions: 0o644 };
        directory.create(b"file", Create::File, ownership).unwrap();
        assert!(directory.lookup(b"file").is_ok());
        assert_eq!(MADE.load(Ordering::Relaxed), 1);
    }
}
