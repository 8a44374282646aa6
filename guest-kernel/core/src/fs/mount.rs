//! Mounts: which file system's tree hangs where.
//!
//! Every dentry belongs to exactly one mount, and a mounted tree has dentries of its own, so a place in the tree is
//! a dentry and nothing else. The dentry mounted upon is *covered*: a walk that arrives there goes on at the root of
//! the mounted tree, and `..` at such a root goes on from the covered one.
//!
//! Most mounts are [planned](Namespace::plan): the file system is made when somebody comes to its place. A plan waits at
//! the dentry from which its way goes on, and moves on with the first walk that takes a step of that way:
//!
//! ```text
//! /: tmp, home/me/data          nobody was anywhere
//! /: tmp    home: me/data       /home was looked up; it was made if it was not there
//! /: tmp    home/me: -          /home/me/data is mounted
//! ```
//!
//! So a plan costs nothing until its place is looked up, listed (see [`Dentry::settle`]) or told of
//! ([`Namespace::mounts`]), and nobody can tell it from a mount. Its path must have no symbolic links.
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

/// Makes a file system, given the directory that it will cover. Returns its root.
pub type Maker = Box<dyn Fn(&Dentry) -> Result<InodeRef, Errno> + Send + Sync>;

/// A mount that is made when somebody comes to its place.
pub(super) struct Plan {
    /// The next step of the way.
    pub(super) name: &'static [u8],
    /// The steps after it.
    rest: &'static [u8],
    options: MountOptions<'static>,
    make: Maker,
    mounted: Arc<Roots>,
}

/// The first name of a path, and what follows it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split_at(path.iter().position(|&byte| byte == b'/').unwrap_or(path.len()))
}

impl Plan {
    /// Makes the next step, to `child`. If it fails, the plan comes back.
    pub(super) fn follow(mut self, child: &Arc<Dentry>) -> Result<(), (Errno, Self)> {
        let place = Arc::clone(child).uppermost();
        if !self.rest.is_empty() {
            (self.name, self.rest) = split(self.rest);
            place.expect(self);
            return Ok(());
        }
        let mount = |inode| self.mounted.mount(&place, inode, self.options);
        match (self.make)(&place).and_then(mount) {
            Ok(_) => Ok(()),
            Err(errno) => Err((errno, self)),
        }
    }
}

/// Roots of mounts, in order.
#[derive(Debug)]
struct Roots(Mutex<Vec<Arc<Dentry>>>);

impl Roots {
    fn mount(
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
        self.0.lock().push(Arc::clone(&root));
        Ok(root)
    }
}

/// The tree that a program sees.
#[derive(Debug)]
pub struct Namespace {
    root: Arc<Dentry>,
    mounted: Arc<Roots>,
}

impl Namespace {
    /// A tree whose root is `inode`.
    #[must_use]
    pub fn new(inode: InodeRef, options: MountOptions<'_>) -> Arc<Self> {
        let root = Dentry::root(Mount::new(options, None), inode);
        let mounted = Arc::new(Roots(Mutex::new(alloc::vec![Arc::clone(&root)])));
        Arc::new(Self { root, mounted })
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
        self.mounted.mount(place, inode, options)
    }

    /// Mounts what `make` makes at `path` as soon as somebody comes there. Directories that are not there are made.
    pub fn plan(&self, path: &'static [u8], options: MountOptions<'static>, make: Maker) {
        let (name, rest) = split(path);
        self.root.expect(Plan { name, rest, options, make, mounted: Arc::clone(&self.mounted) });
    }

    /// Roots of all mounts, the first mounted first. Those that are planned are made.
    #[must_use]
    pub fn mounts(&self) -> Vec<Arc<Dentry>> {
        let mut waiting = alloc::vec![Arc::clone(&self.root)];
        while let Some(directory) = waiting.pop() {
            waiting.extend(directory.settle().into_iter().map(Dentry::uppermost));
        }
        self.mounted.0.lock().clone()
    }
}

#[cfg(test)]
mod tests;
