//! The tree of `/sys/bus/pci`.
//!
//! Inodes are made when they are looked up and hold nothing but what they stand for.

use super::file::{CONFIG_BYTES, Config, Enable, Memory, TEXTS};
use super::{BARS, Function, count, function, name, owner};
use crate::fs::inode::{
    Access, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, SetMetadata, Timestamp,
};
use crate::fs::listing::{ListedDirectory, Listing};
use crate::fs::proc::TextFile;
use crate::fs::ramfs::anonymous_device;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;

/// SYSFS_MAGIC
const MAGIC: u64 = 0x6265_6572;

/// What an inode stands for; numbers are indices of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Root,
    Devices,
    Function(usize),
    Text(usize, usize),
    Config(usize),
    Enable(usize),
    Memory(usize, usize),
    Uio(usize),
    UioEntry(usize),
    UioName(usize),
}

struct PciInode {
    device: u64,
    started: Timestamp,
    node: Node,
}

/// A new `/sys/bus/pci`.
#[must_use]
pub fn file_system() -> InodeRef {
    Arc::new(PciInode { device: anonymous_device(), started: Timestamp::now(), node: Node::Root })
}

impl Node {
    fn is_directory(self) -> bool {
        matches!(self, Self::Root | Self::Devices | Self::Function(_) | Self::Uio(_) | Self::UioEntry(_))
    }

    fn kind(self) -> FileKind {
        if self.is_directory() { FileKind::Directory } else { FileKind::Regular }
    }

    fn number(self) -> u64 {
        let of = |index: usize, what: usize| 16 + (index * 64 + what) as u64;
        match self {
            Self::Root => 1,
            Self::Devices => 2,
            Self::Function(index) => of(index, 0),
            Self::Config(index) => of(index, 1),
            Self::Enable(index) => of(index, 2),
            Self::Uio(index) => of(index, 3),
            Self::UioEntry(index) => of(index, 4),
            Self::UioName(index) => of(index, 5),
            Self::Memory(index, bar) => of(index, 8 + bar),
            Self::Text(index, text) => of(index, 16 + text),
        }
    }

    fn permissions(self) -> u32 {
        match self {
            _ if self.is_directory() => 0o755,
            Self::Config(_) | Self::Enable(_) => 0o644,
            Self::Memory(..) => 0o600,
            _ => 0o444,
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::Config(_) => CONFIG_BYTES,
            Self::Memory(index, bar) => {
                function(index).and_then(|function| function.bar(bar)).map_or(0, |bar| bar.bytes)
            }
            _ if self.is_directory() => 0,
            _ => 4096,
        }
    }

    /// The entries of a directory.
    fn each(self, push: &mut dyn FnMut(&[u8], Self)) {
        match self {
            Self::Root => push(b"devices", Self::Devices),
            Self::Devices => {
                for (index, function) in (0..count()).filter_map(|index| Some((index, function(index)?))) {
                    push(name(function).as_bytes(), Self::Function(index));
                }
            }
            Self::Function(index) => {
                TEXTS.iter().enumerate().for_each(|(text, file)| push(file.name, Self::Text(index, text)));
                push(b"config", Self::Config(index));
                push(b"enable", Self::Enable(index));
                push(b"uio", Self::Uio(index));
                let bars =
                    |function: &dyn Function| (0..BARS).filter(|&bar| function.bar(bar).is_some()).collect();
                let bars: Vec<usize> = function(index).map_or_else(Vec::new, bars);
                for bar in bars {
                    push(format!("resource{bar}").as_bytes(), Self::Memory(index, bar));
                }
            }
            Self::Uio(index) => push(format!("uio{index}").as_bytes(), Self::UioEntry(index)),
            Self::UioEntry(index) => push(b"name", Self::UioName(index)),
            _ => {}
        }
    }
}

impl Inode for PciInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        let (uid, gid) = owner();
        Ok(Metadata {
            device: self.device,
            inode: self.node.number(),
            kind: self.node.kind(),
            permissions: self.node.permissions(),
            links: if self.node.is_directory() { 2 } else { 1 },
            uid,
            gid,
            represented_device: 0,
            size: self.node.size(),
            block_size: 4096,
            blocks: 0,
            accessed: self.started,
            modified: self.started,
            changed: self.started,
        })
    }

    fn kind(&self) -> FileKind {
        self.node.kind()
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        // Opening with O_TRUNC is common and harmless; everything else is refused.
        if changes.size.is_some() { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if !self.node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let mut found = None;
        self.node.each(&mut |entry, node| {
            if entry == name {
                found = Some(node);
            }
        });
        let node = found.ok_or(Errno::ENOENT)?;
        Ok(Arc::new(Self { device: self.device, started: self.started, node }))
    }

    fn unlink(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn remove_directory(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno> {
        let the = |index| function(index).ok_or(Errno::ENODEV);
        Ok(match self.node {
            node if node.is_directory() => Arc::new(ListedDirectory::new(move |listing: &mut Listing| {
                node.each(&mut |name, node| listing.push(name, node.number(), node.kind()));
                Ok(())
            })),
            Node::Config(index) => Arc::new(Config { index }),
            Node::Enable(_) => Arc::new(Enable),
            Node::Memory(index, bar) => {
                Arc::new(Memory { memory: the(index)?.bar(bar).ok_or(Errno::ENODEV)?.memory })
            }
            _ if access.write => return Err(Errno::EACCES),
            Node::Text(index, text) => {
                let make = TEXTS.get(text).ok_or(Errno::ENOENT)?.make;
                Arc::new(TextFile(make(the(index)?).into_bytes()))
            }
            _ => Arc::new(TextFile(b"septum\n".to_vec())),
        })
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        Ok(FileSystemStatus { magic: MAGIC, block_size: 4096, name_max: 255, ..FileSystemStatus::default() })
    }
}
