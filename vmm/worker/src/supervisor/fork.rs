//! Making the processes of a partition, its worker and its broker: copies of the supervisor's, which go their own way at once.
//!
//! Executing a program costs as much as all the rest of the worker's start: a library is looked for, thousands of addresses
//! are relocated, every page is a fault. A fork has all that behind it ([0014](../../../docs/decisions/0014-the-worker-is-forked.md)).
//! What it must not take along is cleared first: the caller's environment, which may hold secrets and is no business of
//! a process that a guest might take over; signals that the supervisor holds; its name. Descriptors are the worker's own
//! first step.
#![allow(unsafe_code, reason = "fork, and the memory that the environment lies in")]

use std::ffi::{CStr, c_char};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid};

use crate::jail::report;

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Worker,
    Broker,
}

impl Kind {
    /// What its command line says, as far as there is room.
    fn title(self) -> &'static [u8] {
        match self {
            Self::Worker => b"septum-worker",
            Self::Broker => b"septum-broker",
        }
    }
}

/// A process that has not been waited for.
pub(super) struct Forked {
    pid: Pid,
}

impl Forked {
    /// Forks. The copy ignores the signals that are `held`, runs `work` with one end of a socket and the number of this process, and
    /// exits with the status that it returns; this process gets the other end. Only one thread may exist.
    pub(super) fn fork(
        kind: Kind,
        held: &[i32],
        work: impl FnOnce(UnixStream, Pid) -> i32,
    ) -> Result<(Self, UnixStream), std::io::Error> {
        let (ours, theirs) = UnixStream::pair()?;
        let supervisor = getpid();
        if kind == Kind::Worker {
            report::prepare();
        }
        // SAFETY:
        // 1. This process has a single thread, as the caller promises: no lock is held by anybody else.
        // 2. The copy never returns from here.
        match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error()),
            0 => {
                drop(ours);
                let status = catch_unwind(AssertUnwindSafe(|| {
                    ignore(held);
                    forget_caller(kind.title());
                    work(theirs, supervisor)
                }));
                std::process::exit(status.unwrap_or(101))
            }
            pid => match Pid::from_raw(pid) {
                Some(pid) => Ok((Self { pid }, ours)),
                None => Err(std::io::Error::from_raw_os_error(libc::ECHILD)),
            },
        }
    }

    /// Its number.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Kills it; it still has to be waited for.
    pub(super) fn kill(&self) {
        // It is there until it has been waited for.
        let _ = kill_process(self.pid, Signal::KILL);
    }

    /// Holds all its threads, those of virtual CPUs that halt included, or lets them go on. Time goes on in the partition, as it does for a
    /// process that is stopped.
    pub(super) fn hold(&self, holds: bool) {
        // As above.
        let _ = kill_process(self.pid, if holds { Signal::STOP } else { Signal::CONT });
    }

    /// Kills it, if it is still there, and waits until it is gone. One that has ended by itself tells how.
    pub(super) fn end(self) -> Option<WaitStatus> {
        self.kill();
        self.wait()
    }

    /// Waits until it is gone.
    pub(super) fn wait(self) -> Option<WaitStatus> {
        loop {
            match waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(found) => return found.map(|(_, status)| status),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Ignores signals, which are blocked until then.
fn ignore(held: &[i32]) {
    for &signal in held {
        // SAFETY: 1. SIG_IGN installs no code. A number that may not be ignored is refused, and nothing happens.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Makes this process one of its own: no held signals, no environment, its own command line.
fn forget_caller(title: &[u8]) {
    // SAFETY:
    // 1. `sigemptyset` initializes the set that the other call reads; the mask is that of the only thread.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
    unsafe extern "C" {
        static mut environ: *mut *mut c_char;
        static program_invocation_name: *mut c_char;
    }
    // SAFETY:
    // 1. There is one thread: nobody reads or changes the environment meanwhile, and nobody keeps references to it.
    // 2. The kernel put the strings on the stack, or the C library on the heap: writable, each ended by a NUL, which stays.
    // 3. Afterwards the list is empty, which is a valid environment.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            std::ptr::write_bytes(*entry, 0, CStr::from_ptr(*entry).count_bytes());
            entry = entry.add(1);
        }
        environ = (&raw mut EMPTY).cast();
    }
    // SAFETY:
    // 1. The C library points to the string of the zeroth argument, writable and ended by a NUL, which stays.
    // 2. Nobody looks at the arguments any more.
    unsafe {
        if !program_invocation_name.is_null() {
            let room = CStr::from_ptr(program_invocation_name).count_bytes();
            let len = room.min(title.len());
            std::ptr::write_bytes(program_invocation_name, 0, room);
            std::ptr::copy_nonoverlapping(title.as_ptr().cast(), program_invocation_name, len);
        }
    }
}

/// An environment of nothing.
static mut EMPTY: [*mut c_char; 1] = [std::ptr::null_mut()];
