//! Looking for a moment before halting.
//!
//! A halt and its end cost tens of microseconds on both sides, most of it the host's; an answer that another vCPU gives at
//! once takes one or two. So a vCPU that is about to halt looks first, if
//!
//! * somebody else is awake who could answer, and no more are than the partition has CPUs: looking must not keep anybody from working;
//! * its last waits were short. [`Budget`] learns that: a wait that ended soon after the looking did doubles the time, a long one
//!   halves it, so that what waits for long pays nothing.
//!
//! Where more are awake than there are CPUs, looking costs somebody's time, but so does halting: what two threads of a partition with one
//! CPU pass each other comes at once if the host runs both, and never if it does not. So a vCPU looks there as long as that costs less than
//! a halt and its end would, and after it has looked in vain it does not for a while, each time for longer, unless it finds the other one
//! looking.
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

/// At most this long while others may need the processor, ns: one that was halted when it was asked can answer within it, also where waking it
/// takes twice the usual time.
pub const CROWDED_NS: u64 = 240_000;
/// What was found sooner cost less of the processor than a halt and its end, ns.
const CHEAP_NS: u64 = 40_000;
/// The most waits without looking after one that looked in vain.
const MOST_SKIPPED: u32 = 64;
/// Looking that was dearer than a halt so many times over, as a power of two, is in vain.
const PATIENCE: u32 = 8;

/// Who could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody.
    None,
    /// Somebody, and there is a CPU for each.
    Roomy,
    /// Somebody, and not all have a CPU.
    Crowded,
}

impl Company {
    /// Of one of `awake` vCPUs that are not halted, where the partition has `cpus`; 0: nobody is to look.
    pub fn of(awake: u32, cpus: u32) -> Self {
        if awake <= 1 || cpus == 0 {
            Self::None
        } else if awake <= cpus {
            Self::Roomy
        } else {
            Self::Crowded
        }
    }
}

/// How long one vCPU looks.
#[derive(Debug)]
pub struct Budget {
    ns: AtomicU32,
    /// Waits in a crowd until it looks again.
    skips: AtomicU32,
    /// How many they were after it last looked in vain, less what it found since.
    skipped: AtomicU32,
}

impl Budget {
    /// That of a vCPU that has not waited yet.
    pub const fn new() -> Self {
        Self { ns: AtomicU32::new(FIRST_NS), skips: AtomicU32::new(0), skipped: AtomicU32::new(0) }
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

    /// Whether to look in a crowd, this time. Called by its vCPU only.
    pub fn looks_in_crowd(&self) -> bool {
        let skips = self.skips.load(Ordering::Relaxed);
        self.skips.store(skips.saturating_sub(1), Ordering::Relaxed);
        skips == 0
    }

    /// Somebody was found looking for what this vCPU gave it, and will be quick to answer. Called by its vCPU only.
    pub fn encourage(&self) {
        self.skips.store(0, Ordering::Relaxed);
    }

    /// It looked in a crowd, and after so many ns found what it waited for, or nothing. Called by its vCPU only.
    pub fn learn_in_crowd(&self, found_ns: Option<u64>) {
        let skipped = self.skipped.load(Ordering::Relaxed);
        let is_cheap = found_ns.is_some_and(|ns| ns <= CHEAP_NS);
        let next = if is_cheap { skipped / 2 } else { (skipped * 2).clamp(1, MOST_SKIPPED) };
        self.skipped.store(next, Ordering::Relaxed);
        // Who was found late may have been halted, and answers at once the next time.
        if found_ns.is_none() || next > PATIENCE {
            self.skips.store(next, Ordering::Relaxed);
        }
    }
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
    fn nobody_looks_alone_and_a_crowd_is_one() {
        assert_eq!(Company::of(1, 4), Company::None);
        assert_eq!(Company::of(2, 0), Company::None);
        assert_eq!(Company::of(2, 2), Company::Roomy);
        assert_eq!(Company::of(3, 2), Company::Crowded);
    }

    #[test]
    fn looking_in_vain_becomes_rare_and_finding_brings_it_back() {
        let budget = Budget::new();
        let (mut looked, waits) = (0, 10_000);
        for _ in 0..waits {
            if budget.looks_in_crowd() {
                looked += 1;
                budget.learn_in_crowd(None);
            }
        }
        assert!((100..=200).contains(&looked), "{looked} of {waits}");
        let mut waited = 0;
        while !budget.looks_in_crowd() {
            waited += 1;
        }
        assert!(waited <= MOST_SKIPPED);
        budget.learn_in_crowd(None);
        budget.encourage();
        assert!(budget.looks_in_crowd());
        (0..10).for_each(|_| budget.learn_in_crowd(Some(CHEAP_NS)));
        budget.learn_in_crowd(None);
        assert!(!budget.looks_in_crowd());
        assert!(budget.looks_in_crowd());
    }

    #[test]
    fn answers_that_come_late_are_worth_a_few_looks() {
        let budget = Budget::new();
        let mut looked = 0;
        while budget.looks_in_crowd() {
            looked += 1;
            budget.learn_in_crowd(Some(CHEAP_NS + 1));
        }
        assert_eq!(looked, 5);
    }
}
