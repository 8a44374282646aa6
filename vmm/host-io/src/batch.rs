//! Many operations under way at once, by io_uring.
//!
//! ```text
//!   push ──► ring of the kernel's ──submit──► under way ──► completed ──take──► Done, with its buffers
//! ```
//!
//! Buffers belong to the batch from `push` on until the kernel has said that it is done with them, and so does the file. Whoever drops a batch
//! waits for what is under way: the kernel would write into memory that is used for something else.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, types};

use crate::Buffers;

/// What is to be done to a file.
#[derive(Debug)]
pub enum Operation {
    /// Read into the buffers from this offset on.
    Read(Buffers, u64),
    /// Everything that was written before survives a power failure (`fdatasync`).
    Sync,
}

/// An operation that is done.
#[derive(Debug)]
pub struct Done<T> {
    /// What it was given with.
    pub tag: T,
    /// Its buffers, if it had some.
    pub buffers: Option<Buffers>,
    /// Bytes, or the host's error.
    pub result: io::Result<usize>,
}

struct Entry<T> {
    tag: T,
    buffers: Option<Buffers>,
    /// Open until the kernel is done.
    _file: Arc<File>,
}

/// Operations under way, each with a tag of the caller's.
pub struct Batch<T> {
    uring: IoUring,
    /// By number, which is what the kernel is told.
    entries: Vec<Option<Entry<T>>>,
    free: Vec<usize>,
}

impl<T> Batch<T> {
    /// Room for `most` operations at once. The kernel takes no other operations from this ring than those that there are here: what goes
    /// through a ring is asked of no filter of system calls.
    ///
    /// # Errors
    /// The host has no io_uring that can be restricted (Linux 5.10), or does not allow it.
    pub fn new(most: u16) -> io::Result<Self> {
        let uring = IoUring::builder().setup_r_disabled().build(u32::from(most.max(1)))?;
        let allowed = [opcode::Readv::CODE, opcode::Fsync::CODE];
        uring.submitter().register_restrictions(&mut allowed.map(Restriction::sqe_op))?;
        uring.submitter().register_enable_rings()?;
        let most = usize::from(most.max(1));
        let entries = std::iter::repeat_with(|| None).take(most).collect();
        Ok(Self { uring, entries, free: (0..most).rev().collect() })
    }

    /// How many are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Adds an operation on `file`; [`submit`](Self::submit) begins it.
    ///
    /// # Errors
    /// There is no room; it comes back.
    pub fn push(&mut self, file: &Arc<File>, operation: Operation, tag: T) -> Result<(), (Operation, T)> {
        let Some(number) = self.free.pop() else { return Err((operation, tag)) };
        let descriptor = types::Fd(file.as_raw_fd());
        let (entry, buffers) = match operation {
            Operation::Read(buffers, offset) => {
                let (pieces, count) = buffers.pieces();
                let read = opcode::Readv::new(descriptor, pieces, u32::try_from(count).unwrap_or(0));
                (read.offset(offset).build(), Some(buffers))
            }
            Operation::Sync => {
                let sync = opcode::Fsync::new(descriptor).flags(types::FsyncFlags::DATASYNC);
                (sync.build(), None)
            }
        };
        let entry = entry.user_data(number as u64);
        // SAFETY:
        // 1. The vectors that the entry names live in a `Buffers`' heap memory, which stays where it is when the `Buffers` moves; they name guest
        //    memory that it keeps mapped. It is put into `entries` below, and stays until the kernel has completed it, also if the batch is dropped.
        // 2. The file stays open as long, for the same reason.
        // 3. Nothing is submitted before.
        let is_in = unsafe { self.uring.submission().push(&entry) }.is_ok();
        // There are at least as many places in the kernel's ring as entries, so it is in.
        debug_assert!(is_in);
        if let Some(place) = self.entries.get_mut(number) {
            *place = Some(Entry { tag, buffers, _file: Arc::clone(file) });
        }
        Ok(())
    }

    /// Begins what was pushed. Does not wait.
    ///
    /// # Errors
    /// The host's; the operations stay, and begin with the next call.
    pub fn submit(&mut self) -> io::Result<()> {
        match self.uring.submit() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other.map(drop),
        }
    }

    /// Takes one that is done, if there is one.
    pub fn take(&mut self) -> Option<Done<T>> {
        loop {
            let completed = self.uring.completion().next()?;
            let number = usize::try_from(completed.user_data()).ok()?;
            let Some(Entry { tag, buffers, .. }) = self.entries.get_mut(number).and_then(Option::take) else {
                continue;
            };
            self.free.push(number);
            let result = match completed.result() {
                negative @ ..0 => Err(io::Error::from_raw_os_error(negative.saturating_neg())),
                bytes => Ok(usize::try_from(bytes).unwrap_or(0)),
            };
            return Some(Done { tag, buffers, result });
        }
    }
}

impl<T> AsRawFd for Batch<T> {
    /// Readable while something is done that was not taken.
    fn as_raw_fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        while self.under_way() > 0 {
            while self.take().is_some() {}
            if self.under_way() == 0 {
                return;
            }
            let waited = self.uring.submit_and_wait(1);
            if waited.is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
                // Nobody can say when the kernel is done: what it writes to stays for ever.
                self.entries.drain(..).for_each(std::mem::forget);
                return;
            }
        }
    }
}
