//! ITIMER_REAL: the timer behind `alarm` and `setitimer`.

/// Deadline and period on the monotonic clock, ns; zero means none.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntervalTimer {
    /// When it fires next.
    pub deadline_ns: u64,
    /// After that, every so often.
    pub period_ns: u64,
}

impl IntervalTimer {
    /// The time left, 0 if it is off.
    #[must_use]
    pub fn remaining(&self, now_ns: u64) -> u64 {
        if self.deadline_ns == 0 { 0 } else { self.deadline_ns.saturating_sub(now_ns).max(1) }
    }

    /// Whether it fires now; if so it is set for the next time.
    pub fn fire(&mut self, now_ns: u64) -> bool {
        if self.deadline_ns == 0 || now_ns < self.deadline_ns {
            return false;
        }
        self.deadline_ns = match self.period_ns {
            0 => 0,
            period => self.deadline_ns + period * (1 + (now_ns - self.deadline_ns) / period),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_periodic_timer_fires_once_and_stays_on_its_grid() {
        let mut timer = IntervalTimer { deadline_ns: 100, period_ns: 10 };
        assert!(!timer.fire(99));
        assert!(timer.fire(135));
        assert_eq!((timer.deadline_ns, timer.remaining(136)), (140, 4));
    }

    #[test]
    fn a_single_shot_is_off_afterwards() {
        let mut timer = IntervalTimer { deadline_ns: 5, period_ns: 0 };
        assert!(timer.fire(5));
        assert!(!timer.fire(1000));
        assert_eq!(timer.remaining(0), 0);
    }
}
