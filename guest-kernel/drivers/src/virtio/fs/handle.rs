//! Files that the host has open.
//!
//! What never changes, and everybody may read, is opened when it is read for the second time: most files are read once, with one request, for
//! which the host opens them itself if the handle's number is 0.

use super::fuse::{self, Opcode, open};
use super::node::Node;
use super::session::Data;
use super::volume::Volume;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::Access;

/// A file or directory that the host has open for us. Closed when the last reference goes.
pub struct Handle {
    volume: Arc<Volume>,
    node: u64,
    /// The host's number; 0 if it goes without, or has not been asked for one.
    number: AtomicU64,
    /// What it may be used for.
    pub access: Access,
    is_directory: bool,
    /// The host does not want to know about open files.
    is_nominal: bool,
    /// The host is asked for a number when one is needed.
    is_deferred: bool,
    was_read: AtomicBool,
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
        let limits = &node.volume.limits;
        let is_nominal = if is_directory { limits.no_open_directory } else { limits.no_open };
        let mut handle = Self::new(node, 0, access, is_directory, is_nominal);
        if !is_nominal {
            // Until there is a number, there is nothing to close.
            handle.is_nominal = true;
            if let Some(number) = handle.ask_to_open()? {
                (handle.number, handle.is_nominal) = (AtomicU64::new(number), false);
            }
        }
        Ok(Arc::new(handle))
    }

    /// A handle for reading what never changes.
    pub fn deferred(node: &Node, access: Access, is_directory: bool) -> Arc<Self> {
        let mut handle = Self::new(node, 0, access, is_directory, false);
        handle.is_deferred = true;
        Arc::new(handle)
    }

    /// A handle that the host has already given.
    pub fn new(node: &Node, number: u64, access: Access, is_directory: bool, is_nominal: bool) -> Self {
        Self {
            volume: Arc::clone(&node.volume),
            node: node.id,
            number: AtomicU64::new(number),
            access,
            is_directory,
            is_nominal,
            is_deferred: false,
            was_read: AtomicBool::new(false),
        }
    }

    /// The number for any request.
    pub fn number(&self) -> Result<u64, Errno> {
        let number = self.number.load(Ordering::Acquire);
        if number != 0 || !self.is_deferred {
            return Ok(number);
        }
        let number = self.ask_to_open()?.unwrap_or(0);
        match self.number.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(number),
            Err(others) => {
                // Somebody was faster.
                self.release(number);
                Ok(others)
            }
        }
    }

    /// The number for reading or listing; 0 has the host open it for this one request.
    pub fn number_for_reading(&self) -> Result<u64, Errno> {
        let number = self.number.load(Ordering::Acquire);
        if number != 0
            || !self.is_deferred
            || self.is_directory
            || !self.was_read.swap(true, Ordering::Relaxed)
        {
            return Ok(number);
        }
        self.number()
    }

    /// The host's number, if it gives any.
    fn ask_to_open(&self) -> Result<Option<u64>, Errno> {
        let (opcode, more) =
            if self.is_directory { (Opcode::OpenDirectory, open::DIRECTORY) } else { (Opcode::Open, 0) };
        let mut exchange = self.volume.session.begin(opcode, self.node)?;
        exchange.words([fuse::pair(flags(self.access) | more, 0)]);
        match exchange.call(fuse::OPENED, Data::None) {
            Ok(_) => {
                let [number] = exchange.results();
                Ok(Some(number))
            }
            Err(Errno::ENOSYS) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn release(&self, number: u64) {
        let opcode = if self.is_directory { Opcode::ReleaseDirectory } else { Opcode::Release };
        if let Ok(mut exchange) = self.volume.session.begin(opcode, self.node) {
            exchange.words([number, fuse::pair(flags(self.access), 0), 0]);
            exchange.leave();
        }
    }

    /// Whether it can do what `access` asks.
    #[must_use]
    pub fn allows(&self, access: Access) -> bool {
        (self.access.read || !access.read) && (self.access.write || !access.write)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let number = *self.number.get_mut();
        if !self.is_nominal && (number != 0 || !self.is_deferred) {
            self.release(number);
        }
    }
}
