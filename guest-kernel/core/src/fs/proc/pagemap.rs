//! `pagemap`: where the pages of a process are (Linux, Documentation/admin-guide/mm/pagemap.rst).
//!
//! Eight bytes a page: bit 63 if it is there, and the number of its frame, which times the page size is the address at which a function of
//! the host reaches it. The number is 0 where there is no such function, and for pages that are none of the partition's RAM: files that
//! the host maps, and memory of devices. A page stays where it is until the process unmaps it, or writes to it after a fork.

use super::facts::ProcessInfo;
use crate::fs::inode::File;
use crate::io::{Destination, Source};
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::layout::{PAGE_SIZE, USER_END};
use septum_abi::linux::Errno;

/// Bytes of an entry.
const ENTRY: usize = 8;
/// The page is there.
const PRESENT: u64 = 1 << 63;
/// The file, open.
pub struct PageMap {
    pub process: Arc<dyn ProcessInfo>,
}

impl File for PageMap {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let entry = ENTRY as u64;
        if !offset.is_multiple_of(entry) || !to.remaining().is_multiple_of(ENTRY) {
            return Err(Errno::EINVAL);
        }
        let page = PAGE_SIZE as u64;
        let (first, end) = (offset / entry, USER_END / page);
        let mut total = 0;
        for number in (first..end).take(to.remaining() / ENTRY) {
            let entry = self.process.page(number * page).map_or(0, |frame| PRESENT | frame);
            match to.put(&entry.to_le_bytes()) {
                Ok(len) => total += len,
                Err(_) if total > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(total)
    }

    fn write_at(&self, _offset: u64, _from: &mut dyn Source) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }
}
