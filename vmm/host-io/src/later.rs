//! Files that the host's kernel lets go of after this process, in its own time.
//!
//! What a process has open is closed before anybody learns that it has ended, one file after the other. Where closing means to take
//! something large apart, whoever waits for the process waits for that, too. A ring of io_uring has files of its own, and is itself taken apart
//! by a thread of the kernel, with them:
//!
//! ```text
//!   this process ──descriptor──► file ◄── table of the ring      the process ends: its descriptor is gone, the ring is let go of …
//!                                file ◄── table of the ring      … and the process has ended
//!                                file                            … a thread of the kernel closes the last reference
//! ```
//!
//! Such a ring is never enabled, so that nothing can be asked of it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::IoUring;

/// Files that are closed after this process has ended, or this was dropped: soon, in no order that could be relied on.
pub struct CloseLater {
    _uring: IoUring,
}

impl CloseLater {
    /// Has these closed late, even if their descriptors are closed before.
    ///
    /// # Errors
    /// The host has no io_uring, or none that can be made without being enabled (Linux 5.10), or does not allow it.
    pub fn new(files: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let uring = IoUring::builder().setup_r_disabled().build(1)?;
        let numbers: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
        uring.submitter().register_files(&numbers)?;
        Ok(Self { _uring: uring })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_file_stays_open_until_the_ring_is_gone_and_then_is_closed() {
        let (mut reader, writer) = io::pipe().unwrap();
        let Ok(later) = CloseLater::new(&[writer.as_fd()]) else {
            eprintln!("skipped: the host has no io_uring");
            return;
        };
        drop(writer);
        assert_eq!(events(&reader), 0, "the pipe has a writer still");
        drop(later);
        // Ends when the last writer is gone.
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(events(&reader), libc::POLLHUP);
    }

    /// What the pipe's reading end says at once.
    fn events(reader: &impl AsRawFd) -> i16 {
        let mut poll = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: 1. one structure, which outlives the call.
        unsafe { libc::poll(&raw mut poll, 1, 0) };
        poll.revents
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let file = File::open("/dev/null").unwrap();
        let Ok(_later) = CloseLater::new(&[file.as_fd()]) else {
            eprintln!("skipped: the host has no io_uring");
            return;
        };
        // SAFETY: 1. nobody has this descriptor, which is all that the test is about.
        let nobody = unsafe { BorrowedFd::borrow_raw(1 << 20) };
        assert!(CloseLater::new(&[nobody]).is_err());
    }
}
