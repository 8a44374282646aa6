//! Inodes of an image.

use super::directory::ErofsDirectory;
use super::file::ErofsFile;
use super::{FileSystem, MAGIC, PAGE, errno};
use crate::fs::devices;
use crate::fs::inode::{
    Access, Create, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, Ownership, SetMetadata,
    SetWhen, Timestamp,
};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_erofs::{Error, Kind, Page};
use septum_guest_hal::address::to_usize;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::Mutex;
use septum_guest_hal::user::read_frame;

/// A file of an image.
pub(super) struct ErofsInode {
    this: Weak<Self>,
    pub(super) file_system: Arc<FileSystem>,
    pub(super) inode: septum_erofs::Inode,
    /// The last page, once somebody wanted it.
    last: Mutex<Option<Frame>>,
}

pub(super) fn file_kind(kind: Kind) -> FileKind {
    match kind {
        Kind::Fifo => FileKind::Fifo,
        Kind::CharacterDevice => FileKind::CharacterDevice,
        Kind::Directory => FileKind::Directory,
        Kind::BlockDevice => FileKind::BlockDevice,
        Kind::Regular => FileKind::Regular,
        Kind::Symlink => FileKind::Symlink,
        Kind::Socket => FileKind::Socket,
    }
}

impl ErofsInode {
    /// The file with this number.
    pub(super) fn read(file_system: &Arc<FileSystem>, number: u64) -> Result<Arc<Self>, Errno> {
        let inode = file_system.image.inode(number).map_err(errno)?;
        Ok(Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            file_system: Arc::clone(file_system),
            inode,
            last: Mutex::new(None),
        }))
    }

    pub(super) fn is_directory(&self) -> bool {
        self.inode.kind == Kind::Directory
    }

    /// The frame that holds page `index`; `None` beyond the end.
    pub(super) fn page(&self, index: u64) -> Result<Option<Frame>, Errno> {
        let Some(page) = self.inode.page(index) else { return Ok(None) };
        match page {
            Page::Block { offset, len } if len == to_usize(PAGE) => {
                self.file_system.frame(offset).map(Some).ok_or(Errno::ENOMEM)
            }
            last => self.last_page(last).map(Some),
        }
    }

    /// A page that the file does not fill: the image's own if zeros follow, else a copy.
    fn last_page(&self, page: Page) -> Result<Frame, Errno> {
        let mut last = self.last.lock();
        if let Some(known) = &*last {
            return Ok(known.clone());
        }
        let (offset, len, is_whole) = match page {
            Page::Block { offset, len } => (offset, len, true),
            Page::Inline { offset, len } => (offset, len, false),
        };
        let source = self.file_system.frame(offset).ok_or(Errno::ENOMEM)?;
        let frame = if is_whole && is_zero_from(&source, len) {
            source
        } else {
            let frame = Frame::zeroed().ok_or(Errno::ENOMEM)?;
            let mut bytes = alloc::vec![0; len];
            if !read_frame(&source, to_usize(offset % PAGE), &mut bytes) {
                return Err(Errno::EIO);
            }
            frame.write(0, &bytes);
            frame
        };
        *last = Some(frame.clone());
        Ok(frame)
    }
}

/// Whether a frame holds zeros from `start` on.
fn is_zero_from(frame: &Frame, start: usize) -> bool {
    let mut bytes = [0; 256];
    (start..to_usize(PAGE)).step_by(bytes.len()).all(|at| {
        let len = (to_usize(PAGE) - at).min(bytes.len());
        read_frame(frame, at, &mut bytes[..len]) && bytes[..len].iter().all(|&byte| byte == 0)
    })
}

impl Inode for ErofsInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        let inode = &self.inode;
        let time = Timestamp { seconds: inode.modified.0, nanoseconds: inode.modified.1 };
        Ok(Metadata {
            device: self.file_system.device,
            inode: inode.number,
            kind: self.kind(),
            permissions: inode.permissions,
            links: inode.links,
            uid: inode.uid,
            gid: inode.gid,
            represented_device: u64::from(inode.device),
            size: inode.size,
            block_size: 4096,
            blocks: inode.size.div_ceil(512),
            accessed: time,
            modified: time,
            changed: time,
        })
    }

    fn kind(&self) -> FileKind {
        file_kind(self.inode.kind)
    }

    fn set_metadata(&self, _changes: &SetMetadata) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let number = self.file_system.image.lookup(&self.inode, name).map_err(errno)?;
        Ok(Self::read(&self.file_system, number)?)
    }

    fn create(&self, _name: &[u8], _what: Create<'_>, _ownership: Ownership) -> Result<InodeRef, Errno> {
        Err(Errno::EROFS)
    }

    fn link(&self, _name: &[u8], _target: &InodeRef) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn unlink(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn remove_directory(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn rename(
        &self,
        _name: &[u8],
        _new_parent: &InodeRef,
        _new_name: &[u8],
        _keep_existing: bool,
    ) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        self.file_system.image.read_link(&self.inode).map_err(errno)
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.file_system.image.attribute(&self.inode, name).map_err(|error| match error {
            Error::Missing => Errno::ENODATA,
            other => errno(other),
        })
    }

    fn set_extended_attribute(&self, _name: &[u8], _value: &[u8], _when: SetWhen) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn remove_extended_attribute(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn extended_attribute_names(&self) -> Result<Vec<u8>, Errno> {
        self.file_system.image.attribute_names(&self.inode).map_err(errno)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno> {
        let this = self.this.upgrade().ok_or(Errno::EIO)?;
        match self.inode.kind {
            Kind::Regular | Kind::Directory if access.write => Err(Errno::EROFS),
            Kind::Regular => Ok(Arc::new(ErofsFile::new(this))),
            Kind::Directory => Ok(Arc::new(ErofsDirectory::new(this))),
            Kind::Symlink => Err(Errno::ELOOP),
            Kind::CharacterDevice => devices::open(self.metadata()?.represented_device),
            Kind::Fifo | Kind::Socket | Kind::BlockDevice => Err(Errno::ENXIO),
        }
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        let image = &self.file_system.image;
        Ok(FileSystemStatus {
            magic: MAGIC,
            block_size: PAGE,
            blocks: image.len() / PAGE,
            blocks_free: 0,
            files: image.inodes(),
            files_free: 0,
            name_max: 255,
        })
    }
}
