//! Inodes and open files of the RAM file system.

use super::contents::Contents;
use super::directory::{Entries, Slot, is_directory};
use super::extended::ExtendedAttributes;
use super::{MAX_SIZE, RamFs, Seal, Writer};
use crate::fs::block;
use crate::fs::devices;
use crate::fs::inode::{
    Access, Create, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, Ownership, SetMetadata,
    SetWhen, Timestamp,
};
use crate::fs::listing::{ListedDirectory, Listing};
use crate::fs::pipe::Pipe;
use crate::io::{Destination, Source};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::{Mutex, MutexGuard};

/// A file in memory.
pub struct RamInode {
    this: Weak<Self>,
    fs: Arc<RamFs>,
    pub(super) number: u64,
    pub(super) kind: FileKind,
    attributes: Mutex<Attributes>,
    /// Few files have any.
    extended: Mutex<ExtendedAttributes>,
    body: Body,
}

#[derive(Clone, Copy)]
struct Attributes {
    permissions: u32,
    uid: u32,
    gid: u32,
    links: u32,
    accessed: Timestamp,
    modified: Timestamp,
    changed: Timestamp,
}

enum Body {
    Directory(Mutex<Entries>),
    Regular(Contents),
    Symlink(Box<[u8]>),
    Fifo(Arc<Pipe>),
    Device(u64),
}

impl RamInode {
    /// A new file without a name. ENOSPC if there are too many.
    pub(in crate::fs) fn new(
        fs: &Arc<RamFs>,
        what: Create<'_>,
        ownership: Ownership,
    ) -> Result<Arc<Self>, Errno> {
        Self::numbered(fs, fs.number(), what, ownership)
    }

    /// As [`new`](Self::new), with the inode number of the file that it is a copy of.
    pub(in crate::fs) fn numbered(
        fs: &Arc<RamFs>,
        number: u64,
        what: Create<'_>,
        ownership: Ownership,
    ) -> Result<Arc<Self>, Errno> {
        if fs.inodes.load(Ordering::Relaxed) >= fs.inode_limit {
            return Err(Errno::ENOSPC);
        }
        Ok(Self::build(Arc::clone(fs), number, what, ownership))
    }

    /// The directory that is in no other: its own `..` stands for the name that it has not.
    pub(super) fn build_root(fs: Arc<RamFs>, ownership: Ownership) -> Arc<Self> {
        let number = fs.number();
        let root = Self::build(fs, number, Create::Directory, ownership);
        root.count_links(1);
        root
    }

    fn build(fs: Arc<RamFs>, number: u64, what: Create<'_>, ownership: Ownership) -> Arc<Self> {
        fs.inodes.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::now();
        let (kind, body) = match what {
            Create::File => (FileKind::Regular, Body::Regular(Contents::new(Arc::clone(&fs)))),
            Create::Directory => (FileKind::Directory, Body::Directory(Mutex::default())),
            Create::Symlink(text) => (FileKind::Symlink, Body::Symlink(text.into())),
            Create::Node { kind: FileKind::Fifo, .. } => (FileKind::Fifo, Body::Fifo(Pipe::new())),
            Create::Node { kind: FileKind::Regular, .. } => {
                (FileKind::Regular, Body::Regular(Contents::new(Arc::clone(&fs))))
            }
            Create::Node { kind, device } => (kind, Body::Device(device)),
        };
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            fs,
            number,
            kind,
            attributes: Mutex::new(Attributes {
                permissions: ownership.permissions,
                uid: ownership.uid,
                gid: ownership.gid,
                // A directory has its own "." besides; a name is counted when it is made.
                links: u32::from(is_directory(kind)),
                accessed: now,
                modified: now,
                changed: now,
            }),
            extended: Mutex::default(),
            body,
        })
    }

    /// The contents, of a regular file.
    pub(in crate::fs) fn contents(&self) -> Option<&Contents> {
        match &self.body {
            Body::Regular(contents) => Some(contents),
            _ => None,
        }
    }

    /// What `name` stands for in this directory.
    pub(in crate::fs) fn slot(&self, name: &[u8]) -> Option<Slot> {
        self.entries().ok()?.slot(name).cloned()
    }

    /// Lists this directory.
    pub(in crate::fs) fn list(&self, listing: &mut Listing) -> Result<(), Errno> {
        self.entries()?.list(listing);
        Ok(())
    }

    /// Whether this directory hides the one below.
    pub(in crate::fs) fn is_opaque(&self) -> bool {
        self.entries().is_ok_and(|entries| entries.is_opaque)
    }

    /// Makes this directory hide the one below.
    pub(in crate::fs) fn set_opaque(&self) {
        if let Ok(mut entries) = self.entries() {
            entries.is_opaque = true;
        }
    }

    /// Makes `name` stand for nothing here, nor in the directory below.
    pub(in crate::fs) fn white_out(&self, name: &[u8]) -> Result<(), Errno> {
        self.entries()?.clear(name, true);
        Ok(())
    }

    /// Gives `inode` the name `name`, which is free.
    pub(in crate::fs) fn adopt(&self, name: &[u8], inode: Arc<Self>) -> Result<(), Errno> {
        let _tree = self.fs.tree.lock();
        self.add(&mut *self.entries()?, name, inode)
    }

    /// Sets the times, of a copy of an older file.
    pub(in crate::fs) fn set_times(&self, accessed: Timestamp, modified: Timestamp) {
        let mut attributes = self.attributes.lock();
        (attributes.accessed, attributes.modified) = (accessed, modified);
    }

    fn entries(&self) -> Result<MutexGuard<'_, Entries>, Errno> {
        match &self.body {
            Body::Directory(entries) => Ok(entries.lock()),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn ours(inode: &InodeRef) -> Result<&Self, Errno> {
        inode.as_any().downcast_ref().ok_or(Errno::EXDEV)
    }

    fn this(&self) -> Result<Arc<Self>, Errno> {
        self.this.upgrade().ok_or(Errno::EIO)
    }

    fn add(&self, entries: &mut Entries, name: &[u8], inode: Arc<Self>) -> Result<(), Errno> {
        if entries.get(name).is_ok() {
            return Err(Errno::EEXIST);
        }
        inode.count_links(1);
        if is_directory(inode.kind) {
            self.count_links(1);
        }
        entries.set(name, inode);
        self.touch();
        Ok(())
    }

    /// Counts the name of `inode` in this directory as gone.
    fn lost(&self, inode: &Self) {
        if is_directory(inode.kind) {
            self.count_links(-1);
            inode.count_links(-2);
        } else {
            inode.count_links(-1);
        }
        self.touch();
    }

    fn count_links(&self, change: i32) {
        let mut attributes = self.attributes.lock();
        attributes.links = attributes.links.saturating_add_signed(change);
        attributes.changed = Timestamp::now();
    }

    /// Contents changed now.
    fn touch(&self) {
        let now = Timestamp::now();
        let mut attributes = self.attributes.lock();
        (attributes.modified, attributes.changed) = (now, now);
    }

    fn is_empty_directory(&self) -> bool {
        self.entries().is_ok_and(|entries| entries.is_empty())
    }

    /// Whether `there` may be replaced by `self`.
    fn may_replace(&self, there: &Self) -> Result<(), Errno> {
        match (is_directory(self.kind), is_directory(there.kind)) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            (true, true) if !there.is_empty_directory() => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }
}

impl Drop for RamInode {
    fn drop(&mut self) {
        self.fs.inodes.fetch_sub(1, Ordering::Relaxed);
        self.fs.extended.give_back(self.extended.lock().bytes());
    }
}

impl RamInode {
    /// Whose a new file here is: the directory's group if S_ISGID says so, which directories hand down.
    fn inherited(&self, mut ownership: Ownership, is_directory: bool) -> Ownership {
        const SET_GROUP: u32 = 0o2000;
        let attributes = self.attributes.lock();
        if attributes.permissions & SET_GROUP != 0 {
            ownership.gid = attributes.gid;
            ownership.permissions |= if is_directory { SET_GROUP } else { 0 };
        }
        ownership
    }
}

impl Inode for RamInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        let attributes = *self.attributes.lock();
        let (size, pages, represented_device) = match &self.body {
            Body::Regular(contents) => {
                let (size, pages) = contents.extent();
                (size, pages, 0)
            }
            Body::Symlink(text) => (text.len() as u64, 0, 0),
            Body::Directory(_) => (4096, 0, 0),
            Body::Fifo(_) => (0, 0, 0),
            Body::Device(device) => (0, 0, *device),
        };
        Ok(Metadata {
            device: self.fs.device,
            inode: self.number,
            kind: self.kind,
            permissions: attributes.permissions,
            links: attributes.links,
            uid: attributes.uid,
            gid: attributes.gid,
            represented_device,
            size,
            block_size: 4096,
            blocks: pages * 8,
            accessed: attributes.accessed,
            modified: attributes.modified,
            changed: attributes.changed,
        })
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        if let Some(size) = changes.size {
            let contents = self.contents().ok_or(Errno::EINVAL)?;
            if size > MAX_SIZE {
                return Err(Errno::EFBIG);
            }
            contents.set_size(size)?;
        }
        let now = Timestamp::now();
        let mut attributes = self.attributes.lock();
        let old = *attributes;
        let is_other = changes.permissions.is_some_and(|new| (new ^ old.permissions) & 0o111 != 0);
        if let Some(contents) = self.contents().filter(|_| is_other) {
            contents.seals.check(Seal::EXEC)?;
        }
        *attributes = Attributes {
            permissions: changes.permissions.unwrap_or(old.permissions),
            uid: changes.uid.unwrap_or(old.uid),
            gid: changes.gid.unwrap_or(old.gid),
            links: old.links,
            accessed: changes.accessed.unwrap_or(old.accessed),
            modified: changes.modified.unwrap_or(if changes.size.is_some() { now } else { old.modified }),
            changed: now,
        };
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let inode = Arc::clone(self.entries()?.get(name)?);
        Ok(inode)
    }

    fn create(&self, name: &[u8], what: Create<'_>, ownership: Ownership) -> Result<InodeRef, Errno> {
        let _tree = self.fs.tree.lock();
        let mut entries = self.entries()?;
        if entries.get(name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let ownership = self.inherited(ownership, matches!(what, Create::Directory));
        let inode = Self::new(&self.fs, what, ownership)?;
        self.add(&mut entries, name, Arc::clone(&inode))?;
        Ok(inode)
    }

    fn create_unnamed(&self, ownership: Ownership) -> Result<InodeRef, Errno> {
        Ok(Self::new(&self.fs, Create::File, self.inherited(ownership, false))?)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let target = Self::ours(target)?.this()?;
        if !Arc::ptr_eq(&target.fs, &self.fs) {
            return Err(Errno::EXDEV);
        }
        self.adopt(name, target)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let _tree = self.fs.tree.lock();
        let mut entries = self.entries()?;
        let inode = Arc::clone(entries.get(name)?);
        if is_directory(inode.kind) {
            return Err(Errno::EISDIR);
        }
        entries.clear(name, false);
        self.lost(&inode);
        Ok(())
    }

    fn remove_directory(&self, name: &[u8]) -> Result<(), Errno> {
        let _tree = self.fs.tree.lock();
        let mut entries = self.entries()?;
        let inode = Arc::clone(entries.get(name)?);
        if !is_directory(inode.kind) {
            return Err(Errno::ENOTDIR);
        }
        if !inode.is_empty_directory() {
            return Err(Errno::ENOTEMPTY);
        }
        entries.clear(name, false);
        self.lost(&inode);
        Ok(())
    }

    fn rename(
        &self,
        name: &[u8],
        new_parent: &InodeRef,
        new_name: &[u8],
        keep_existing: bool,
    ) -> Result<(), Errno> {
        let new_parent = Self::ours(new_parent)?;
        if !Arc::ptr_eq(&new_parent.fs, &self.fs) {
            return Err(Errno::EXDEV);
        }
        // Only holders of the tree lock take two directories' locks: their order does not matter.
        let _tree = self.fs.tree.lock();
        let mut from = self.entries()?;
        let mut other = if core::ptr::eq(self, new_parent) { None } else { Some(new_parent.entries()?) };
        let inode = Arc::clone(from.get(name)?);
        let to = other.as_mut().unwrap_or(&mut from);
        let there = to.get(new_name).ok().cloned();
        if let Some(there) = &there {
            if keep_existing {
                return Err(Errno::EEXIST);
            }
            if Arc::ptr_eq(there, &inode) {
                return Ok(());
            }
            inode.may_replace(there)?;
            new_parent.lost(there);
        }
        to.set(new_name, Arc::clone(&inode));
        from.clear(name, false);
        if is_directory(inode.kind) {
            self.count_links(-1);
            new_parent.count_links(1);
        }
        inode.count_links(0);
        self.touch();
        new_parent.touch();
        drop((other, from));
        // Freed without the directories' locks.
        drop(there);
        Ok(())
    }

    fn exchange(&self, name: &[u8], new_parent: &InodeRef, new_name: &[u8]) -> Result<(), Errno> {
        let new_parent = Self::ours(new_parent)?;
        if !Arc::ptr_eq(&new_parent.fs, &self.fs) {
            return Err(Errno::EXDEV);
        }
        let _tree = self.fs.tree.lock();
        let mut from = self.entries()?;
        let mut other = if core::ptr::eq(self, new_parent) { None } else { Some(new_parent.entries()?) };
        let one = Arc::clone(from.get(name)?);
        let to = other.as_mut().unwrap_or(&mut from);
        let two = Arc::clone(to.get(new_name)?);
        to.set(new_name, Arc::clone(&one));
        from.set(name, Arc::clone(&two));
        for (moved, came_from, went_to) in [(&one, self, new_parent), (&two, new_parent, self)] {
            if is_directory(moved.kind) {
                came_from.count_links(-1);
                went_to.count_links(1);
            }
            moved.count_links(0);
        }
        self.touch();
        new_parent.touch();
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        match &self.body {
            Body::Symlink(text) => Ok(text.to_vec()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.extended.lock().get(name)
    }

    fn set_extended_attribute(&self, name: &[u8], value: &[u8], when: SetWhen) -> Result<(), Errno> {
        self.extended.lock().set(&self.fs.extended, name, value, when)?;
        self.count_links(0);
        Ok(())
    }

    fn remove_extended_attribute(&self, name: &[u8]) -> Result<(), Errno> {
        self.extended.lock().remove(&self.fs.extended, name)?;
        self.count_links(0);
        Ok(())
    }

    fn extended_attribute_names(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.extended.lock().names())
    }

    fn pipe(&self) -> Option<Arc<Pipe>> {
        match &self.body {
            Body::Fifo(pipe) => Some(Arc::clone(pipe)),
            _ => None,
        }
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno> {
        let this = self.this()?;
        match &self.body {
            Body::Regular(_) => Ok(Arc::new(RamFile { inode: this })),
            Body::Directory(_) => {
                Ok(Arc::new(ListedDirectory::new(move |listing: &mut Listing| this.list(listing))))
            }
            Body::Symlink(_) => Err(Errno::ELOOP),
            Body::Fifo(_) => Err(Errno::ENXIO),
            Body::Device(device) if self.kind == FileKind::CharacterDevice => devices::open(*device),
            Body::Device(device) => block::open(*device, access),
        }
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        Ok(self.fs.status())
    }
}

/// An open regular file.
struct RamFile {
    inode: Arc<RamInode>,
}

/// Flags of `fallocate` (linux/falloc.h).
const KEEP_SIZE: u32 = 1;
const PUNCH_HOLE: u32 = 2;
const ZERO_RANGE: u32 = 0x10;

impl RamFile {
    fn contents(&self) -> Result<&Contents, Errno> {
        self.inode.contents().ok_or(Errno::EIO)
    }
}

impl File for RamFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        self.contents()?.read(offset, to)
    }

    fn write_at(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let len = self.contents()?.write(offset, from)?;
        if len > 0 {
            self.inode.touch();
        }
        Ok(len)
    }

    fn append(&self, from: &mut dyn Source) -> Option<Result<(usize, u64), Errno>> {
        let result = self.inode.contents()?.append(from);
        self.inode.touch();
        Some(result)
    }

    fn page(&self, index: u64) -> Result<Option<Frame>, Errno> {
        self.contents()?.page(index)
    }

    fn cached_page(&self, index: u64) -> Option<Frame> {
        self.page(index).ok().flatten()
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.checked_add(len).filter(|&end| end <= MAX_SIZE).ok_or(Errno::EFBIG)?;
        let contents = self.contents()?;
        let is_hole = mode & PUNCH_HOLE != 0;
        let is_beyond = !is_hole && end > contents.size();
        contents.seals.check(if is_hole { Seal::WRITE | Seal::FUTURE_WRITE } else { Seal::empty() })?;
        contents.seals.check(if is_beyond { Seal::GROW } else { Seal::empty() })?;
        match mode & !KEEP_SIZE {
            0 => contents.reserve(offset..end)?,
            PUNCH_HOLE if mode & KEEP_SIZE != 0 => contents.punch(offset..end),
            ZERO_RANGE => contents.punch(offset..end),
            _ => return Err(Errno::EOPNOTSUPP),
        }
        if mode & KEEP_SIZE == 0 && end > contents.size() {
            contents.set_size(end)?;
        }
        self.inode.touch();
        Ok(())
    }

    fn seals(&self) -> Option<Seal> {
        self.contents().ok().map(|contents| contents.seals.get())
    }

    fn add_seals(&self, seals: Seal) -> Result<(), Errno> {
        let is_executable = self.inode.attributes.lock().permissions & 0o111 != 0;
        self.contents()?.seals.add(seals, is_executable)
    }

    fn writer(&self) -> Result<Option<Arc<Writer>>, Errno> {
        self.contents()?.seals.writer().map(Some)
    }
}
