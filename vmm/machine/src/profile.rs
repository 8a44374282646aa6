//! Where the guest spends its time: a sampling profile of the guest kernel, by function.
//!
//! Meant for people who work on the kernel: with ring 0 emulated, the host's own profilers see the emulator only.

use crate::symbols::Symbols;
use septum_abi::layout::DIRECT_MAP;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Time between samples.
pub const SAMPLE_PERIOD: Duration = Duration::from_micros(100);
/// Functions listed.
const LISTED: usize = 40;

/// Samples by instruction pointer.
#[derive(Clone, Debug, Default)]
pub struct Samples(BTreeMap<u64, u64>);

impl Samples {
    /// The guest was at `rip`.
    pub fn add(&mut self, rip: u64) {
        *self.0.entry(rip).or_default() += 1;
    }

    /// Adds those of another thread.
    pub fn merge(&mut self, other: Self) {
        for (rip, count) in other.0 {
            *self.0.entry(rip).or_default() += count;
        }
    }

    /// A table, the busiest function first.
    pub fn describe(&self) -> String {
        let symbols = Symbols::of_kernel();
        let mut functions: BTreeMap<String, u64> = BTreeMap::new();
        for (rip, count) in &self.0 {
            let name = if *rip < DIRECT_MAP { "(the program)".to_owned() } else { symbols.function(*rip) };
            *functions.entry(name).or_default() += count;
        }
        let total: u64 = functions.values().sum();
        let mut functions: Vec<_> = functions.into_iter().collect();
        functions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut text = format!("profile: {total} samples\n");
        for (name, count) in functions.iter().take(LISTED) {
            let _ = writeln!(text, "{count:>8}  {:>3} %  {name}", count * 100 / total.max(1));
        }
        text
    }
}
