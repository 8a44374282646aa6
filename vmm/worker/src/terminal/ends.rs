//! The host's end of the program's terminal, as the worker needs it: descriptors that never block.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::termios::isatty;

/// Makes descriptors that do not block of the caller's, which other processes share: a terminal is opened once more. What can be neither is used as it
/// is, and may hold the partition up while it takes nothing.
pub(crate) fn ends(streams: [Option<OwnedFd>; 2]) -> [Option<OwnedFd>; 2] {
    streams.map(|stream| stream.map(without_blocking))
}

fn without_blocking(descriptor: OwnedFd) -> OwnedFd {
    use std::os::fd::AsRawFd as _;
    if isatty(&descriptor) {
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        return openat(CWD, path, flags, Mode::empty()).unwrap_or(descriptor);
    }
    // Pipes are the supervisor's, made for this.
    let is_pipe =
        fstat(&descriptor).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo);
    if is_pipe {
        let _ = rustix::io::ioctl_fionbio(&descriptor, true);
    }
    descriptor
}
