//! The first steps of every process that the supervisor forks.
#![allow(unsafe_code, reason = "closing what was inherited")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// If the supervisor goes, however it goes, so does this process. False if it is gone already.
pub(crate) fn tie_to(supervisor: Pid) -> bool {
    // Fails for invalid signals only.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    getppid() == Some(supervisor)
}

/// Closes what the supervisor has, and what the caller of `septum` left open, except standard input, output and error.
pub(crate) fn close_all_but<'a>(kept: impl Iterator<Item = BorrowedFd<'a>>) {
    let kept = kept.filter_map(|kept| u32::try_from(kept.as_raw_fd()).ok());
    let mut kept: Vec<Option<u32>> = kept.map(Some).collect();
    kept.sort_unstable();
    kept.push(None);
    let mut first = 3;
    for kept in kept {
        let last = kept.map_or(u32::MAX, |kept| kept.saturating_sub(1));
        if first <= last {
            // SAFETY:
            // 1. Descriptors in this range belong to the supervisor, of which this process is a copy, or to its caller: nothing here
            //    uses them, or closes them later.
            // 2. No pointer is passed. Without this call (before Linux 5.9) they stay open, and unused.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = kept.map_or(u32::MAX, |kept| kept.saturating_add(1)).max(3);
    }
}
