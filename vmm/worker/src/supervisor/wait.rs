//! Waiting for a process with a limit, and saying how it went.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitStatus, pidfd_open};

/// Whether the child ends within `limit`. It still has to be waited for.
pub(super) fn wait_at_most(child: Pid, limit: Duration) -> bool {
    let Ok(descriptor) = pidfd_open(child, PidfdFlags::empty()) else {
        return false;
    };
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&descriptor, PollFlags::IN)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// `killed by signal 9 (SIGKILL)`, `it exited with status 101`.
pub(super) fn describe(status: WaitStatus) -> String {
    match (status.terminating_signal(), status.exit_status()) {
        (Some(signal), _) => format!("killed by signal {signal} ({})", name(signal)),
        (None, Some(code)) => format!("it exited with status {code} without a word"),
        (None, None) => "its status is unknown".to_owned(),
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => "another signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};
    use std::process::Command;

    #[test]
    fn the_end_of_a_child_is_waited_for_and_named() {
        let mut child = Command::new("sh").args(["-c", "kill -9 $$"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(wait_at_most(pid, Duration::from_secs(20)));
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(describe(status), "killed by signal 9 (SIGKILL)");
        // It has been waited for above, as the supervisor does it.
        assert!(child.wait().is_err());
    }

    #[test]
    fn a_child_that_stays_is_not_waited_for_longer_than_told() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        assert!(!wait_at_most(Pid::from_child(&child), Duration::from_millis(20)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
