//! Numbers of processes and threads.
//!
//! They go up, so that a number is not used again soon after its owner has gone, and begin again behind [`RESERVED`] when [`LIMIT`] is reached.
//! From then on one is given only if nothing has it: no process, no thread, no group, no session.

use super::family;
use core::sync::atomic::{AtomicU64, Ordering};

/// They are below this: `/proc/sys/kernel/pid_max`, as on Linux.
pub const LIMIT: u32 = 1 << 22;
/// Those below are given once only, as on Linux.
pub const RESERVED: u32 = 300;

/// How many have been tried since the first program's.
static TRIED: AtomicU64 = AtomicU64::new(0);

/// A number for a new thread or process.
#[must_use]
pub fn next() -> u32 {
    next_of(&TRIED, family::is_taken)
}

/// There are never as many threads as numbers, so that a free one is found.
fn next_of(tried: &AtomicU64, is_taken: impl Fn(u32) -> bool) -> u32 {
    const FIRST: u64 = super::FIRST_PID as u64 + 1;
    const ONCE: u64 = LIMIT as u64 - FIRST;
    loop {
        let count = tried.fetch_add(1, Ordering::Relaxed);
        let (number, is_fresh) = match count.checked_sub(ONCE) {
            None => (FIRST + count, true),
            Some(again) => (u64::from(RESERVED) + again % u64::from(LIMIT - RESERVED), false),
        };
        let Ok(number) = u32::try_from(number) else { continue };
        if is_fresh || !is_taken(number) {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_up_and_begin_again_where_nothing_is() {
        let tried = AtomicU64::new(0);
        assert_eq!(next_of(&tried, |_| true), 2);
        assert_eq!(next_of(&tried, |_| true), 3);
        tried.store(u64::from(LIMIT) - 3, Ordering::Relaxed);
        assert_eq!(next_of(&tried, |_| true), LIMIT - 1, "the last of the first round");
        assert_eq!(next_of(&tried, |number| number < RESERVED + 2), RESERVED + 2);
        tried.store(u64::from(LIMIT) - 2 + u64::from(LIMIT - RESERVED) - 1, Ordering::Relaxed);
        assert_eq!(next_of(&tried, |_| false), LIMIT - 1);
        assert_eq!(next_of(&tried, |_| false), RESERVED, "round and round");
    }
}
