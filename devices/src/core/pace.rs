//! How requests follow each other, and what that says about who should serve the next: the vCPU that rings for it, or a thread that watches the ring.
//!
//! ```text
//!   answer ──► the way back ──► the program ──► the way to the doorbell ──► rung
//!              └──────── what is measured; the shortest that was seen is taken for the way ────────┘
//! ```
//!
//! A thread that watches answers sooner than a doorbell, but only if the next request comes while it does. What the way takes is the host's: two microseconds on
//! some, a hundred and more where virtual machines run in virtual machines. So it is not known before, and what it leaves of the time is the program's.
//! Watching in vain makes it rarer.

use std::time::{Duration, Instant};

/// Doorbells that came right after the answer before, until more are expected.
const QUICK: u32 = 2;
/// The longest way that is believed in, as also before one was seen.
const LONGEST: Duration = Duration::from_micros(300);
/// How many times in a row watching in vain makes it rarer: it takes so many powers of two more doorbells then.
const MOST_VAIN: u32 = 8;

/// What is known of the last requests.
#[derive(Debug)]
pub(crate) struct Pace {
    /// How long a thread watches for the next request, if that is worth it.
    spin: Duration,
    /// When the last answer was given, if the program is not at work with it.
    answered: Option<Instant>,
    /// When somebody rang last: it is on its way back.
    rung: Instant,
    /// How many doorbells in a row came right after the answer before.
    quick: u32,
    /// The shortest time between an answer and the next doorbell.
    way: Duration,
    /// How many times in a row nothing came while a thread watched.
    vain: u32,
}

impl Pace {
    /// Nothing is known; a thread would watch for `spin`. If that is zero, it never does.
    pub(crate) fn new(spin: Duration) -> Self {
        Self { spin, answered: None, rung: Instant::now(), quick: 0, way: LONGEST, vain: 0 }
    }

    /// A doorbell was rung.
    pub(crate) fn rung(&mut self) {
        self.rung = Instant::now();
        self.rung_after(self.answered.map(|answered| self.rung.duration_since(answered)));
    }

    fn rung_after(&mut self, time: Option<Duration>) {
        // One that is seldom right is forgotten: ways get longer, too.
        self.way = (self.way + self.way / 64).min(LONGEST);
        let follows = time.is_some_and(|time| {
            self.way = self.way.min(time);
            time < self.way + self.spin
        });
        self.quick = if follows { self.quick.saturating_add(1) } else { 0 };
    }

    /// A request was answered by whoever rang.
    pub(crate) fn served(&mut self) {
        self.answered = Some(Instant::now());
    }

    /// One was answered that gives the program something to do.
    pub(crate) fn occupied(&mut self) {
        self.answered = None;
    }

    /// Whether requests come faster than doorbells can be answered.
    pub(crate) fn is_quick(&self) -> bool {
        self.spin > Duration::ZERO && self.quick >= QUICK << self.vain && self.answered.is_some()
    }

    /// Until when the thread should watch for the next request, of which the `last` came then. Where they are quick, whoever rang for one has its way back
    /// to go before it makes the next.
    pub(crate) fn deadline(&self, last: Instant) -> Instant {
        match self.answered {
            None => last,
            Some(_) if self.is_quick() => (last + self.spin).max(self.rung + self.way + 2 * self.spin),
            Some(_) => last + self.spin,
        }
    }

    /// The thread has stopped watching, and did or did not see requests meanwhile.
    pub(crate) fn watched(&mut self, has_seen: bool) {
        self.vain = if has_seen { 0 } else { (self.vain + 1).min(MOST_VAIN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPIN: Duration = Duration::from_micros(20);

    fn after(pace: &mut Pace, us: u64) -> bool {
        pace.rung_after(Some(Duration::from_micros(us)));
        pace.served();
        pace.is_quick()
    }

    #[test]
    fn requests_that_follow_each_other_are_quick_however_long_the_way() {
        for way in [2, 30, 120, 290] {
            let mut pace = Pace::new(SPIN);
            let quick = (0..40).filter(|n| after(&mut pace, way + n % 4)).count();
            assert!(quick >= 20, "{way}: {quick}");
            assert!(!after(&mut pace, way + 1000), "a pause");
        }
    }

    #[test]
    fn a_program_that_works_meanwhile_is_not() {
        let mut pace = Pace::new(SPIN);
        assert!(!(0..200).any(|n| after(&mut pace, 400 + n)));
        // Where the way is short, what remains is the program's.
        let mut pace = Pace::new(SPIN);
        assert!(!(0..200).any(|n| after(&mut pace, if n % 2 == 0 { 30 } else { 100 })));
    }

    #[test]
    fn watching_in_vain_makes_it_rare() {
        let mut pace = Pace::new(SPIN);
        let mut watched = 0;
        for _ in 0..2000 {
            if after(&mut pace, 100) {
                pace.watched(false);
                pace.rung_after(None);
                watched += 1;
            }
        }
        assert!(watched < 20, "{watched}");
        pace.watched(true);
        (0..3).for_each(|_| {
            after(&mut pace, 100);
        });
        assert!(pace.is_quick());
    }

    #[test]
    fn after_work_for_the_program_and_on_one_processor_nobody_watches() {
        let mut pace = Pace::new(SPIN);
        (0..40).for_each(|_| {
            after(&mut pace, 50);
        });
        pace.rung();
        pace.quick = 40;
        let now = pace.rung;
        assert!(pace.is_quick() && pace.deadline(now) > now + SPIN);
        pace.occupied();
        assert!(!pace.is_quick() && pace.deadline(now) == now);
        let mut pace = Pace::new(Duration::ZERO);
        assert!(!(0..100).any(|_| after(&mut pace, 0)));
    }
}
