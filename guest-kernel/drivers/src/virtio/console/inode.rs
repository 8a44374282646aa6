//! What `fstat` and `/proc/self/fd` see of a standard stream.

use super::Stream;
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{
    Access, File, FileKind, FileSystemStatus, Inode, Metadata, SetMetadata, Timestamp,
};

/// `f_type` of pipes.
const PIPEFS_MAGIC: u64 = 0x5049_5045;
/// Device number of this file system, which has no device.
const DEVICE: u64 = 12;

/// A pipe without a name.
pub struct StreamInode {
    stream: Stream,
    file: Arc<dyn File>,
}

impl StreamInode {
    pub(super) fn new(stream: Stream, file: Arc<dyn File>) -> Self {
        Self { stream, file }
    }
}

impl Inode for StreamInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        let inode = match self.stream {
            Stream::Input => 1,
            Stream::Output => 2,
            Stream::Error => 3,
        };
        Ok(Metadata {
            device: DEVICE,
            inode,
            kind: FileKind::Fifo,
            permissions: 0o600,
            links: 1,
            uid: 0,
            gid: 0,
            represented_device: 0,
            size: 0,
            block_size: 4096,
            blocks: 0,
            accessed: Timestamp::default(),
            modified: Timestamp::default(),
            changed: Timestamp::default(),
        })
    }

    fn kind(&self) -> FileKind {
        FileKind::Fifo
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        if changes.size.is_some() { Err(Errno::EINVAL) } else { Ok(()) }
    }

    fn open(&self, _access: Access) -> Result<Arc<dyn File>, Errno> {
        Ok(Arc::clone(&self.file))
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        Ok(FileSystemStatus {
            magic: PIPEFS_MAGIC,
            block_size: 4096,
            name_max: 255,
            ..FileSystemStatus::default()
        })
    }
}
