//! Signals as something to read, instead of something that interrupts.
//!
//! Signals that are the partition's business are blocked, so that they queue up in a descriptor: a blocked signal is queued whatever
//! its disposition. The worker is born with them blocked, ignores them, and only then unblocks everything: Ctrl-C, which the
//! terminal sends to both processes, never kills a worker that the supervisor wants to stop in good order. They must not be ignored
//! in this process, not even while they are blocked: to ignore a signal discards the one that has just come.
//!
//! A signal that the caller had ignored stays ignored, as `nohup` and shells that start something in the background
//! rely on. SIGTERM is held in any case.
//!
//! SIGTSTP stops a partition in the foreground as it stops a job: all of it stands still, until SIGCONT. The program is told when it goes on, and not that
//! it stops: it cannot be waited for, as programs that handle SIGTSTP need not stop.
#![allow(unsafe_code, reason = "signal masks and signal descriptors have no safe wrapper")]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// Those that end a partition.
const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
/// Further ones that its program may want.
const OTHERS: [i32; 4] = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM, libc::SIGWINCH];
/// What a shell does with its jobs, and so with a partition in the foreground.
const OF_JOBS: [i32; 2] = [libc::SIGTSTP, libc::SIGCONT];

/// Whose signals are held, besides those that end a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Those that the program is to get.
    pub passed_on: bool,
    /// Those of a shell to its jobs, and of a real-time number: of a partition in the foreground whose program gets signals.
    pub of_jobs: bool,
    /// Those about the caller's terminal.
    pub of_terminal: bool,
}

/// Whether a program that does not handle the signal ends, and whoever sends it wants that.
pub(super) fn is_ending(signal: i32) -> bool {
    ENDING.contains(&signal)
}

/// Held signals.
#[derive(Debug)]
pub struct Signals {
    descriptor: OwnedFd,
    held: Vec<i32>,
}

impl Signals {
    /// Holds a partition's signals for the rest of this process's life; those that end nothing only if they are wanted.
    pub(super) fn hold(wanted: Wanted) -> Result<Self, Errno> {
        let others = if wanted.passed_on { &OTHERS[..] } else { &[] };
        let of_jobs = if wanted.of_jobs { &OF_JOBS[..] } else { &[] };
        let of_terminal = if wanted.of_terminal { &[libc::SIGTSTP, libc::SIGWINCH][..] } else { &[] };
        let real_time = wanted.of_jobs.then(|| libc::SIGRTMIN()..=libc::SIGRTMAX());
        let mut held = [&ENDING[..], others, of_jobs, of_terminal].concat();
        held.extend(real_time.into_iter().flatten());
        held.sort_unstable();
        held.dedup();
        held.retain(|&signal| signal == libc::SIGTERM || !is_ignored(signal));
        Self::catch(held)
    }

    /// Holds these signals for the rest of this process's life; there must be a single thread.
    ///
    /// # Errors
    /// The host refused.
    pub fn catch(held: Vec<i32>) -> Result<Self, Errno> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY:
        // 1. `sigemptyset` initializes the whole set, so `assume_init_mut` follows its only precondition.
        // 2. `sigaddset` gets that set and valid signal numbers.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            let set = set.assume_init_mut();
            for &signal in &held {
                libc::sigaddset(set, signal);
            }
            set
        };
        // SAFETY:
        // 1. `set` is initialized and outlives the call; no old set is asked for.
        // 2. The mask is the calling thread's; the caller is the only thread.
        if unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set, std::ptr::null_mut()) } != 0 {
            return Err(Errno::INVAL);
        }
        // SAFETY: 1. `set` is initialized; -1 asks for a new descriptor.
        let raw = unsafe { libc::signalfd(-1, set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if raw < 0 {
            return Err(last_error());
        }
        // SAFETY: 1. The descriptor was just made and nobody else knows it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { descriptor, held })
    }

    /// Those that are held.
    pub(super) fn held(&self) -> &[i32] {
        &self.held
    }

    /// The next signal that came.
    #[must_use]
    pub fn take(&self) -> Option<i32> {
        let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
        let length = rustix::io::read(&self.descriptor, &mut record).ok()?;
        // The signal's number is the first field.
        let number: [u8; 4] = record.get(..length)?.get(..4)?.try_into().ok()?;
        i32::try_from(u32::from_ne_bytes(number)).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Whether this process was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY:
    // 1. No new action is given; the old one is written to `action`, which is valid for writing.
    // 2. `action` is read only if the call succeeded, and then it is initialized.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_came_just_before_is_kept() {
        let first = Signals::catch(vec![libc::SIGUSR1]).unwrap();
        // SAFETY: 1. The signal is blocked in this thread, to which it goes.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
        let second = Signals::catch(vec![libc::SIGUSR1]).unwrap();
        assert_eq!(second.take(), Some(libc::SIGUSR1));
        assert_eq!(first.take(), None);
    }
}
