//! Files that nobody writes.
//!
//! A read lease (`fcntl(2)`, F_SETLEASE) is granted only while nobody has the file open for writing, which who maps it for writing has; and
//! as long as it is held, whoever wants to waits. It takes the file's owner, or CAP_LEASE, and a file system that has leases.
#![allow(unsafe_code, reason = "leases, and the signal that tells of their end")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::Once;

/// Keeps others from opening a file for writing. For moments only: the host's kernel gives those who wait what they want after a while.
#[derive(Debug)]
pub struct Still<'a>(BorrowedFd<'a>);

impl<'a> Still<'a> {
    /// For a file that is open for reading only.
    ///
    /// # Errors
    /// Somebody has it open for writing (EAGAIN), or the host does not say (EACCES, EINVAL).
    pub fn keep(file: BorrowedFd<'a>) -> io::Result<Self> {
        prepare();
        set(file, libc::F_RDLCK)?;
        Ok(Self(file))
    }
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        // It is gone at the latest when the file is closed.
        let _ = set(self.0, libc::F_UNLCK);
    }
}

/// What leases need of the process. A thread that may not change how signals are handled needs it to be done by another, before.
pub(crate) fn prepare() {
    static IGNORE: Once = Once::new();
    // The signal for those who hold a lease that somebody waits for would end this process.
    IGNORE.call_once(|| {
        // SAFETY: 1. no handler is installed; 2. nothing in this process waits for that signal.
        let _ = unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    });
}

fn set(file: BorrowedFd<'_>, lease: i32) -> io::Result<()> {
    // SAFETY: the call takes a number and touches no memory.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, lease) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether nobody has `file`, which is open for reading only, open for writing, as far as the host says.
#[must_use]
pub fn lies_still(file: BorrowedFd<'_>) -> bool {
    Still::keep(file).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_file_lies_still_until_somebody_may_write() {
        let path = std::env::temp_dir().join(format!("septum-still-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let reader = File::open(&path).unwrap();
        // Where the file system has no leases, nothing ever does.
        let has_leases = lies_still(reader.as_fd());
        assert_eq!(lies_still(reader.as_fd()), has_leases, "it was given back");
        let writer = File::options().write(true).open(&path).unwrap();
        assert!(!lies_still(reader.as_fd()));
        drop(writer);
        assert_eq!(lies_still(reader.as_fd()), has_leases);
        std::fs::remove_file(&path).unwrap();
    }
}
