//! How many requests a worker may make at a time, so that one that makes nothing else takes no more of the host than others.

use std::time::{Duration, Instant};

/// Requests that may come at once.
const MOST: u32 = 4096;
/// How long one is saved for: 20,000 a second, four times what the proxy of a guest makes that does nothing else.
const EACH: Duration = Duration::from_micros(50);

/// What is left.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: MOST, since: now }
    }

    /// One request is made; false if that is one too many for now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let saved = now.duration_since(self.since).as_nanos() / EACH.as_nanos();
        let saved = u32::try_from(saved).unwrap_or(u32::MAX);
        if saved >= MOST - self.left {
            (self.left, self.since) = (MOST, now);
        } else {
            self.left += saved;
            self.since += EACH * saved;
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_is_saved_up_to_a_limit() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let mut taken = |after: Duration| (0..).take_while(|_| allowance.take(start + after)).count();
        assert_eq!(taken(Duration::ZERO), 4096);
        assert_eq!(taken(Duration::ZERO), 0);
        assert_eq!(taken(Duration::from_micros(40)), 0);
        assert_eq!(taken(Duration::from_micros(100)), 2);
        assert_eq!(taken(Duration::from_millis(100)), 1998);
        assert_eq!(taken(Duration::from_secs(1000)), 4096);
    }
}
