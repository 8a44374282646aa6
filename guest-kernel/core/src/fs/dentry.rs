//! The tree of names that have been looked up.
//!
//! A [`Dentry`] is an inode with a place: the directory it was found in and its name there. Directories
//! remember the entries found in them, and the names that were not there. So a path that was walked once is
//! walked again without asking a file system, and the path of an open file is found by going up.
//!
//! ```text
//!            parent (strong)                     children: name → Some(dentry), or None: known to be absent
//!   usr  <-------------------  bin                    bin → Some
//!        ------------------->                         foo → None
//! ```
//!
//! Invariants:
//! * the children of a directory change only under its `children` lock, which is also held while its file
//!   system looks up, makes or removes an entry: what is remembered is what the file system said last;
//! * two such locks are taken only by a rename, which holds `RENAME` first;
//! * a removed dentry is no one's child any more, but keeps its parent: what has it open still knows where it was;
//! * where a directory [changes from outside](super::inode::Inode::may_change_outside), nothing is taken from
//!   memory without asking, absence is not remembered at all, and an entry stays the same dentry as long as it is the same file.
//!
//! Memory is bounded: past [`ABSENT_LIMIT`] absent names of a directory they are forgotten, past [`LIMIT`] dentries
//! all that nobody uses are.

use super::inode::{Create, FileKind, Inode, InodeRef, Metadata, Ownership};
use super::mount::{Mount, Plan, path_inside};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::{Mutex, MutexGuard};

/// Absent names that a directory remembers.
const ABSENT_LIMIT: usize = 512;
/// Dentries at which unused ones are dropped.
const LIMIT: usize = 16 * 1024;

/// Dentries alive, and how many there may be before the next try to drop unused ones.
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static SHRINK_AT: AtomicUsize = AtomicUsize::new(LIMIT);
/// Held by a rename between two directories.
static RENAME: Mutex<()> = Mutex::new(());

/// A file at its place in the tree.
pub struct Dentry {
    inode: InodeRef,
    kind: FileKind,
    changes_outside: bool,
    is_covered: AtomicBool,
    is_removed: AtomicBool,
    mount: Arc<Mount>,
    place: Mutex<Place>,
    children: Mutex<Children>,
    /// Root of the tree mounted here.
    covering: Mutex<Option<Arc<Dentry>>>,
}

struct Place {
    /// `None`: the root of a mount, or nowhere.
    parent: Option<Arc<Dentry>>,
    name: Box<[u8]>,
}

#[derive(Default)]
struct Children {
    entries: BTreeMap<Box<[u8]>, Option<Arc<Dentry>>>,
    absent: usize,
    /// Mounts to be made below here, each when a walk comes to its place.
    plans: Vec<Plan>,
}

impl Children {
    fn forget_absent(&mut self) {
        self.entries.retain(|_, child| child.is_some());
        self.absent = 0;
    }

    fn set_absent(&mut self, name: &[u8]) {
        if self.absent >= ABSENT_LIMIT {
            self.forget_absent();
        }
        self.absent += 1;
        self.entries.insert(name.into(), None);
    }

    /// Forgets what is known of `name`.
    fn take(&mut self, name: &[u8]) -> Option<Arc<Dentry>> {
        match self.entries.remove(name) {
            Some(None) => {
                self.absent -= 1;
                None
            }
            Some(child) => child,
            None => None,
        }
    }

    fn set(&mut self, name: &[u8], child: &Arc<Dentry>) {
        match self.entries.get_mut(name) {
            Some(entry) => {
                if entry.replace(Arc::clone(child)).is_none() {
                    self.absent -= 1;
                }
            }
            None => {
                self.entries.insert(name.into(), Some(Arc::clone(child)));
            }
        }
    }
}

impl Dentry {
    fn new(mount: Arc<Mount>, parent: Option<Arc<Self>>, name: &[u8], inode: InodeRef) -> Arc<Self> {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        let kind = inode.kind();
        Arc::new(Self {
            kind,
            changes_outside: kind == FileKind::Directory && inode.may_change_outside(),
            inode,
            is_covered: AtomicBool::new(false),
            is_removed: AtomicBool::new(false),
            mount,
            place: Mutex::new(Place { parent, name: name.into() }),
            children: Mutex::default(),
            covering: Mutex::new(None),
        })
    }

    /// The root of a mount.
    #[must_use]
    pub fn root(mount: Arc<Mount>, inode: InodeRef) -> Arc<Self> {
        Self::new(mount, None, b"", inode)
    }

    /// A file that is nowhere in the tree; `name` is what stands for its path.
    #[must_use]
    pub fn detached(mount: Arc<Mount>, name: &[u8], inode: InodeRef) -> Arc<Self> {
        let dentry = Self::new(mount, None, name, inode);
        dentry.is_removed.store(true, Ordering::Relaxed);
        dentry
    }

    /// The inode.
    #[must_use]
    pub fn inode(&self) -> &InodeRef {
        &self.inode
    }

    /// What `stat` tells. A file system that has no device number gets one of its mount.
    pub fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = self.inode.metadata()?;
        if metadata.device == 0 {
            metadata.device = 0x1000 + u64::from(self.mount.id);
        }
        Ok(metadata)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// The mount it belongs to.
    #[must_use]
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The directory it is in; `None` at the root of a mount and for what is nowhere.
    #[must_use]
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.place.lock().parent.clone()
    }

    /// Whether it has been removed from its directory.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Relaxed)
    }

    /// Whether something is mounted here.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        self.is_covered.load(Ordering::Acquire)
    }

    /// Lets `root` hide what is here.
    pub(super) fn cover(&self, root: Arc<Self>) {
        *self.covering.lock() = Some(root);
        self.is_covered.store(true, Ordering::Release);
    }

    /// What a walk that arrives here finds: the root of what is mounted on top, else this.
    #[must_use]
    pub fn uppermost(self: Arc<Self>) -> Arc<Self> {
        let mut dentry = self;
        while dentry.is_covered() {
            let Some(root) = dentry.covering.lock().clone() else { break };
            dentry = root;
        }
        dentry
    }

    /// The entry `name`, without regard to mounts.
    pub fn child(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>, Errno> {
        let mut children = self.children.lock();
        if children.plans.iter().any(|plan| plan.name == name) {
            return self.follow_plans(&mut children, name);
        }
        if let Some(known) = children.entries.get(name)
            && (!self.changes_outside || known.as_ref().is_some_and(|child| child.is_covered()))
        {
            return known.clone().ok_or(Errno::ENOENT);
        }
        if !self.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        if self.is_removed() {
            return Err(Errno::ENOENT);
        }
        match self.inode.lookup(name) {
            Ok(inode) => {
                if let Some(Some(known)) = children.entries.get(name)
                    && is_same(&known.inode, &inode)
                {
                    return Ok(Arc::clone(known));
                }
                let child = self.adopt(&mut children, name, inode);
                drop(children);
                shrink_if_large(&self.mount_root());
                Ok(child)
            }
            Err(Errno::ENOENT) => {
                if self.changes_outside {
                    if let Some(gone) = children.take(name) {
                        gone.is_removed.store(true, Ordering::Relaxed);
                    }
                } else {
                    children.set_absent(name);
                }
                Err(Errno::ENOENT)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Has a mount made when a walk comes to its place, which is below here.
    pub(super) fn expect(&self, plan: Plan) {
        self.children.lock().plans.push(plan);
    }

    /// The entry `name`, to which plans lead: it is made if need be, and they move on to it.
    #[cold]
    fn follow_plans(self: &Arc<Self>, children: &mut Children, name: &[u8]) -> Result<Arc<Self>, Errno> {
        let child = match children.entries.get(name) {
            Some(Some(known)) => Arc::clone(known),
            _ => {
                let plan = children.plans.iter().find(|plan| plan.name == name);
                let what = plan.map_or(Create::Directory, Plan::stand_in);
                let permissions = if matches!(what, Create::File) { 0o644 } else { 0o755 };
                let ownership = Ownership { uid: 0, gid: 0, permissions };
                let inode = match self.inode.lookup(name) {
                    Err(Errno::ENOENT) => self.inode.create(name, what, ownership)?,
                    found => found?,
                };
                self.adopt(children, name, inode)
            }
        };
        let mut plans =
            children.plans.extract_if(.., |plan| plan.name == name).collect::<Vec<_>>().into_iter();
        while let Some(plan) = plans.next() {
            let place = Arc::clone(&child).uppermost();
            if !plan.is_near() {
                plan.go_on(&place);
            } else if let Err(errno) = plan.carry_out(&place) {
                children.plans.push(plan);
                children.plans.extend(plans);
                return Err(errno);
            }
        }
        Ok(child)
    }

    /// See [`Namespace::enter`](super::mount::Namespace::enter); this is the root of the tree.
    pub(super) fn enter_plan<'a>(self: &Arc<Self>, path: &'a [u8]) -> Option<(Arc<Self>, &'a [u8])> {
        let plans = &mut self.children.lock().plans;
        // The innermost; of several at one place, the last one counts.
        let inside = plans.iter_mut().filter_map(|plan| Some((plan.inside(path)?, plan)));
        let (rest, plan) = inside.max_by_key(|(_, plan)| plan.path.len())?;
        let (root, outer) = (plan.enter(self)?, plan.path);
        for plan in plans.extract_if(.., |plan| plan.path != outer && path_inside(plan.path, outer).is_some())
        {
            plan.start_from(&root, outer);
        }
        Some((root, rest))
    }

    /// Makes the entries to which plans lead. Returns them.
    pub fn settle(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let next = || self.children.lock().plans.first().map(|plan| plan.name);
        // One that cannot be made is tried again by whoever looks it up, and will tell why.
        core::iter::from_fn(|| self.child(next()?).ok()).collect()
    }

    /// Makes the entry `name`.
    pub fn create(
        self: &Arc<Self>,
        name: &[u8],
        what: Create<'_>,
        ownership: Ownership,
    ) -> Result<Arc<Self>, Errno> {
        let mut children = self.lock_to_change()?;
        let inode = self.inode.create(name, what, ownership)?;
        Ok(self.adopt(&mut children, name, inode))
    }

    /// Makes `name` one more name of `target`.
    pub fn link(self: &Arc<Self>, name: &[u8], target: &Self) -> Result<(), Errno> {
        let mut children = self.lock_to_change()?;
        self.inode.link(name, &target.inode)?;
        self.adopt(&mut children, name, Arc::clone(&target.inode));
        Ok(())
    }

    /// Removes the name of something other than a directory.
    pub fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let mut children = self.lock_to_change()?;
        self.inode.unlink(name)?;
        self.forget(&mut children, name);
        Ok(())
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &[u8]) -> Result<(), Errno> {
        let mut children = self.lock_to_change()?;
        self.inode.remove_directory(name)?;
        self.forget(&mut children, name);
        Ok(())
    }

    /// Moves `child`, the entry `name`, to `new_name` of `new_parent`. What was there is gone, unless `keep_existing`, which makes it EEXIST.
    pub fn rename(
        self: &Arc<Self>,
        name: &[u8],
        child: &Arc<Self>,
        new_parent: &Arc<Self>,
        new_name: &[u8],
        keep_existing: bool,
    ) -> Result<(), Errno> {
        let _exclusive = RENAME.lock();
        let mut from = self.lock_to_change()?;
        let mut to = if Arc::ptr_eq(self, new_parent) { None } else { Some(new_parent.lock_to_change()?) };
        child.inode.prepare_move()?;
        self.inode.rename(name, &new_parent.inode, new_name, keep_existing)?;
        new_parent.forget(to.as_mut().unwrap_or(&mut from), new_name);
        self.forget(&mut from, name);
        child.is_removed.store(false, Ordering::Relaxed);
        let old = {
            let place = Place { parent: Some(Arc::clone(new_parent)), name: new_name.into() };
            core::mem::replace(&mut *child.place.lock(), place)
        };
        to.as_mut().unwrap_or(&mut from).set(new_name, child);
        drop((to, from));
        drop(old);
        Ok(())
    }

    /// Two entries, one of this directory and one of `other`, take each other's place.
    pub fn exchange(
        self: &Arc<Self>,
        one: (&[u8], &Arc<Self>),
        other: &Arc<Self>,
        its: (&[u8], &Arc<Self>),
    ) -> Result<(), Errno> {
        let _exclusive = RENAME.lock();
        let mut from = self.lock_to_change()?;
        let mut to = if Arc::ptr_eq(self, other) { None } else { Some(other.lock_to_change()?) };
        one.1.inode.prepare_move()?;
        its.1.inode.prepare_move()?;
        self.inode.exchange(one.0, &other.inode, its.0)?;
        to.as_mut().unwrap_or(&mut from).set(its.0, one.1);
        from.set(one.0, its.1);
        let moved = [(one.1, other, its.0), (its.1, self, one.0)];
        let old = moved.map(|(dentry, parent, name)| {
            dentry.is_removed.store(false, Ordering::Relaxed);
            let place = Place { parent: Some(Arc::clone(parent)), name: name.into() };
            core::mem::replace(&mut *dentry.place.lock(), place)
        });
        drop((to, from));
        drop(old);
        Ok(())
    }

    /// Whether `self` is `other` or above it, within one mount.
    #[must_use]
    pub fn contains(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Some(Arc::clone(other));
        while let Some(dentry) = at {
            if Arc::ptr_eq(self, &dentry) {
                return true;
            }
            at = dentry.parent();
        }
        false
    }

    /// Its absolute path as seen from `root`. What is not below `root` begins with `(unreachable)`, what has
    /// been removed ends with ` (deleted)`, and what never had a path is named by what stands for it.
    #[must_use]
    pub fn path(self: &Arc<Self>, root: &Arc<Self>) -> Vec<u8> {
        let mut reversed = Vec::with_capacity(64);
        let mut dentry = Arc::clone(self);
        let is_reachable = loop {
            if Arc::ptr_eq(&dentry, root) {
                break true;
            }
            let next = {
                let place = dentry.place.lock();
                reversed.extend(place.name.iter().rev());
                place.parent.clone()
            };
            dentry = match next {
                Some(parent) => {
                    reversed.push(b'/');
                    parent
                }
                None => {
                    if let Some(path) = dentry.mount.known_path(root) {
                        reversed.extend(path.iter().rev());
                        break true;
                    }
                    match dentry.mount.covered() {
                        Some(covered) => covered,
                        None => break false,
                    }
                }
            };
        };
        let is_nowhere = !is_reachable && dentry.is_removed() && Arc::ptr_eq(&dentry, self);
        if reversed.is_empty() {
            reversed.push(b'/');
        }
        if !is_reachable && !is_nowhere {
            reversed.extend(b"(unreachable)".iter().rev());
        }
        reversed.reverse();
        if self.is_removed() && !is_nowhere {
            reversed.extend_from_slice(b" (deleted)");
        }
        reversed
    }

    /// Its name in its directory.
    #[must_use]
    pub fn name(&self) -> Box<[u8]> {
        self.place.lock().name.clone()
    }

    fn lock_to_change(&self) -> Result<MutexGuard<'_, Children>, Errno> {
        let children = self.children.lock();
        if self.is_removed() { Err(Errno::ENOENT) } else { Ok(children) }
    }

    fn adopt(self: &Arc<Self>, children: &mut Children, name: &[u8], inode: InodeRef) -> Arc<Self> {
        let child = Self::new(Arc::clone(&self.mount), Some(Arc::clone(self)), name, inode);
        children.set(name, &child);
        child
    }

    /// Remembers that `name` is gone.
    fn forget(&self, children: &mut Children, name: &[u8]) {
        if let Some(gone) = children.take(name) {
            gone.is_removed.store(true, Ordering::Relaxed);
        }
        if !self.changes_outside {
            children.set_absent(name);
        }
    }

    fn mount_root(self: &Arc<Self>) -> Option<Arc<Self>> {
        if ALIVE.load(Ordering::Relaxed) <= SHRINK_AT.load(Ordering::Relaxed) {
            return None;
        }
        let mut dentry = Arc::clone(self);
        while let Some(parent) = dentry.parent() {
            dentry = parent;
        }
        Some(dentry)
    }

    /// Never waits: the lock order between a parent and a child is not fixed.
    fn may_have_children(&self) -> bool {
        self.children
            .try_lock()
            .is_none_or(|children| !(children.entries.is_empty() && children.plans.is_empty()))
    }

    /// Drops the children that nobody uses.
    fn prune(&self) {
        let mut unused = Vec::new();
        let mut children = self.children.lock();
        children.forget_absent();
        children.entries.retain(|_, child| {
            let is_used = child.as_ref().is_some_and(|child| {
                Arc::strong_count(child) > 1 || child.is_covered() || child.may_have_children()
            });
            if !is_used {
                unused.extend(child.take());
            }
            is_used
        });
        drop(children);
    }
}

impl core::fmt::Debug for Dentry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Dentry({:?})", alloc::string::String::from_utf8_lossy(&self.place.lock().name))
    }
}

impl Drop for Dentry {
    /// Goes up without recursion: a removed tree may be deeper than the kernel's stack.
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
        let mut next = self.place.get_mut().parent.take();
        while let Some(parent) = next {
            next = Arc::into_inner(parent).and_then(|mut parent| parent.place.get_mut().parent.take());
        }
    }
}

/// Whether two inodes are the same file.
fn is_same(known: &InodeRef, found: &InodeRef) -> bool {
    if Arc::ptr_eq(known, found) {
        return true;
    }
    let identity = |inode: &dyn Inode| inode.metadata().ok().map(|m| (m.device, m.inode, m.kind));
    known.kind() == found.kind()
        && identity(known.as_ref()).is_some_and(|known| identity(found.as_ref()) == Some(known))
}

/// Drops the unused dentries below `root`, children before their parents.
fn shrink_if_large(root: &Option<Arc<Dentry>>) {
    let Some(root) = root else { return };
    let mut directories = alloc::vec![Arc::clone(root)];
    let mut next = 0;
    while let Some(directory) = directories.get(next).cloned() {
        let children = directory.children.lock();
        let nested = children.entries.values().flatten().filter(|child| child.is_directory());
        directories.extend(nested.cloned());
        next += 1;
    }
    while let Some(directory) = directories.pop() {
        directory.prune();
    }
    SHRINK_AT.store(LIMIT.max(2 * ALIVE.load(Ordering::Relaxed)), Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
