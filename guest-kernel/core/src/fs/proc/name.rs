//! `comm`: the name of a thread, which a program may write (`pthread_setname_np` does so for other threads).

use super::facts::ProcessInfo;
use super::text::TextFile;
use crate::fs::inode::File;
use crate::io::{Destination, Source};
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::linux::Errno;

/// Bytes of a name.
const LONGEST: usize = 15;

/// The file, opened for writing.
pub struct NameFile {
    /// What reading gives.
    pub text: TextFile,
    pub process: Arc<dyn ProcessInfo>,
    pub tid: u32,
}

impl File for NameFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        self.text.read_at(offset, to)
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let length = from.remaining();
        let mut bytes = [0; LONGEST];
        let taken = from.take(&mut bytes)?;
        let end = bytes[..taken].iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(taken);
        // Linux takes all, however little it keeps.
        if self.process.rename_thread(self.tid, bytes[..end].to_vec()) {
            Ok(length)
        } else {
            Err(Errno::EINVAL)
        }
    }
}
