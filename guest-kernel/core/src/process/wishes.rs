//! What a process asked for with `prctl`, and others may ask about.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Linux's timer slack of a process that did not ask for another.
pub const TIMER_SLACK_NS: u64 = 50_000;

/// What a process asked for.
#[derive(Debug)]
pub struct Wishes {
    /// PR_SET_NO_NEW_PRIVS; nothing here gives privileges.
    pub has_no_new_privileges: AtomicBool,
    /// PR_SET_DUMPABLE; there are no dumps.
    pub is_dumpable: AtomicBool,
    /// PR_SET_KEEPCAPS; capabilities are user 0's whatever it says.
    pub keeps_capabilities: AtomicBool,
    /// PR_SET_TIMERSLACK; timers are as precise as the host's.
    pub timer_slack_ns: AtomicU64,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            has_no_new_privileges: AtomicBool::new(false),
            is_dumpable: AtomicBool::new(true),
            keeps_capabilities: AtomicBool::new(false),
            timer_slack_ns: AtomicU64::new(TIMER_SLACK_NS),
        }
    }
}

impl Wishes {
    /// A child's.
    #[must_use]
    pub fn inherited(&self) -> Self {
        let copy = |wish: &AtomicBool| AtomicBool::new(wish.load(Ordering::Relaxed));
        Self {
            has_no_new_privileges: copy(&self.has_no_new_privileges),
            is_dumpable: copy(&self.is_dumpable),
            keeps_capabilities: copy(&self.keeps_capabilities),
            timer_slack_ns: AtomicU64::new(self.timer_slack_ns.load(Ordering::Relaxed)),
        }
    }

    /// What another program in the same process does not take over.
    pub fn forget(&self) {
        self.is_dumpable.store(true, Ordering::Relaxed);
        self.keeps_capabilities.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_takes_over_what_another_program_does_not() {
        let wishes = Wishes::default();
        wishes.has_no_new_privileges.store(true, Ordering::Relaxed);
        wishes.keeps_capabilities.store(true, Ordering::Relaxed);
        let child = wishes.inherited();
        assert!(child.keeps_capabilities.load(Ordering::Relaxed));
        child.forget();
        assert!(!child.keeps_capabilities.load(Ordering::Relaxed));
        assert!(child.has_no_new_privileges.load(Ordering::Relaxed));
    }
}
