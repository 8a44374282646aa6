//! Reads and writes of host files on guest memory, without a copy in between; and files that are closed late ([`CloseLater`]).
//!
//! ```text
//!   Buffers: ranges of guest memory, checked once, with what keeps them mapped
//!      ├── read_now          what the page cache has; never waits for a disk
//!      ├── read, write       wait
//!      └── Batch (io_uring)  many under way at once, by one thread
//! ```
//!
//! What lies in guest memory may change at any time, and nothing here looks at it: only the host's kernel reads and writes it.
#![allow(unsafe_code, reason = "vectored system calls and io_uring on guest memory, by address")]

mod batch;
mod buffers;
mod later;

pub use batch::{Batch, Done, Operation};
pub use buffers::{Buffers, MOST_PIECES, Memory};
pub use later::CloseLater;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

fn offset_of(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn result_of(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Reads from `offset` on what the host has in memory. `None` if that is nothing, or the file cannot tell.
///
/// # Errors
/// The host's, of a read.
pub fn read_now(file: &File, buffers: &Buffers, offset: u64) -> io::Result<Option<usize>> {
    let (pieces, count) = buffers.pieces();
    let offset = offset_of(offset)?;
    // SAFETY:
    // 1. `pieces` are `count` vectors that outlive the call.
    // 2. They name guest memory that `buffers` keeps mapped and that no reference of Rust's leads to.
    let result = unsafe { libc::preadv2(file.as_raw_fd(), pieces, count, offset, libc::RWF_NOWAIT) };
    match result_of(result) {
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => Ok(None),
            _ => Err(error),
        },
        Ok(len) => Ok(Some(len)),
    }
}

/// Reads from `offset` on; waits if it must. Returns how many bytes.
///
/// # Errors
/// The host's.
pub fn read(file: &File, buffers: &Buffers, offset: u64) -> io::Result<usize> {
    let (pieces, count) = buffers.pieces();
    let offset = offset_of(offset)?;
    // SAFETY: as in `read_now`.
    result_of(unsafe { libc::preadv(file.as_raw_fd(), pieces, count, offset) })
}

/// Writes to `offset`; waits if it must. Returns how many bytes.
///
/// # Errors
/// The host's.
pub fn write(file: &File, buffers: &Buffers, offset: u64) -> io::Result<usize> {
    let (pieces, count) = buffers.pieces();
    let offset = offset_of(offset)?;
    // SAFETY: as in `read_now`.
    result_of(unsafe { libc::pwritev(file.as_raw_fd(), pieces, count, offset) })
}

#[cfg(test)]
mod tests;
