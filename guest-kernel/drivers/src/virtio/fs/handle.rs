//! Files that the host has open.

use super::fuse::{self, Opcode, open};
use super::node::Node;
use super::session::Data;
use super::volume::Volume;
use alloc::sync::Arc;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::Access;

/// A file or directory that the host has open for us. Closed when the last reference goes.
pub struct Handle {
    volume: Arc<Volume>,
    node: u64,
    /// The host's number; 0 if it goes without.
    pub number: u64,
    /// What it may be used for.
    pub access: Access,
    is_directory: bool,
    /// The host does not want to know about open files.
    is_nominal: bool,
}

/// The flags of OPEN.
#[must_use]
pub fn flags(access: Access) -> u32 {
    match (access.read, access.write) {
        (_, false) => open::READ,
        (false, true) => open::WRITE,
        (true, true) => open::READ_WRITE,
    }
}

impl Handle {
    /// Has the host open `node`.
    pub fn open(node: &Node, access: Access, is_directory: bool) -> Result<Arc<Self>, Errno> {
        let volume = &node.volume;
        let is_nominal = if is_directory { volume.limits.no_open_directory } else { volume.limits.no_open };
        let mut handle = Self::new(node, 0, access, is_directory, is_nominal);
        if !is_nominal {
            let (opcode, more) =
                if is_directory { (Opcode::OpenDirectory, open::DIRECTORY) } else { (Opcode::Open, 0) };
            let mut exchange = volume.session.begin(opcode, node.id)?;
            exchange.words([fuse::pair(flags(access) | more, 0)]);
            match exchange.call(fuse::OPENED, Data::None) {
                Ok(_) => [handle.number] = exchange.results(),
                Err(Errno::ENOSYS) => handle.is_nominal = true,
                Err(errno) => {
                    handle.is_nominal = true;
                    return Err(errno);
                }
            }
        }
        Ok(Arc::new(handle))
    }

    /// A handle that the host has already given.
    pub fn new(node: &Node, number: u64, access: Access, is_directory: bool, is_nominal: bool) -> Self {
        Self { volume: Arc::clone(&node.volume), node: node.id, number, access, is_directory, is_nominal }
    }

    /// Whether it can do what `access` asks.
    #[must_use]
    pub fn allows(&self, access: Access) -> bool {
        (self.access.read || !access.read) && (self.access.write || !access.write)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_nominal {
            return;
        }
        let opcode = if self.is_directory { Opcode::ReleaseDirectory } else { Opcode::Release };
        if let Ok(mut exchange) = self.volume.session.begin(opcode, self.node) {
            exchange.words([self.number, fuse::pair(flags(self.access), 0), 0]);
            exchange.leave();
        }
    }
}
