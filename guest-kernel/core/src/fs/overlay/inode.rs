//! Inodes of an overlay.

use super::copy::copy;
use super::directory::{OverlayDirectory, merge};
use super::{MAGIC, Overlay};
use crate::fs::block;
use crate::fs::devices;
use crate::fs::inode::{
    Access, Create, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, Ownership, SetMetadata,
    SetWhen,
};
use crate::fs::listing::Listing;
use crate::fs::pipe::Pipe;
use crate::fs::ramfs::{RamInode, Slot};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// A file of an overlay.
pub struct OverlayInode {
    this: Weak<Self>,
    overlay: Arc<Overlay>,
    kind: FileKind,
    layers: Mutex<Layers>,
    /// Where it was found, if in the lower layer: that is where it is raised to. It cannot move before.
    place: Option<(Arc<Self>, Box<[u8]>)>,
}

#[derive(Default)]
struct Layers {
    upper: Option<Arc<RamInode>>,
    /// What is below: only of directories once there is an upper.
    lower: Option<InodeRef>,
}

impl OverlayInode {
    fn new(
        overlay: Arc<Overlay>,
        kind: FileKind,
        layers: Layers,
        place: Option<(Arc<Self>, Box<[u8]>)>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            overlay,
            kind,
            layers: Mutex::new(layers),
            place,
        })
    }

    pub(super) fn root(overlay: Arc<Overlay>, lower: InodeRef) -> Arc<Self> {
        Self::new(overlay, lower.kind(), Layers { upper: None, lower: Some(lower) }, None)
    }

    /// A file that is in the upper layer alone.
    fn above(&self, upper: Arc<RamInode>) -> Arc<Self> {
        let kind = upper.kind();
        Self::new(Arc::clone(&self.overlay), kind, Layers { upper: Some(upper), lower: None }, None)
    }

    /// Both layers, as they are now.
    pub(super) fn layers(&self) -> (Option<Arc<RamInode>>, Option<InodeRef>) {
        let layers = self.layers.lock();
        (layers.upper.clone(), layers.lower.clone())
    }

    fn this(&self) -> Result<Arc<Self>, Errno> {
        self.this.upgrade().ok_or(Errno::EIO)
    }

    fn ours(inode: &InodeRef) -> Result<&Self, Errno> {
        inode.as_any().downcast_ref().ok_or(Errno::EXDEV)
    }

    /// The file in the upper layer; copied there if it is not, with the directories above it. Of its contents, the
    /// first `most` bytes are wanted.
    pub(super) fn raise(&self, most: u64) -> Result<Arc<RamInode>, Errno> {
        if let Some(upper) = self.layers().0 {
            return Ok(upper);
        }
        let _raising = self.overlay.raising.lock();
        // From here up to the first directory that is above, or the root.
        let mut missing = alloc::vec![self.this()?];
        let mut parent = None;
        while let Some((above, _)) = missing.last().and_then(|inode| inode.place.as_ref()) {
            parent = above.layers().0;
            if parent.is_some() {
                break;
            }
            missing.push(Arc::clone(above));
        }
        while let Some(inode) = missing.pop() {
            let (upper, lower) = inode.layers();
            let upper = match (upper, lower) {
                // Another thread was faster.
                (Some(upper), _) => upper,
                (None, Some(lower)) => inode.raise_into(parent.as_deref(), &lower, most)?,
                (None, None) => return Err(Errno::EIO),
            };
            parent = Some(upper);
        }
        parent.ok_or(Errno::EIO)
    }

    /// Raises this alone. The directory it is put into does not look changed by that.
    fn raise_into(
        &self,
        directory: Option<&RamInode>,
        lower: &InodeRef,
        most: u64,
    ) -> Result<Arc<RamInode>, Errno> {
        let upper = copy(&self.overlay, lower, most)?;
        if let (Some(directory), Some((_, name))) = (directory, &self.place) {
            let before = directory.metadata()?;
            directory.adopt(name, Arc::clone(&upper))?;
            directory.set_times(before.accessed, before.modified);
        }
        let mut layers = self.layers.lock();
        layers.upper = Some(Arc::clone(&upper));
        if self.kind != FileKind::Directory {
            layers.lower = None;
        }
        Ok(upper)
    }

    /// The entry `name` of the layer below this directory.
    fn lower_entry(&self, name: &[u8]) -> Result<Option<InodeRef>, Errno> {
        let Some(lower) = self.layers().1 else { return Ok(None) };
        match lower.lookup(name) {
            Ok(inode) => Ok(Some(inode)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn find(&self, name: &[u8]) -> Result<Arc<Self>, Errno> {
        let (upper, lower) = self.layers();
        let slot = upper.and_then(|upper| upper.slot(name));
        match slot {
            Some(Slot::Whiteout) => Err(Errno::ENOENT),
            Some(Slot::Inode(upper)) => {
                let mut found = Layers { upper: None, lower: None };
                let kind = upper.kind();
                if kind == FileKind::Directory && !upper.is_opaque() {
                    found.lower = self.lower_entry(name)?.filter(|lower| lower.kind() == kind);
                }
                found.upper = Some(upper);
                Ok(Self::new(Arc::clone(&self.overlay), kind, found, None))
            }
            None => {
                let found = lower.ok_or(Errno::ENOENT)?.lookup(name)?;
                let place = Some((self.this()?, name.into()));
                let kind = found.kind();
                let layers = Layers { upper: None, lower: Some(found) };
                Ok(Self::new(Arc::clone(&self.overlay), kind, layers, place))
            }
        }
    }

    /// Asks the layer whose attributes count.
    fn with_attributes<T>(&self, ask: impl FnOnce(&dyn Inode) -> Result<T, Errno>) -> Result<T, Errno> {
        match self.layers() {
            (Some(upper), _) => ask(&*upper),
            (None, Some(lower)) => ask(&*lower),
            (None, None) => Err(Errno::EIO),
        }
    }

    fn exists(&self, name: &[u8]) -> Result<bool, Errno> {
        match self.find(name) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    fn is_empty(&self) -> Result<bool, Errno> {
        let (upper, lower) = self.layers();
        let mut listing = Listing::default();
        merge(upper.as_deref(), lower.as_ref(), &mut listing)?;
        Ok(listing.is_empty())
    }

    /// Leaves a whiteout at `name`, which is gone above, if the name is below.
    fn hide(&self, name: &[u8], upper: &RamInode) -> Result<(), Errno> {
        if self.lower_entry(name)?.is_some() { upper.white_out(name) } else { Ok(()) }
    }

    /// Removes the entry `name` of both layers; `remove` does it above.
    fn remove(&self, name: &[u8], remove: impl FnOnce(&RamInode) -> Result<(), Errno>) -> Result<(), Errno> {
        let upper = self.raise(0)?;
        if matches!(upper.slot(name), Some(Slot::Inode(_))) {
            remove(&upper)?;
        }
        self.hide(name, &upper)
    }
}

impl Inode for OverlayInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        match self.layers() {
            (Some(upper), lower) => {
                let mut metadata = upper.metadata()?;
                if lower.is_some() {
                    // Unknown without counting below; 1 tells programs not to rely on it.
                    metadata.links = 1;
                }
                Ok(metadata)
            }
            (None, Some(lower)) => Ok(Metadata { device: self.overlay.device, ..lower.metadata()? }),
            (None, None) => Err(Errno::EIO),
        }
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        self.raise(changes.size.unwrap_or(u64::MAX))?.set_metadata(changes)
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(self.find(name)?)
    }

    fn create(&self, name: &[u8], what: Create<'_>, ownership: Ownership) -> Result<InodeRef, Errno> {
        if self.exists(name)? {
            return Err(Errno::EEXIST);
        }
        let directory = self.raise(0)?;
        let upper = RamInode::new(&self.overlay.upper, what, ownership)?;
        if matches!(directory.slot(name), Some(Slot::Whiteout)) {
            upper.set_opaque();
        }
        directory.adopt(name, Arc::clone(&upper))?;
        Ok(self.above(upper))
    }

    fn create_unnamed(&self, ownership: Ownership) -> Result<InodeRef, Errno> {
        Ok(self.above(RamInode::new(&self.overlay.upper, Create::File, ownership)?))
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let target = Self::ours(target)?;
        if !Arc::ptr_eq(&target.overlay, &self.overlay) {
            return Err(Errno::EXDEV);
        }
        if self.exists(name)? {
            return Err(Errno::EEXIST);
        }
        let upper = target.raise(u64::MAX)?;
        self.raise(0)?.adopt(name, upper)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        if self.find(name)?.kind == FileKind::Directory {
            return Err(Errno::EISDIR);
        }
        self.remove(name, |upper| upper.unlink(name))
    }

    fn remove_directory(&self, name: &[u8]) -> Result<(), Errno> {
        let child = self.find(name)?;
        if child.kind != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if !child.is_empty()? {
            return Err(Errno::ENOTEMPTY);
        }
        self.remove(name, |upper| upper.remove_directory(name))
    }

    fn prepare_move(&self) -> Result<(), Errno> {
        if self.kind == FileKind::Directory && self.layers().1.is_some() {
            return Err(Errno::EXDEV);
        }
        self.raise(u64::MAX).map(drop)
    }

    fn rename(
        &self,
        name: &[u8],
        new_parent: &InodeRef,
        new_name: &[u8],
        keep_existing: bool,
    ) -> Result<(), Errno> {
        let to = Self::ours(new_parent)?;
        if !Arc::ptr_eq(&to.overlay, &self.overlay) {
            return Err(Errno::EXDEV);
        }
        let child = self.find(name)?;
        child.prepare_move()?;
        match to.find(new_name) {
            Ok(_) if keep_existing => return Err(Errno::EEXIST),
            Ok(there) => match (child.kind == FileKind::Directory, there.kind == FileKind::Directory) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) if !there.is_empty()? => return Err(Errno::ENOTEMPTY),
                _ => {}
            },
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        let (upper, new_upper) = (self.raise(0)?, to.raise(0)?);
        if child.kind == FileKind::Directory
            && let Some(moved) = child.layers().0
            && to.lower_entry(new_name)?.is_some()
        {
            moved.set_opaque();
        }
        let new_upper: InodeRef = new_upper;
        upper.rename(name, &new_upper, new_name, false)?;
        self.hide(name, &upper)
    }

    fn exchange(&self, name: &[u8], new_parent: &InodeRef, new_name: &[u8]) -> Result<(), Errno> {
        let to = Self::ours(new_parent)?;
        if !Arc::ptr_eq(&to.overlay, &self.overlay) {
            return Err(Errno::EXDEV);
        }
        let (child, there) = (self.find(name)?, to.find(new_name)?);
        child.prepare_move()?;
        there.prepare_move()?;
        let (upper, new_upper) = (self.raise(0)?, to.raise(0)?);
        for (moved, directory, at) in [(&child, to, new_name), (&there, self, name)] {
            if moved.kind == FileKind::Directory
                && let Some(moved) = moved.layers().0
                && directory.lower_entry(at)?.is_some()
            {
                moved.set_opaque();
            }
        }
        let new_upper: InodeRef = new_upper;
        upper.exchange(name, &new_upper, new_name)
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        match self.layers() {
            (Some(upper), _) => upper.read_link(),
            (None, Some(lower)) => lower.read_link(),
            (None, None) => Err(Errno::EIO),
        }
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.with_attributes(|inode| inode.extended_attribute(name))
    }

    fn set_extended_attribute(&self, name: &[u8], value: &[u8], when: SetWhen) -> Result<(), Errno> {
        self.raise(u64::MAX)?.set_extended_attribute(name, value, when)
    }

    fn remove_extended_attribute(&self, name: &[u8]) -> Result<(), Errno> {
        self.extended_attribute(name)?;
        self.raise(u64::MAX)?.remove_extended_attribute(name)
    }

    fn extended_attribute_names(&self) -> Result<Vec<u8>, Errno> {
        self.with_attributes(|inode| inode.extended_attribute_names())
    }

    fn pipe(&self) -> Option<Arc<Pipe>> {
        if self.kind != FileKind::Fifo {
            return None;
        }
        self.raise(0).ok()?.pipe()
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno> {
        match self.kind {
            FileKind::Directory => return Ok(Arc::new(OverlayDirectory::new(self.this()?))),
            FileKind::CharacterDevice => return devices::open(self.metadata()?.represented_device),
            FileKind::BlockDevice => return block::open(self.metadata()?.represented_device, access),
            _ => {}
        }
        match self.layers() {
            (None, Some(lower)) if !access.write => lower.open(access),
            _ => self.raise(u64::MAX)?.open(access),
        }
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        Ok(FileSystemStatus { magic: MAGIC, ..self.overlay.upper.status() })
    }
}
