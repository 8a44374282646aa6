//! A directory of the host as something that can be mounted anywhere later: a detached copy of its mounts.
//!
//! `open_tree` copies the mounts of a directory and all below it without attaching them, `mount_setattr` restricts all
//! of them at once, `move_mount` attaches them. Restricting comes before attaching, so that there is no moment at which
//! the partition's tree holds a writable mount of the host. Linux 5.12 has all three.
#![allow(unsafe_code, reason = "mount_setattr has no safe wrapper")]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

/// Whether files may be changed through a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// A detached copy.
pub(super) struct Tree {
    descriptor: OwnedFd,
}

impl Tree {
    /// Copies and restricts the mounts at and below `path`; the last symbolic link is followed.
    pub(super) fn copy(path: &Path, access: Access) -> Result<Self, Errno> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let descriptor = open_tree(CWD, path, flags)?;
        let mut set = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
        if access == Access::ReadOnly {
            set |= libc::MOUNT_ATTR_RDONLY;
        }
        set_attributes(&descriptor, set, true)?;
        Ok(Self { descriptor })
    }

    /// Attaches the copy on top of `target`, which must be of the same kind (directory or not).
    pub(super) fn attach(self, target: &Path) -> Result<(), Errno> {
        move_mount(&self.descriptor, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    }
}

/// Adds attributes to the mount that `descriptor` is the root of, and to those below it.
fn set_attributes(descriptor: &OwnedFd, set: u64, recursive: bool) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY:
    // 1. The path is a C string, empty, which AT_EMPTY_PATH makes mean the descriptor itself.
    // 2. `attributes` is initialized, outlives the call, and its size is the one that is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            descriptor.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    }
}

/// Makes the mount at `path` read-only, not those below it.
pub(super) fn seal(path: &Path) -> Result<(), Errno> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    set_attributes(&descriptor, libc::MOUNT_ATTR_RDONLY, false)
}
