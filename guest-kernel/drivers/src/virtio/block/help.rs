//! Whether to ring for a long read although the device looks at the ring: whoever rings helps to copy.
//!
//! A doorbell costs an exit, which is between one and forty microseconds by the host, and a megabyte takes between fifty and three hundred to copy. So neither is
//! faster everywhere: both are tried, and what took less time for a byte of late is done.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Reads until the other way is tried once more.
const PERIOD: u32 = 64;
/// Of those the first that try both ways in turn.
const TRIALS: u32 = 8;
/// How many times as long as usual a read may take and still say something: else its thread was not running.
const STRETCH: u32 = 4;

/// What both ways have cost, picoseconds a byte.
#[derive(Debug, Default)]
pub(super) struct Help {
    costs: [AtomicU32; 2],
    reads: AtomicU32,
}

impl Help {
    /// Whether to ring for the next long read.
    pub(super) fn is_wanted(&self) -> bool {
        let reads = self.reads.fetch_add(1, Relaxed);
        let is_better = self.cost(true) < self.cost(false);
        if reads < TRIALS { reads.is_multiple_of(2) } else { is_better != reads.is_multiple_of(PERIOD) }
    }

    /// A read of `bytes` took so long.
    pub(super) fn learn(&self, rang: bool, bytes: usize, ns: u64) {
        let cost = u32::try_from(ns.saturating_mul(1000) / (bytes as u64).max(1)).unwrap_or(u32::MAX).max(1);
        let known = self.cost(rang);
        let cost = if known == 0 {
            cost
        } else {
            let cost = cost.min(known.saturating_mul(STRETCH));
            known - known / 4 + cost / 4
        };
        // One of two who learn at once is not heard.
        self.costs[usize::from(rang)].store(cost, Relaxed);
    }

    fn cost(&self, rang: bool) -> u32 {
        self.costs[usize::from(rang)].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 1 << 20;

    /// How many of so many reads ring, where the two ways take so long.
    fn rung(help: &Help, reads: u32, ringing_ns: u64, looking_ns: u64) -> u32 {
        let mut count = 0;
        for _ in 0..reads {
            let rang = help.is_wanted();
            count += u32::from(rang);
            help.learn(rang, BYTES, if rang { ringing_ns } else { looking_ns });
        }
        count
    }

    #[test]
    fn what_is_faster_is_done_and_the_other_way_tried_now_and_then() {
        assert!((4..=20).contains(&rung(&Help::default(), 640, 100_000, 60_000)));
        assert!((620..=636).contains(&rung(&Help::default(), 640, 150_000, 300_000)));
    }

    #[test]
    fn a_host_that_changes_is_followed() {
        let help = Help::default();
        rung(&help, 256, 100_000, 60_000);
        rung(&help, 256, 100_000, 300_000);
        assert!(rung(&help, 64, 100_000, 300_000) > 60);
    }

    #[test]
    fn one_that_stood_still_changes_little() {
        let help = Help::default();
        rung(&help, 100, 100_000, 40_000);
        help.learn(false, BYTES, 50_000_000);
        assert!(rung(&help, 40, 100_000, 40_000) <= 1);
        help.learn(true, 0, u64::MAX);
    }
}
