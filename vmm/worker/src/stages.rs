//! When things happened, on one clock for supervisor and worker.

use rustix::time::{ClockId, clock_gettime};

/// The monotonic clock, in nanoseconds since the host started.
#[must_use]
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanoseconds
}

/// Microseconds from `epoch_ns` to `at_ns`.
pub(crate) fn since_us(epoch_ns: u64, at_ns: u64) -> u64 {
    at_ns.saturating_sub(epoch_ns) / 1000
}
