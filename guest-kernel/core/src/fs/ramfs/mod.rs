//! A file system in memory: `/tmp`, `/dev`, memfd, and the upper layer of overlays.
//!
//! ```text
//! RamInode ── attributes (permissions, owner, times, number of names)
//!          └─ body: entries of a directory │ contents of a regular file │ text of a link │ device number
//! ```
//!
//! Names change only under the file system's `tree` lock, so that a change of two directories is one
//! step; looking up takes only the directory's own lock. A file lives as long as a name or an open file has it.
//!
//! Memory: a file's pages are frames like a program's. A file system stops at its limit (ENOSPC), and all of them leave
//! the last sixteenth of memory to the program.

mod contents;
mod directory;
mod extended;
mod inode;
mod seals;

pub use contents::Contents;
pub use directory::Slot;
pub use inode::RamInode;
pub use seals::{Seal, Seals, Writer};

use crate::fs::anonymous;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::{Access, Create, File, FileSystemStatus, Inode, InodeRef, Ownership};
use crate::fs::open::OpenFlags;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::frame::{self, Frame};
use septum_guest_hal::sync::{Mutex, Once};

/// TMPFS_MAGIC
const MAGIC: u64 = 0x0102_1994;
/// Largest file, bytes.
const MAX_SIZE: u64 = crate::fs::descriptors::MAX_POSITION;

/// A file system in memory.
pub struct RamFs {
    device: u64,
    next_number: AtomicU64,
    frames: AtomicU64,
    frame_limit: u64,
    inodes: AtomicU64,
    inode_limit: u64,
    extended: extended::Allowance,
    tree: Mutex<()>,
    root: Once<Arc<RamInode>>,
}

/// Device numbers for file systems that have no device.
#[must_use]
pub fn anonymous_device() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0x20);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl RamFs {
    /// An empty one, limited only by memory. Its root belongs to user 0 and has permissions 755.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_limit(u64::MAX)
    }

    /// An empty one of at most `frames` pages of file contents.
    #[must_use]
    pub fn with_limit(frames: u64) -> Arc<Self> {
        Self::build(frames, anonymous_device(), 1)
    }

    /// The upper layer of an overlay: with the overlay's device number, and inode numbers out of the way of those below.
    pub(super) fn upper(device: u64, first_number: u64) -> Arc<Self> {
        Self::build(u64::MAX, device, first_number)
    }

    fn build(frame_limit: u64, device: u64, first_number: u64) -> Arc<Self> {
        Arc::new(Self {
            device,
            next_number: AtomicU64::new(first_number),
            frames: AtomicU64::new(0),
            frame_limit,
            inodes: AtomicU64::new(0),
            // As Linux: as many files as half of memory has pages.
            inode_limit: (frame::usage().total / 2).max(8 * 1024),
            extended: extended::Allowance::default(),
            tree: Mutex::new(()),
            root: Once::new(),
        })
    }

    /// The root directory.
    #[must_use]
    pub fn root(self: &Arc<Self>) -> InodeRef {
        Arc::<RamInode>::clone(self.ram_root()) as InodeRef
    }

    pub(super) fn ram_root(self: &Arc<Self>) -> &Arc<RamInode> {
        self.root.call_once(|| {
            let ownership = Ownership { uid: 0, gid: 0, permissions: 0o755 };
            RamInode::build_root(Arc::clone(self), ownership)
        })
    }

    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Gets a frame for a file's contents by `make`.
    fn take_frame(&self, make: impl FnOnce() -> Option<Frame>) -> Result<Frame, Errno> {
        let usage = frame::usage();
        if usage.total > 0 && usage.total - usage.used < usage.total / 16 {
            return Err(Errno::ENOSPC);
        }
        let is_within = self.frames.fetch_add(1, Ordering::Relaxed) < self.frame_limit;
        is_within.then(make).flatten().ok_or_else(|| {
            self.give_back(1);
            Errno::ENOSPC
        })
    }

    /// Counts `frames` as free again.
    fn give_back(&self, frames: u64) {
        self.frames.fetch_sub(frames, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> FileSystemStatus {
        let usage = frame::usage();
        let used = self.frames.load(Ordering::Relaxed);
        let blocks = self.frame_limit.min(usage.total);
        FileSystemStatus {
            magic: MAGIC,
            block_size: 4096,
            blocks,
            blocks_free: blocks.saturating_sub(used).min(usage.total - usage.used),
            files: self.inode_limit,
            files_free: self.inode_limit.saturating_sub(self.inodes.load(Ordering::Relaxed)),
            name_max: 255,
        }
    }
}

/// `memfd_create`: an open file in memory without a name in any directory; `name` is shown in `/proc`.
pub fn memory_file(name: &[u8], ownership: Ownership, seals: Seal) -> Result<Arc<OpenFile>, Errno> {
    static FS: Once<Arc<RamFs>> = Once::new();
    let fs = FS.call_once(RamFs::new);
    let inode = RamInode::new(fs, Create::File, ownership)?;
    if let Some(contents) = inode.contents() {
        contents.seals.set(seals);
    }
    let file: Arc<dyn File> = inode.open(Access { read: true, write: true })?;
    let shown = [b"/memfd:", name, b" (deleted)"].concat();
    Ok(OpenFile::new(anonymous::dentry(&shown, inode), file, OpenFlags::READ_WRITE | OpenFlags::LARGE_FILE))
}

#[cfg(test)]
mod tests;
