//! Signals to several processes at once, and forks that are under way meanwhile.
//!
//! A child that is not listed yet cannot be reached by a signal to its group. So each process remembers what it was sent as one of many, and a fork
//! looks at that before it lists the child: what interrupts the parent has the fork made again, as ERESTARTNOINTR does on Linux, and what the parent
//! has blocked is given to the child, as Linux does with the signals that it collects in `multiprocess` (`kernel/fork.c`).

use septum_guest_hal::sync::Mutex;

/// As many as are remembered: more never come while one fork is under way, or all of these are given to the child.
const RECENT: usize = 16;

/// What a process was sent together with others.
#[derive(Debug, Default)]
pub struct ToMany(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    count: usize,
    signals: [u32; RECENT],
}

impl ToMany {
    /// It was sent one more.
    pub fn note(&self, signal: u32) {
        // `kill` with 0 only asks.
        if signal == 0 {
            return;
        }
        let mut recent = self.0.lock();
        let at = recent.count % RECENT;
        recent.signals[at] = signal;
        recent.count += 1;
    }

    /// How many it was sent.
    pub fn count(&self) -> usize {
        self.0.lock().count
    }

    /// The signals that came after the first `seen`, as a set.
    pub fn since(&self, seen: usize) -> u64 {
        let recent = self.0.lock();
        let new = recent.count.saturating_sub(seen).min(RECENT);
        (recent.count - new..recent.count)
            .map(|number| recent.signals[number % RECENT])
            .fold(0, |set, signal| set | super::signal::bit(signal))
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::bit;
    use super::*;

    #[test]
    fn what_came_meanwhile_is_known() {
        let to_many = ToMany::default();
        assert_eq!((to_many.count(), to_many.since(0)), (0, 0));
        to_many.note(2);
        let seen = to_many.count();
        assert_eq!(to_many.since(seen), 0);
        to_many.note(15);
        to_many.note(64);
        assert_eq!(to_many.since(seen), bit(15) | bit(64));
        assert_eq!(to_many.since(0), bit(2) | bit(15) | bit(64));
        for _ in 0..RECENT {
            to_many.note(1);
        }
        assert_eq!(to_many.since(seen), bit(1), "only so many are remembered");
    }
}
