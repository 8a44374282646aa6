//! From counts to rates.

use septum_api_types::v1::Stats;

/// What happens a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Processor time; 100 is one processor.
    pub cpu_percent: f64,
    /// System calls.
    pub syscalls: f64,
    /// Page faults.
    pub page_faults: f64,
}

impl Rates {
    /// From a reading to the next one of the same start of a partition. What a guest counts may go backwards: then nothing happened.
    pub fn between(before: &Stats, now: &Stats) -> Self {
        let a_second = |of: fn(&Stats) -> u64| rate(before, now, of(before), of(now));
        Self {
            // Nanoseconds a second, of a thousand million, in hundredths.
            cpu_percent: a_second(|stats| stats.cpu.total_ns()) / 1e7,
            syscalls: a_second(|stats| {
                let counters = stats.counters.iter();
                counters.flat_map(|it| it.syscalls.values()).fold(0, |sum: u64, it| sum.saturating_add(*it))
            }),
            page_faults: a_second(|stats| stats.counters.as_ref().map_or(0, |counters| counters.page_faults)),
        }
    }
}

/// How much of something there was a second, if there was `from` of it at a reading and `to` at the next.
pub fn rate(before: &Stats, now: &Stats, from: u64, to: u64) -> f64 {
    let ms = now.at_ms.saturating_sub(before.at_ms).max(1);
    number(to.saturating_sub(from)) * 1000.0 / number(ms)
}

/// A count as a fraction has it: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
pub fn number(count: u64) -> f64 {
    count as f64
}
