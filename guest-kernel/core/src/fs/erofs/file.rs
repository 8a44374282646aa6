//! An open regular file: its pages are the image's.

use super::PAGE;
use super::inode::ErofsInode;
use crate::fs::inode::File;
use crate::io::Destination;
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::to_usize;
use septum_guest_hal::frame::Frame;

/// An open regular file.
pub(super) struct ErofsFile {
    inode: Arc<ErofsInode>,
}

impl ErofsFile {
    pub(super) fn new(inode: Arc<ErofsInode>) -> Self {
        Self { inode }
    }
}

impl File for ErofsFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let left = self.inode.inode.size.saturating_sub(offset);
        let end = offset + left.min(to.remaining() as u64);
        let mut at = offset;
        while at < end {
            let start = to_usize(at % PAGE);
            let len = (PAGE_SIZE - start).min(to_usize(end - at));
            let stored = match self.inode.page(at / PAGE) {
                Ok(Some(frame)) => to.put_frame(&frame, start, len),
                Ok(None) => break,
                Err(errno) => Err(errno),
            };
            match stored {
                Ok(stored) => {
                    at += stored as u64;
                    if stored < len {
                        break;
                    }
                }
                Err(errno) if at == offset => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(to_usize(at - offset))
    }

    fn page(&self, index: u64) -> Result<Option<Frame>, Errno> {
        self.inode.page(index)
    }

    fn cached_page(&self, index: u64) -> Option<Frame> {
        self.inode.page(index).ok().flatten()
    }

    fn cached_pages(&self, first: u64, count: u64, tell: &mut dyn FnMut(u64, &[Frame])) {
        for step in 0..count {
            let Some(frame) = first.checked_add(step).and_then(|index| self.cached_page(index)) else {
                break;
            };
            tell(step, &[frame]);
        }
    }
}
