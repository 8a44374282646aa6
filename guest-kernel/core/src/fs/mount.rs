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
//! One may also [enter](Namespace::enter) a planned mount without walking to it, as the first program does whose working
//! directory it is. Then the mount knows its path, and finds what it covers when somebody goes up.
//!
//! A [`Namespace`] is made at start and only grows.

use super::dentry::Dentry;
use super::inode::{Create, InodeRef};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::{Mutex, Once};

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
    /// What is here is not executed.
    pub is_no_execute: bool,
    /// The dentry that this mount covers, once somebody has been there.
    covered: Once<Arc<Dentry>>,
    /// The root of the tree and the path of the place, if this mount was entered before it was come to.
    way: Option<(Arc<Dentry>, &'static [u8])>,
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
    /// See [`Mount::is_no_execute`].
    pub is_no_execute: bool,
}

impl MountOptions<'static> {
    /// A mount that refuses nothing.
    #[must_use]
    pub const fn plain(source: &'static [u8], file_system: &'static str) -> Self {
        Self { source, file_system, is_read_only: false, is_no_execute: false }
    }
}

impl Mount {
    fn new(options: MountOptions<'_>, way: Option<(Arc<Dentry>, &'static [u8])>) -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            source: options.source.into(),
            file_system: options.file_system,
            is_read_only: options.is_read_only,
            is_no_execute: options.is_no_execute,
            covered: Once::new(),
            way,
        })
    }

    /// The dentry that this mount covers; `None` for the root.
    #[must_use]
    pub fn covered(&self) -> Option<Arc<Dentry>> {
        if let (None, Some((root, path))) = (self.covered.get(), &self.way) {
            // Who comes to the place makes the mount there, which tells what it covers.
            let mut at = Arc::clone(root);
            for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
                at = at.child(name).ok()?.uppermost();
            }
        }
        self.covered.get().cloned()
    }

    /// The path of its root as seen from `root`, if that is known without looking.
    pub(super) fn known_path(&self, root: &Arc<Dentry>) -> Option<&'static [u8]> {
        let (top, path) = self.way.as_ref()?;
        Arc::ptr_eq(top, root).then_some(*path)
    }

    /// A mount that is nowhere in the tree: that of pipes and other files without a path.
    pub(super) fn detached(file_system: &'static str) -> Arc<Self> {
        Self::new(MountOptions::plain(b"none", file_system), None)
    }
}

/// Makes a file system. Returns its root.
pub enum Maker {
    /// The same wherever it is mounted.
    Free(Box<MakeFree>),
    /// Given the directory that it will cover.
    Covering(Box<MakeCovering>),
    /// As [`Free`](Self::Free), of one file: it covers a file, which is made if it is not there.
    File(Box<MakeFree>),
}

/// See [`Maker::Free`].
pub type MakeFree = dyn Fn() -> Result<InodeRef, Errno> + Send + Sync;
/// See [`Maker::Covering`].
pub type MakeCovering = dyn Fn(&Dentry) -> Result<InodeRef, Errno> + Send + Sync;

/// A mount that is made when somebody comes to its place.
pub(super) struct Plan {
    /// The next step of the way.
    pub(super) name: &'static [u8],
    /// The steps after it.
    rest: &'static [u8],
    /// The whole way.
    pub(super) path: &'static [u8],
    /// The mount's root, if somebody has entered it.
    root: Option<Arc<Dentry>>,
    options: MountOptions<'static>,
    make: Maker,
    mounted: Arc<Roots>,
}

/// The first name of a path, and what follows it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split_at(path.iter().position(|&byte| byte == b'/').unwrap_or(path.len()))
}

/// What is left of `path` inside of `outer`; `None` if it is not inside.
pub(super) fn path_inside<'a>(path: &'a [u8], outer: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(outer).filter(|rest| matches!(rest, [] | [b'/', ..]))
}

impl Plan {
    /// Whether the next step leads to the place of the mount.
    pub(super) fn is_near(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is to be made where there is nothing for the next step.
    pub(super) fn stand_in(&self) -> Create<'static> {
        if self.is_near() && matches!(self.make, Maker::File(_)) { Create::File } else { Create::Directory }
    }

    /// Makes a step that is not the last, to `place`.
    pub(super) fn go_on(mut self, place: &Dentry) {
        (self.name, self.rest) = split(self.rest);
        place.expect(self);
    }

    /// Makes the last step, to `place`.
    pub(super) fn carry_out(&self, place: &Arc<Dentry>) -> Result<(), Errno> {
        let inode = match (&self.root, &self.make) {
            (Some(root), _) => return self.mounted.mount(place, root),
            (None, Maker::Free(make) | Maker::File(make)) => make()?,
            (None, Maker::Covering(make)) => make(place)?,
        };
        self.mounted.mount(place, &Dentry::root(Mount::new(self.options, None), inode))
    }

    /// What is left of `path` inside of this mount.
    pub(super) fn inside<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path_inside(path, self.path)
    }

    /// Goes on from the root of the mount at `outer`, which was entered, and in which this one lies.
    pub(super) fn start_from(mut self, root: &Dentry, outer: &[u8]) {
        (self.name, self.rest) = split(path_inside(self.path, outer).unwrap_or_default());
        root.expect(self);
    }

    /// The mount's root, made if need be; `top` is the root of the tree. `None` if it has to be come to.
    pub(super) fn enter(&mut self, top: &Arc<Dentry>) -> Option<Arc<Dentry>> {
        if let (None, Maker::Free(make)) = (&self.root, &self.make) {
            let way = Some((Arc::clone(top), self.path));
            let root = Dentry::root(Mount::new(self.options, way), make().ok()?);
            self.mounted.add(&root);
            self.root = Some(root);
        }
        self.root.clone()
    }
}

/// Roots of mounts, in order.
#[derive(Debug)]
struct Roots(Mutex<Vec<Arc<Dentry>>>);

impl Roots {
    /// Lists a root, once.
    fn add(&self, root: &Arc<Dentry>) {
        let mut roots = self.0.lock();
        if !roots.iter().any(|known| Arc::ptr_eq(known, root)) {
            roots.push(Arc::clone(root));
        }
    }

    fn mount(&self, place: &Arc<Dentry>, root: &Arc<Dentry>) -> Result<(), Errno> {
        if place.is_directory() != root.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        root.mount().covered.call_once(|| Arc::clone(place));
        place.cover(Arc::clone(root));
        self.add(root);
        Ok(())
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
        let root = Dentry::root(Mount::new(options, None), inode);
        self.mounted.mount(place, &root)?;
        Ok(root)
    }

    /// Mounts what `make` makes at `path` as soon as somebody comes there. Directories that are not there are made.
    pub fn plan(&self, path: &'static [u8], options: MountOptions<'static>, make: Maker) {
        let (name, rest) = split(path);
        let mounted = Arc::clone(&self.mounted);
        self.root.expect(Plan { name, rest, path, root: None, options, make, mounted });
    }

    /// The root of the innermost planned mount that `path` leads into, and the rest of the path. `None` if there is none, or
    /// somebody has been on its way.
    #[must_use]
    pub fn enter<'a>(&self, path: &'a [u8]) -> Option<(Arc<Dentry>, &'a [u8])> {
        self.root.enter_plan(path)
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
