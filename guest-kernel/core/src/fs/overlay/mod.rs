//! An overlay: a tree that is never written below, a RAM file system above, seen as one.
//!
//! ```text
//! upper (RAM)     etc/          tmp.txt    bin/old: whiteout        what was written, and what was removed
//! lower (host)    etc/ passwd              bin/ old  ls             never changes
//! ---------------------------------------------------------------
//! seen            etc/ passwd   tmp.txt    bin/ ls
//! ```
//!
//! * **Looking up**: the upper name if there is one, nothing if it is whited out, else the lower name. A directory
//!   that is in both is *merged*, unless the upper one is *opaque* (made where a lower one had been removed).
//! * **Reading** what only exists below costs nothing: `open` returns the lower file system's own file.
//! * **Writing** first [raises](OverlayInode::raise) the file: copies it, and the directories above it that are not
//!   there yet, into the upper layer. Whoever had the lower file open keeps reading that one (as with Linux's overlayfs).
//! * **Renaming a lower or merged directory** is EXDEV (as there): `mv` then copies.
//! * **Inode numbers** are those below, and stay so when a file is raised; new files have numbers from
//!   [`FIRST_NUMBER`] on.
//!
//! Invariant: while anything uses a file, there is one [`OverlayInode`] of it, its dentry's, so that all users see it rise at once.

mod copy;
mod directory;
mod inode;

pub use inode::OverlayInode;

use super::inode::InodeRef;
use super::ramfs::{RamFs, anonymous_device};
use alloc::sync::Arc;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// First inode number of files that are not in the lower layer.
const FIRST_NUMBER: u64 = 1 << 60;
/// OVERLAYFS_SUPER_MAGIC
const MAGIC: u64 = 0x794c_7630;

/// What the inodes of one overlay share.
struct Overlay {
    device: u64,
    upper: Arc<RamFs>,
    /// Held while something is raised.
    raising: Mutex<()>,
}

/// The root of a new overlay over the directory `lower`, with nothing written yet.
pub fn over(lower: InodeRef) -> Result<InodeRef, Errno> {
    let device = anonymous_device();
    let overlay = Overlay { device, upper: RamFs::upper(device, FIRST_NUMBER), raising: Mutex::new(()) };
    Ok(OverlayInode::root(Arc::new(overlay), lower))
}

#[cfg(test)]
mod tests;
