//! The file system device (virtio 1.2 section 5.11): directories of the host, by the FUSE protocol.
//!
//! ```text
//! FuseFileSystem
//!   └── volume     connection, limits, nodes by number
//!         ├── session   requests and replies over the queues        fuse: their layouts
//!         └── node      attributes, cached pages and entries of a file
//!               ├── inode, names, directory   the kernel's operations on names     listing: what is in a directory
//!               ├── pages, window, file, write  on contents
//!               ├── locks                     on the host
//!               └── handle                    what the host has open
//! ```
//!
//! A [`Tree`] is a part of the host's file system with properties of its own. In a tree that nobody changes
//! ([`Caching::Forever`]) nothing is asked twice; in one that the host changes too, answers hold for as long as the host says, and
//! reads see what is there now.

mod attributes;
mod cache;
mod directory;
mod entries;
mod file;
pub mod fuse;
mod handle;
mod inode;
mod kept;
mod listing;
mod locks;
mod names;
mod node;
mod pages;
mod session;
mod table;
#[cfg(test)]
mod tests;
mod volume;
mod window;
mod write;

use self::kept::Kept;
use self::node::Node;
use self::session::{Data, Session};
use self::volume::{Answer, Volume, deadline};
use super::transport::{Transport, TransportError};
use crate::pci::Place;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{FileKind, InodeRef};
use septum_guest_core::memory::reclaim::Reclaimer;

/// Queue for requests that must not wait behind others.
const URGENT_QUEUE: u16 = 0;
/// The first queue for all others.
const REQUEST_QUEUE: u16 = 1;
/// Descriptors of the request queue: 64 scattered pages, and the request around them.
const REQUEST_QUEUE_SIZE: u16 = 128;
/// Device number of the first tree.
const FIRST_DEVICE: u64 = 0x30;

/// How long what the host said may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// For ever: nobody changes anything while the partition runs.
    Forever,
    /// As long as the host says with each answer.
    AsTold,
}

/// A part of the host's file system.
#[derive(Debug)]
pub struct Tree {
    index: u32,
    device: u64,
    caching: Caching,
    /// What stays open of it, if it is immutable.
    kept: Kept,
}

impl Tree {
    fn new(index: u32, caching: Caching) -> Arc<Self> {
        Arc::new(Self { index, device: FIRST_DEVICE + u64::from(index), caching, kept: Kept::default() })
    }

    /// Whether nobody changes it.
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        self.caching == Caching::Forever
    }
}

/// The host's directories.
pub struct FuseFileSystem {
    volume: Arc<Volume>,
    root: Arc<Node>,
    trees: AtomicU32,
}

impl FuseFileSystem {
    /// Brings the device up, which is at `place` on the bus.
    pub fn start(transport: &Transport, place: Option<Place>) -> Result<Self, TransportError> {
        transport.negotiate(0, 0)?;
        let urgent = transport.queue(URGENT_QUEUE, 8)?;
        let requests = transport.queue(REQUEST_QUEUE, REQUEST_QUEUE_SIZE)?;
        transport.start();
        Self::mount(Session::new(requests, urgent), place).map_err(TransportError::Protocol)
    }

    /// Greets the host.
    fn mount(session: Session, place: Option<Place>) -> Result<Self, Errno> {
        let volume = Arc::new(Volume::connect(session, place)?);
        let root = open_root(&volume, &Tree::new(0, Caching::AsTold))?;
        Ok(Self { volume, root, trees: AtomicU32::new(1) })
    }

    /// The root of everything that the host shares.
    #[must_use]
    pub fn root(&self) -> InodeRef {
        Arc::clone(&self.root) as InodeRef
    }

    /// The directory or file at `path`, below the root, as a tree of its own with its own device number.
    pub fn subtree(&self, path: &[u8], caching: Caching) -> Result<InodeRef, Errno> {
        let tree = Tree::new(self.trees.fetch_add(1, Ordering::Relaxed), caching);
        let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).peekable();
        if names.peek().is_none() {
            return Ok(open_root(&self.volume, &tree)?);
        }
        let mut parent = Arc::clone(&self.root);
        while let Some(name) = names.next() {
            if names.peek().is_some() {
                parent = parent.find(name)?;
                continue;
            }
            let mut exchange = self.volume.session.begin(fuse::Opcode::Lookup, parent.id)?;
            exchange.name(name)?;
            exchange.call(fuse::ENTRY, Data::None)?;
            return Ok(self.volume.node_of_entry(&tree, &exchange)?.0);
        }
        Err(Errno::ENOENT)
    }
}

impl Reclaimer for FuseFileSystem {
    /// Gives up cached pages that nobody maps.
    fn reclaim(&self, wanted: usize) -> usize {
        self.volume.reclaim(wanted)
    }
}

fn open_root(volume: &Arc<Volume>, tree: &Arc<Tree>) -> Result<Arc<Node>, Errno> {
    // The root is there without having been looked up; what it is like is asked for when somebody wants to know.
    let attributes = fuse::Attributes::of_kind(FileKind::Directory);
    volume.node(tree, fuse::ROOT, 0, &Answer { attributes, deadline: deadline::PAST, asked: 0 })
}
