//! Stopping and continuing a process (job control).
//!
//! ```text
//! running ──stop signal──► stopping ──all its threads have halted──► stopped
//!    ▲                         │                                        │
//!    └───────SIGCONT───────────┴────────────────SIGCONT─────────────────┘
//! ```
//!
//! Each thread halts where it would run the program or wait, so what it waits for is not disturbed: no call is interrupted by a
//! stop. The parent is told when all have halted, and when the process goes on.

use super::signal::{Info, flag};
use super::task::Task;
use super::{Process, family};
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::signal;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::park;
use septum_guest_hal::sync::Mutex;

/// si_code of SIGCHLD (`sigaction(2)`).
pub mod code {
    /// It called `exit`.
    pub const EXITED: i32 = 1;
    /// A signal killed it.
    pub const KILLED: i32 = 2;
    /// Its tracer is told of a stop.
    pub const TRAPPED: i32 = 4;
    /// It has stopped.
    pub const STOPPED: i32 = 5;
    /// It goes on.
    pub const CONTINUED: i32 = 6;
}

/// What a parent may wait for besides an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stopped because of this signal.
    Stopped(u32),
    /// It goes on.
    Continued,
}

#[derive(Debug, Default)]
struct State {
    /// Threads that have halted since the signal came.
    halted: usize,
    /// All had.
    is_stopped: bool,
    /// What the parent has not waited for yet.
    unreported: Option<Change>,
}

/// Whether a process is stopped.
#[derive(Debug, Default)]
pub struct Stop {
    /// The signal, or 0.
    signal: AtomicU32,
    /// How often it was stopped.
    round: AtomicU32,
    state: Mutex<State>,
}

impl Stop {
    /// Whether it is stopped, or about to be.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.signal.load(Ordering::Acquire) != 0
    }

    /// A change that `is_wanted` and of which the parent has not heard; forgotten if it `takes` it.
    pub fn report(&self, takes: bool, is_wanted: impl Fn(Change) -> bool) -> Option<Change> {
        let mut state = self.state.lock();
        let change = state.unreported.filter(|change| is_wanted(*change))?;
        if takes {
            state.unreported = None;
        }
        Some(change)
    }
}

impl Process {
    /// A stop signal takes effect.
    pub(super) fn stop(&self, signal: u32) {
        {
            let mut state = self.stop.state.lock();
            if self.stop.is_wanted() {
                return;
            }
            (state.halted, state.is_stopped) = (0, false);
            self.stop.round.fetch_add(1, Ordering::Release);
            self.stop.signal.store(signal, Ordering::Release);
        }
        self.tasks().iter().for_each(|task| task.alert());
    }

    /// SIGCONT takes effect.
    pub(super) fn go_on(&self) {
        let had_stopped = {
            let mut state = self.stop.state.lock();
            if self.stop.signal.swap(0, Ordering::AcqRel) == 0 {
                return;
            }
            let had_stopped = core::mem::replace(&mut state.is_stopped, false);
            state.unreported = had_stopped.then_some(Change::Continued);
            had_stopped
        };
        self.tasks().iter().for_each(|task| task.alert());
        if had_stopped {
            self.tell_parent(code::CONTINUED, signal::SIGCONT);
        }
    }

    /// It is a tracer's from now on, to stop and to continue.
    pub fn go_on_untold(&self) {
        {
            let mut state = self.stop.state.lock();
            self.stop.signal.store(0, Ordering::Release);
            (state.is_stopped, state.unreported) = (false, None);
        }
        self.tasks().iter().for_each(|task| task.alert());
    }

    /// Halts the calling thread for as long as the process is stopped.
    #[inline]
    pub fn halt_while_stopped(&self, task: &Task) {
        if self.stop.is_wanted() {
            self.halt_stopped(task);
        }
    }

    #[inline(never)]
    fn halt_stopped(&self, task: &Task) {
        task.set_waiting(monotonic_ns(), true);
        let mut counted = None;
        while self.stop.is_wanted() && !self.must_leave(task) {
            // It may have been continued and stopped again before this thread saw the one or the other.
            let round = self.stop.round.load(Ordering::Acquire);
            if counted.replace(round) != Some(round) {
                self.count_halted(Some(round));
            } else {
                park::park(None);
            }
        }
        task.set_waiting(monotonic_ns(), false);
    }

    /// A thread has halted because of this round, or one that had not is gone.
    pub(super) fn count_halted(&self, in_round: Option<u32>) {
        let stopped_by = {
            let mut state = self.stop.state.lock();
            let signal = self.stop.signal.load(Ordering::Acquire);
            if in_round == Some(self.stop.round.load(Ordering::Acquire)) {
                state.halted += 1;
            }
            let threads = self.thread_count();
            if signal == 0 || threads == 0 || state.halted < threads || state.is_stopped {
                return;
            }
            state.is_stopped = true;
            state.unreported = Some(Change::Stopped(signal));
            signal
        };
        self.tell_parent(code::STOPPED, stopped_by);
    }

    /// Sends SIGCHLD for a stop or its end, if the parent wants that, and makes it look.
    fn tell_parent(&self, code: i32, status: u32) {
        let Some(parent) = family::find(self.kin.parent()) else { return };
        let flags = parent.actions.lock().0[signal::SIGCHLD as usize - 1].flags;
        if flags & flag::NOCLDSTOP == 0 {
            parent.send(Info::of_child(signal::SIGCHLD, code, self, status));
        }
        parent.children.wake_all();
    }
}
