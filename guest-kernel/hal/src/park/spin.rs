//! Looking for a moment before halting.
//!
//! A halt and its end cost tens of microseconds on both sides, most of it the host's; an answer that another vCPU gives at
//! once takes one or two. So a vCPU that is about to halt looks first, if
//!
//! * somebody else is awake who could answer, and no more are than the partition has CPUs: looking must not keep anybody from working;
//! * its last waits were short. [`Budget`] learns that: a wait that ended soon after the looking did doubles the time, a long one
//!   halves it, so that what waits for long pays nothing.
//!
//! KVM would do the same (halt polling) without knowing who could answer; the host tells it not to.

use core::sync::atomic::{AtomicU32, Ordering};

/// What a vCPU begins with, ns: a few round trips between awake vCPUs.
const FIRST_NS: u32 = 40_000;
/// At most this long, ns: about as long as it takes to wake a halted vCPU, so that two that find each other halted come out of it.
const LONGEST_NS: u32 = 160_000;
/// A wait that was longer than this had nothing to do with an answer, ns.
const SHORT_NS: u64 = 250_000;
/// Shorter looks than this are none, ns.
const SHORTEST_NS: u32 = 2_000;

/// How long one vCPU looks.
#[derive(Debug)]
pub struct Budget {
    ns: AtomicU32,
}

impl Budget {
    /// That of a vCPU that has not waited yet.
    pub const fn new() -> Self {
        Self { ns: AtomicU32::new(FIRST_NS) }
    }

    /// How long to look, ns.
    pub fn ns(&self) -> u64 {
        u64::from(self.ns.load(Ordering::Relaxed))
    }

    /// A wait took `waited_ns` from its beginning, looking included. Called by its vCPU only.
    pub fn learn(&self, waited_ns: u64) {
        let ns = self.ns.load(Ordering::Relaxed);
        let next = if waited_ns > SHORT_NS {
            if ns / 2 < SHORTEST_NS { 0 } else { ns / 2 }
        } else if waited_ns > u64::from(ns) {
            (ns * 2).clamp(FIRST_NS, LONGEST_NS)
        } else {
            return;
        };
        self.ns.store(next, Ordering::Relaxed);
    }
}

/// Whether looking may pay: `awake` vCPUs of this partition are not halted, the one that asks included.
pub fn may_pay(awake: u32, cpus: u32) -> bool {
    awake > 1 && awake <= cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_waits_end_the_looking_and_short_ones_bring_it_back() {
        let budget = Budget::new();
        assert_eq!(budget.ns(), u64::from(FIRST_NS));
        budget.learn(1_000);
        assert_eq!(budget.ns(), u64::from(FIRST_NS));
        for _ in 0..8 {
            budget.learn(1_000_000);
        }
        assert_eq!(budget.ns(), 0);
        budget.learn(90_000);
        assert_eq!(budget.ns(), u64::from(FIRST_NS));
        for _ in 0..8 {
            budget.learn(200_000);
        }
        assert_eq!(budget.ns(), u64::from(LONGEST_NS));
    }

    #[test]
    fn nobody_looks_alone_or_while_others_need_the_processor() {
        assert!(!may_pay(1, 4));
        assert!(may_pay(2, 2));
        assert!(!may_pay(3, 2));
    }
}
