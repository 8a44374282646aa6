//! What one vCPU is doing, as far as those who want its attention must know.
//!
//! ```text
//!              halt                    resume
//!   RUNNING ─────────► HALTED ────────────────────► RUNNING
//!      │                  │ notify (interrupts)        ▲
//!      │ notify           ▼                            │ resume, or an attempt to halt
//!      ├────────────► NOTIFIED ────────────────────────┤
//!      │                  ▲ notify (interrupts)        │
//!      └───────────► IN_PROGRAM ───────────────────────┘
//!        enter program                 resume
//! ```
//!
//! A notification is never lost: it ends the halt or the program's run that is under way, or else the next attempt at one. It is not
//! counted: two are as good as one. Every change is an exchange, so what was done before a notification is seen by
//! whoever takes it. Each halt is left by exactly one exchange that finds HALTED, the vCPU's own or somebody's notification: that
//! one counts the vCPU as awake again.

use super::atomic::{AtomicU32, Ordering};

/// In the kernel.
pub const RUNNING: u32 = 0;
/// Halted, or about to: an interrupt ends it.
pub const HALTED: u32 = 1;
/// Running the program, or about to: an interrupt ends it.
pub const IN_PROGRAM: u32 = 2;
/// Somebody wants it to look.
pub const NOTIFIED: u32 = 3;

/// One vCPU's.
#[derive(Debug)]
pub struct Parker {
    /// One of the constants above.
    pub(super) state: AtomicU32,
}

impl Parker {
    /// The vCPU is about to halt or to run the program (`state`). False if it was notified and must look first.
    pub fn leave_kernel(&self, state: u32) -> bool {
        if self.state.compare_exchange(RUNNING, state, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        self.resume();
        false
    }

    /// The vCPU is back. Returns what it left: NOTIFIED if it is to look.
    pub fn resume(&self) -> u32 {
        self.state.swap(RUNNING, Ordering::AcqRel)
    }

    /// Whether somebody wants it to look, as far as this vCPU has heard.
    pub fn is_notified(&self) -> bool {
        self.state.load(Ordering::Acquire) == NOTIFIED
    }

    /// Wants it to look. Returns what it was doing: if it was HALTED or IN_PROGRAM, the caller must interrupt it.
    #[must_use]
    pub fn notify(&self) -> u32 {
        self.state.swap(NOTIFIED, Ordering::AcqRel)
    }
}
