//! Mounts: which file system's tree hangs where.
//!
//! Every dentry belongs to exactly one mount, and a mounted tree has dentries of its own, so a place in the tree is
//! a dentry and nothing else. The dentry mounted upon is *covered*: a walk that arrives there goes on at the root of
//! the mounted tree, and `..` at such a root goes on from the covered one.
//!
//! A [`Namespace`] is made at start and only grows.

use super::dentry::Dentry;
use super::inode::{FileKind, InodeRef};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    /// Number in `/proc/self/mountinfo`.
    pub id: u32,
    /// What is mounted, as `/proc/mounts` names it.
    pub source: Box<[u8]>,
    /// Type of file system, as `/proc/mounts` names it.
    pub file_system: &'static str,
    /// Writing is EROFS.
    pub is_read_only: bool,
    /// The dentry that this mount covers; `None` for the root.
    pub covered: Option<Arc<Dentry>>,
}

/// What to mount.
#[derive(Clone, Copy, Debug)]
pub struct MountOptions<'a> {
    /// See [`Mount::source`].
    pub source: &'a [u8],
    /// See [`Mount::file_system`].
    pub file_system: &'static str,
    /// See [`Mount::is_read_only`].
    pub is_read_only: bool,
}

impl Mount {
    fn new(options: MountOptions<'_>, covered: Option<Arc<Dentry>>) -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            source: options.source.into(),
            file_system: options.file_system,
            is_read_only: options.is_read_only,
            covered,
        })
    }

    /// A mount that is nowhere in the tree: that of pipes and other files without a path.
    pub(super) fn detached(file_system: &'static str) -> Arc<Self> {
        Self::new(MountOptions { source: b"none", file_system, is_read_only: false }, None)
    }
}

/// The tree that a program sees.
#[derive(Debug)]
pub struct Namespace {
    root: Arc<Dentry>,
    /// Roots of all mounts, in order.
    mounted: Mutex<Vec<Arc<Dentry>>>,
}

impl Namespace {
    /// A tree whose root is `inode`.
    #[must_use]
    pub fn new(inode: InodeRef, options: MountOptions<'_>) -> Arc<Self> {
        let root = Dentry::root(Mount::new(options, None), inode);
        Arc::new(Self { mounted: Mutex::new(alloc::vec![Arc::clone(&root)]), root })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// Mounts `inode` at `place`: a directory on a directory (else ENOTDIR), another file on another file. Returns the root of what is mounted.
    pub fn mount(
        &self,
        place: &Arc<Dentry>,
        inode: InodeRef,
        options: MountOptions<'_>,
    ) -> Result<Arc<Dentry>, Errno> {
        let is_directory = |kind| kind == FileKind::Directory;
        if is_directory(place.kind()) != is_directory(inode.kind()) {
            return Err(Errno::ENOTDIR);
        }
        let root = Dentry::root(Mount::new(options, Some(Arc::clone(place))), inode);
        place.cover(Arc::clone(&root));
        self.mounted.lock().push(Arc::clone(&root));
        Ok(root)
    }

    /// Roots of all mounts, the first mounted first.
    #[must_use]
    pub fn mounts(&self) -> Vec<Arc<Dentry>> {
        self.mounted.lock().clone()
    }
}
