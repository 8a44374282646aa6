//! stress-ng (Debian's package): each stressor works for a while and verifies what it did, in both places.
//!
//! What counts as passed is a run that ended with status 0 and did at least one operation. The numbers in the record are
//! stress-ng's operations per second of real time: they are how fast the partition is in comparison, not a promise.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::place::{Bench, End, Limits, MEMORY, Place};
use super::record::Record;
use super::verdicts::{Difference, Verdict};
use super::{Context, Suite};
use crate::setup;

/// The stressors at which nothing may fail.
const STRESSORS: &[&str] = &[
    "cpu", "vm", "mmap", "fork", "pthread", "futex", "pipe", "poll", "signal", "timer", "switch", "malloc",
    "memcpy", "matrix", "vecmath",
];

/// What a stressor may take beyond its time.
const GRACE: Duration = Duration::from_secs(60);

/// Runs the stressors that were asked for and says which fail without an explanation.
pub fn run(context: &Context) -> Result<Vec<String>> {
    setup::stress_suite()?;
    let mut news = Vec::new();
    for stressor in context.modules(Suite::StressNg, STRESSORS) {
        let record = compare(context, stressor)?;
        let (native, partition) = (record.native, record.partition);
        println!("{stressor}: {native} operations a second natively, {partition} in a partition");
        record.differences.iter().for_each(|difference| println!("    {difference}"));
        news.extend(super::settle(context, Suite::StressNg, record)?);
    }
    Ok(news)
}

fn compare(context: &Context, stressor: &str) -> Result<Record> {
    let bench = Bench::new(context.workspace, &context.septum, Suite::StressNg.name(), MEMORY)?;
    let native = stress(context, &bench, Place::Native, stressor)?;
    let partition = stress(context, &bench, Place::Partition, stressor)?;
    let mut differences = Vec::new();
    if partition.verdict != Verdict::Passed {
        differences.push(Difference { test: stressor.to_owned(), verdict: partition.verdict });
    }
    Ok(Record {
        name: stressor.to_owned(),
        native: native.operations,
        partition: partition.operations,
        native_seconds: native.seconds,
        partition_seconds: partition.seconds,
        origin: context.origin.clone(),
        differences,
    })
}

struct Run {
    verdict: Verdict,
    operations: u64,
    seconds: f64,
}

fn stress(context: &Context, bench: &Bench, place: Place, stressor: &str) -> Result<Run> {
    bench.empty()?;
    drop(fs::remove_file(bench.log(stressor, place)));
    let seconds = context.options.seconds;
    let whole = Duration::from_secs(seconds.into()) + GRACE;
    let limits = Limits { whole, without_progress: whole };
    let (workers, duration) = (format!("--{stressor}=2"), format!("{seconds}s"));
    let program =
        ["stress-ng", &workers, "--verify", "--timeout", &duration, "--metrics", "--yaml", "metrics"];
    let metrics = bench.folder().join("metrics");
    let begin = Instant::now();
    let end = bench.run(place, stressor, &program, &metrics, limits)?;
    let operations = operations(&fs::read_to_string(metrics).unwrap_or_default());
    let verdict = match end {
        End::Status(0) if operations > 0 => Verdict::Passed,
        End::Status(_) => Verdict::Failed,
        End::Stalled | End::TimedOut => Verdict::Ended,
    };
    Ok(Run { verdict, operations, seconds: begin.elapsed().as_secs_f64() })
}

/// Operations per second of real time, rounded up so that little is not nothing.
fn operations(metrics: &str) -> u64 {
    let key = "bogo-ops-per-second-real-time: ";
    let value = metrics.lines().find_map(|line| line.trim_start().strip_prefix(key));
    let value = value.and_then(|value| serde_json::from_str::<Value>(value.trim()).ok()?.as_f64());
    // As text: numbers are not cast here.
    value.and_then(|value| format!("{:.0}", value.max(0.0).ceil()).parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read() {
        let text = "metrics:\n    - stressor: cpu\n      bogo-ops: 7\n      bogo-ops-per-second-real-time: 0.233333\n";
        assert_eq!(operations(text), 1);
        assert_eq!(operations(""), 0);
    }
}
