//! What the partition sees of the host's files.
//!
//! Three steps, each in a file of its own:
//!
//! 1. [`plan`] decides, without changing anything, what is shared and where: the system directories, the current
//!    directory, the volumes, a program that is in none of them.
//! 2. [`enter`] makes it so: in a mount namespace of its own the worker composes a tree of read-only mounts, makes it
//!    its root and lets go of everything else. From then on the worker's file system is
//!
//! ```text
//! /                     RAM, read-only once complete
//! ├── proc/self/        fd: the worker's own descriptors, which the file server names by path; an empty mountinfo
//! └── share/            SHARED_ROOT: what the virtio-fs device serves
//!     ├── system/       lower layer of the partition's root
//!     │   ├── usr/ …    the host's directories, read-only
//!     │   ├── bin -> …  its symbolic links, as they are
//!     │   ├── etc/      a chosen few files and directories, and some made up
//!     │   └── tmp/ …    empty: mount points
//!     ├── 0/            the first share: the current directory, or a volume
//!     └── 1/ …
//! ```
//!
//! 3. [`View`] looks paths up as the partition will, through the list of mounts that the guest kernel gets, so that a
//!    program that cannot be started is explained before any machine is built.
//!
//! Invariants: nothing of the host's `/root`, `/home`, `/proc` or `/sys` is ever shared unless the caller named it (by
//! standing in it, or as a volume or program); every mount is without set-user-id, devices and execution on the host;
//! every mount except writable volumes is read-only.

mod enter;
mod etc;
mod image;
mod namespace;
mod plan;
mod system;
mod tree;
mod user;
mod view;
mod workdir;

pub(crate) use enter::{enter, leave, try_to_enter};
pub(crate) use image::RootImage;
pub(crate) use plan::{Plan, plan, unshared_directory};
pub(crate) use user::User;
pub(crate) use view::{Kind, LookupError, Place, View};
pub(crate) use workdir::workdir;

#[cfg(test)]
mod enter_tests;

/// The directory that is shared with the partition, as the worker sees it after [`enter`].
pub(crate) const SHARED_ROOT: &str = "/share";
