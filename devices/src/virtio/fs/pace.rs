//! How requests follow each other, and what that says about who should serve the next.
//!
//! A thread that watches the queue answers sooner than a doorbell, but only if the next request comes while it does. After a large
//! request the program has work to do first.

use std::time::{Duration, Instant};

/// So many bytes are work for a program.
const LARGE: u32 = 64 << 10;
/// Requests that came at once, until more are expected.
const QUICK: u32 = 2;
/// The way back from a doorbell and to the next is longer than what a program does between two requests: at once is so many
/// times as long as a thread would watch.
const WAY: u32 = 3;

/// What is known of the last requests.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the last answer was given, if it was a small one.
    answered: Option<Instant>,
    /// How many doorbells in a row came right after the answer before.
    quick: u32,
}

impl Pace {
    /// A doorbell was rung, where a thread would watch for the next request for as long as `spin`.
    pub(super) fn rung(&mut self, spin: Duration) {
        let follows = self.answered.is_some_and(|answered| answered.elapsed() < spin * WAY);
        self.quick = if follows { self.quick.saturating_add(1) } else { 0 };
    }

    /// An answer was given, with so many bytes.
    pub(super) fn served(&mut self, bytes: u32) {
        self.answered = (bytes < LARGE).then(Instant::now);
    }

    /// Whether requests come faster than doorbells can be answered.
    pub(super) fn is_quick(&self) -> bool {
        self.quick >= QUICK && self.answered.is_some()
    }

    /// How long the thread should watch for the next request, where it watches for `spin` if it is worth it. When it `has_just_come`
    /// because they are quick, one is under way by the doorbell, and the one to watch for is the next.
    pub(super) fn watch(&self, spin: Duration, has_just_come: bool) -> Duration {
        match self.answered {
            None => Duration::ZERO,
            Some(_) if has_just_come && self.is_quick() => spin * WAY,
            Some(_) => spin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(100);

    #[test]
    fn small_requests_that_follow_each_other_are_quick() {
        let mut pace = Pace::default();
        for expected in [false, false, true, true] {
            pace.rung(SOON);
            pace.served(4096);
            assert_eq!(pace.is_quick(), expected);
            assert_eq!(pace.watch(SOON, false), SOON);
            assert_eq!(pace.watch(SOON, true), if expected { SOON * WAY } else { SOON });
        }
        pace.rung(Duration::ZERO);
        pace.served(4096);
        assert!(!pace.is_quick(), "a pause");
    }

    #[test]
    fn large_requests_are_not() {
        let mut pace = Pace::default();
        for _ in 0..5 {
            pace.rung(SOON);
            pace.served(LARGE);
            assert!(!pace.is_quick());
            assert_eq!(pace.watch(SOON, true), Duration::ZERO);
        }
    }
}
