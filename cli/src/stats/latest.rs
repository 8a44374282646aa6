//! What was read last, to which the next reading is compared.

use std::collections::HashMap;

use septum_api_types::v1::Stats;

use super::rates::Rates;

/// The latest reading of each partition.
#[derive(Debug, Default)]
pub struct Latest(HashMap<String, Stats>);

impl Latest {
    /// Takes a reading in: rates since the one before, in the same order; zero where there is none of this start.
    pub fn update(&mut self, read: &[Stats]) -> Vec<Rates> {
        let rates = read.iter().map(|now| {
            let before = self.0.get(&now.partition).filter(|before| before.started_ms == now.started_ms);
            before.map_or_else(Rates::default, |before| Rates::between(before, now))
        });
        let rates = rates.collect();
        self.0 = read.iter().map(|stats| (stats.partition.clone(), stats.clone())).collect();
        rates
    }
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
