//! The thread as the system calls on files see it.

use super::signal::{Info, UNSTOPPABLE};
use super::thread::Thread;
use crate::fs::context::FsContext;
use crate::fs::descriptors::DescriptorTable;
use crate::memory::buffer::{self, UserBuffer};
use crate::syscall::files::FileContext;
use alloc::vec::Vec;
use septum_abi::layout::USER_END;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::sync::Mutex;

/// EFAULT unless the range lies in the program's half.
fn check(address: u64, len: usize) -> Result<(), Errno> {
    let end = address.checked_add(len as u64).ok_or(Errno::EFAULT)?;
    if end <= USER_END { Ok(()) } else { Err(Errno::EFAULT) }
}

impl FileContext for Thread {
    type Destination<'a> = UserBuffer<'a>;
    type Source<'a> = UserBuffer<'a>;

    fn pid(&self) -> u32 {
        self.process.pid
    }

    fn count(&self, is_write: bool, moved: &Result<usize, Errno>) {
        self.task.counts.moved(is_write, moved);
    }

    fn descriptors(&self) -> &Mutex<DescriptorTable> {
        &self.process.descriptors
    }

    fn fs(&self) -> &Mutex<FsContext> {
        &self.process.fs
    }

    fn copy_in(&self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        buffer::read(&self.process.space, address, bytes)
    }

    fn copy_out(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        buffer::write(&self.process.space, address, bytes)
    }

    fn copy_in_string(&self, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
        buffer::read_string(&self.process.space, address, limit.saturating_sub(1))?.ok_or(Errno::ENAMETOOLONG)
    }

    fn destination(&self, address: u64, len: usize) -> Result<Self::Destination<'_>, Errno> {
        check(address, len)?;
        Ok(UserBuffer::new(&self.process.space, address, len))
    }

    fn source(&self, address: u64, len: usize) -> Result<Self::Source<'_>, Errno> {
        check(address, len)?;
        Ok(UserBuffer::new(&self.process.space, address, len))
    }

    fn deliver_sigpipe(&self) {
        self.task.send(Info::from_user(signal::SIGPIPE, self.process.pid, self.process.fs.lock().uid));
    }

    fn with_signal_mask(
        &self,
        mask: u64,
        wait: &mut dyn FnMut() -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let before = {
            let mut state = self.task.signals.lock();
            core::mem::replace(&mut state.mask, mask & !UNSTOPPABLE)
        };
        let result = wait();
        let mut state = self.task.signals.lock();
        if result == Err(Errno::EINTR) {
            // The handler runs under the new mask; the old one comes back after it.
            state.saved_mask = Some(before);
        } else {
            state.mask = before;
        }
        result
    }
}
