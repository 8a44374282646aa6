//! What a partition uses a second.

use septum_api_types::v1::Stats;
use std::collections::BTreeMap;

use crate::amounts;
use crate::args::Column;
use crate::rates::{Rates, number, rate};

/// See above.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time, system calls, page faults.
    pub rates: Rates,
    /// Returns from guest to worker.
    pub exits: f64,
    /// Bytes that it got from the network, and gave.
    pub net: (f64, f64),
    /// Bytes that it got from files and disks, and gave.
    pub files: (f64, f64),
    /// Memory in use, now, in bytes.
    pub memory: u64,
    /// Memory that it was given, in bytes.
    pub limit: u64,
    /// Threads of its programs, now.
    pub threads: u64,
}

impl Usage {
    /// From two readings; rates are zero where there is no reading before, or that is of an earlier start.
    pub fn of(before: Option<&Stats>, now: &Stats) -> Self {
        let counters = now.counters.as_ref();
        let usage = Self {
            memory: now.memory.used_bytes,
            limit: now.memory.limit_bytes,
            threads: counters.map_or(0, |counters| counters.vcpus),
            ..Self::default()
        };
        let Some(before) = before.filter(|before| before.started_ms == now.started_ms) else { return usage };
        let flow = |kinds: &[&str]| {
            let (from, to) = (amounts::traffic(before, kinds), amounts::traffic(now, kinds));
            (rate(before, now, from.0, to.0), rate(before, now, from.1, to.1))
        };
        let exits = |stats: &Stats| {
            stats
                .counters
                .iter()
                .flat_map(|it| it.exits.values())
                .fold(0, |sum: u64, it| sum.saturating_add(*it))
        };
        Self {
            rates: Rates::between(before, now),
            exits: rate(before, now, exits(before), exits(now)),
            net: flow(&["vsock"]),
            files: flow(&["fs", "block"]),
            ..usage
        }
    }

    /// What a column shows, as a number to sort by.
    pub fn value(&self, column: Column) -> f64 {
        match column {
            Column::Name => 0.0,
            Column::Cpu => self.rates.cpu_percent,
            Column::Memory => number(self.memory),
            Column::Syscalls => self.rates.syscalls,
            Column::Faults => self.rates.page_faults,
            Column::Exits => self.exits,
            Column::Net => self.net.0 + self.net.1,
            Column::Files => self.files.0 + self.files.1,
            Column::Threads => number(self.threads),
        }
    }

    /// The same, to be read.
    pub fn text(&self, column: Column) -> String {
        match column {
            Column::Name => String::new(),
            Column::Cpu => format!("{:.1}", self.rates.cpu_percent),
            Column::Memory => amounts::bytes(self.memory),
            Column::Net => flow(self.net),
            Column::Files => flow(self.files),
            Column::Threads => self.threads.to_string(),
            _ => amounts::count(self.value(column)),
        }
    }
}

fn flow((to, from): (f64, f64)) -> String {
    format!("{}/{}", bytes_a_second(to), bytes_a_second(from))
}

/// Bytes a second, short.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as saturates")]
pub fn bytes_a_second(rate: f64) -> String {
    amounts::bytes(rate as u64).replace("iB", "").replace('B', "")
}

/// How often each of these happened a second and in all, the most frequent first.
pub fn by_name<'a>(
    before: Option<&Stats>,
    now: &'a Stats,
    counts: fn(&Stats) -> Option<&BTreeMap<String, u64>>,
) -> Vec<(&'a str, f64, u64)> {
    let before = before.filter(|before| before.started_ms == now.started_ms);
    let Some(these) = counts(now) else { return Vec::new() };
    let all = these.iter().filter(|(_, count)| **count > 0).map(|(name, &count)| {
        let a_second = before.map_or(0.0, |before| {
            let from = counts(before).and_then(|counts| counts.get(name)).copied().unwrap_or(0);
            rate(before, now, from, count)
        });
        (name.as_str(), a_second, count)
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by(|one, other| other.1.total_cmp(&one.1).then(other.2.cmp(&one.2)));
    all
}
