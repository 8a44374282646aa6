//! From counts to rates.

use std::collections::HashMap;

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

/// The latest counts of each partition.
#[derive(Debug, Default)]
pub struct Latest(HashMap<String, Counts>);

#[derive(Clone, Copy, Debug)]
struct Counts {
    at_ms: u64,
    started_ms: Option<u64>,
    cpu_ns: u64,
    syscalls: u64,
    page_faults: u64,
}

impl Counts {
    fn of(stats: &Stats) -> Self {
        let counters = stats.counters.as_ref();
        Self {
            at_ms: stats.at_ms,
            started_ms: stats.started_ms,
            cpu_ns: stats.cpu.total_ns(),
            syscalls: counters
                .map_or(0, |it| it.syscalls.values().fold(0, |sum: u64, count| sum.saturating_add(*count))),
            page_faults: counters.map_or(0, |it| it.page_faults),
        }
    }
}

impl Latest {
    /// Takes new counts in: rates since the ones before, in the same order; zero where there are none of this start.
    pub fn update(&mut self, read: &[Stats]) -> Vec<Rates> {
        let mut fresh = HashMap::with_capacity(read.len());
        let mut rates = Vec::with_capacity(read.len());
        for stats in read {
            let now = Counts::of(stats);
            let before = self.0.get(&stats.partition).filter(|before| before.started_ms == now.started_ms);
            rates.push(before.map_or_else(Rates::default, |before| between(before, &now)));
            fresh.insert(stats.partition.clone(), now);
        }
        self.0 = fresh;
        rates
    }
}

/// What a guest counts may go backwards: then nothing happened.
fn between(before: &Counts, now: &Counts) -> Rates {
    let ms = now.at_ms.saturating_sub(before.at_ms).max(1);
    let a_second = |from: u64, to: u64| number(to.saturating_sub(from)) * 1000.0 / number(ms);
    Rates {
        // Nanoseconds a second, of a thousand million, in hundredths.
        cpu_percent: a_second(before.cpu_ns, now.cpu_ns) / 1e7,
        syscalls: a_second(before.syscalls, now.syscalls),
        page_faults: a_second(before.page_faults, now.page_faults),
    }
}

/// A count as a fraction has it: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use septum_api_types::v1::stats::{Counters, CpuTime};

    fn stats(at_ms: u64, cpu_ms: u64, calls: u64, started_ms: u64) -> Stats {
        let counters = Counters {
            syscalls: [("data".to_owned(), calls)].into(),
            page_faults: calls,
            ..Counters::default()
        };
        Stats {
            partition: "a".into(),
            at_ms,
            started_ms: Some(started_ms),
            cpu: CpuTime { user_ns: cpu_ms * 1_000_000, ..CpuTime::default() },
            counters: Some(counters),
            ..Stats::default()
        }
    }

    #[test]
    fn rates_are_of_the_same_start() {
        let mut latest = Latest::default();
        assert_eq!(latest.update(&[stats(1000, 50, 10, 1)]), [Rates::default()]);
        let rates = latest.update(&[stats(1500, 300, 110, 1)]);
        assert_eq!(rates, [Rates { cpu_percent: 50.0, syscalls: 200.0, page_faults: 200.0 }]);
        // Started anew; a guest that lies.
        assert_eq!(latest.update(&[stats(2000, 0, 0, 2)]), [Rates::default()]);
        assert_eq!(latest.update(&[stats(3000, 0, u64::MAX, 2)])[0].cpu_percent, 0.0);
        assert_eq!(latest.update(&[stats(4000, 0, 5, 2)])[0].syscalls, 0.0);
    }
}
