//! A process as an open file (`pidfd_open`, CLONE_PIDFD): whoever has one waits for its end, signals and reaps it, and means this process
//! whatever becomes of its number.

use super::{Process, family};
use crate::fs::anonymous;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::{File, FileKind, poll};
use crate::fs::open::OpenFlags;
use crate::io::{Destination, Source};
use crate::wait::WaitQueue;
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::linux::Errno;

/// A process that was opened. Readable once it has ended.
pub struct ProcessFile {
    process: Arc<Process>,
}

impl ProcessFile {
    /// Opens a process; `flags` is NON_BLOCKING or nothing.
    #[must_use]
    pub fn open(process: &Arc<Process>, flags: OpenFlags) -> Arc<OpenFile> {
        let file = Arc::new(Self { process: Arc::clone(process) });
        anonymous::open_named(b"anon_inode:[pidfd]", FileKind::Regular, file, OpenFlags::READ_WRITE | flags)
    }

    /// The process that `file` is. EBADF if it is something else.
    pub fn process_of(file: &OpenFile) -> Result<&Arc<Process>, Errno> {
        let this: Option<&Self> = file.file().as_any().downcast_ref();
        this.map(|this| &this.process).ok_or(Errno::EBADF)
    }

    /// The same, while it is alive or a zombie: ESRCH when somebody has waited for it.
    pub fn process_there(file: &OpenFile) -> Result<&Arc<Process>, Errno> {
        let process = Self::process_of(file)?;
        let there = family::find(process.pid).ok_or(Errno::ESRCH)?;
        if Arc::ptr_eq(&there, process) { Ok(process) } else { Err(Errno::ESRCH) }
    }
}

impl File for ProcessFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, _to: &mut dyn Destination) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    fn write_at(&self, _offset: u64, _from: &mut dyn Source) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    fn poll(&self) -> u16 {
        if self.process.kin.is_zombie() { poll::IN } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.process.ended)
    }
}
