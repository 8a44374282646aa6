//! Statistics in the text format of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4).
//!
//! Names have base units (seconds, bytes); what only grows ends in `_total`. All samples of a metric stand together, as the format wants.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use septum_api_types::v1::stats::{Counters, LATENCY_LIMITS_US, Latency, MemoryUse};
use septum_api_types::v1::{Host, Share, Stats};

/// The format, as HTTP calls it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text being made.
#[derive(Default)]
struct Text(String);

/// Labels after those of the partition: name and value.
type More<'a> = &'a [(&'a str, &'a str)];

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: More<'_>, value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (key, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{key}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn of(&mut self, stats: &Stats, name: &str, more: More<'_>, value: impl std::fmt::Display) {
        let mut labels = vec![
            ("partition", stats.partition.as_str()),
            ("name", stats.name.as_deref().unwrap_or_default()),
        ];
        labels.extend_from_slice(more);
        self.sample(name, &labels, value);
    }

    /// A metric with one sample a partition.
    fn each(
        &mut self,
        all: &[Stats],
        (name, kind, help): (&str, &str, &str),
        value: impl Fn(&Stats) -> Option<String>,
    ) {
        self.head(name, kind, help);
        for stats in all {
            if let Some(value) = value(stats) {
                self.of(stats, name, &[], value);
            }
        }
    }

    /// A metric with a sample for each of the counters that a partition has.
    fn counts(
        &mut self,
        all: &[Stats],
        (name, label, help): (&str, &str, &str),
        counts: impl Fn(&Counters) -> &BTreeMap<String, u64>,
    ) {
        self.head(name, "counter", help);
        for stats in all {
            for (key, count) in stats.counters.iter().flat_map(&counts) {
                self.of(stats, name, &[(label, key)], count);
            }
        }
    }
}

/// A label's value: backslash, quote and line feed are escaped, other control characters left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// Nanoseconds as seconds, exactly.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// All metrics.
pub fn text(all: &[Stats], host: &Host, states: &BTreeMap<&'static str, u64>) -> String {
    let mut text = Text::default();
    of_host(&mut text, host, states);
    of_processes(&mut text, all);
    of_memory(&mut text, all);
    of_guests(&mut text, all);
    latency(&mut text, all);
    of_devices(&mut text, all);
    text.0
}

fn of_host(text: &mut Text, host: &Host, states: &BTreeMap<&'static str, u64>) {
    text.head("septum_partitions", "gauge", "Partitions by state.");
    for (state, count) in states {
        text.sample("septum_partitions", &[("state", state)], count);
    }
    let shares: [(&str, &str, Share); 3] = [
        ("memory_bytes", "RAM of the host, in bytes, that partitions", host.memory_bytes),
        ("cpus", "Processors that partitions", host.cpus),
        ("places", "Partitions that the host", host.partitions),
    ];
    for (what, help, share) in shares {
        for (kind, value) in [("used", share.used), ("capacity", share.capacity)] {
            let name = format!("septum_host_{what}_{kind}");
            text.head(&name, "gauge", &format!("{help} have ({kind})."));
            text.sample(&name, &[], value);
        }
    }
}

fn of_processes(text: &mut Text, all: &[Stats]) {
    let name = "septum_partition_cpu_seconds_total";
    text.head(name, "counter", "Processor time of the partition's process; user includes that of the guest.");
    for stats in all {
        text.of(stats, name, &[("mode", "user")], seconds(stats.cpu.user_ns));
        text.of(stats, name, &[("mode", "system")], seconds(stats.cpu.system_ns));
    }
    let gauge = |name, help| (name, "gauge", help);
    text.each(all, gauge("septum_partition_cpus", "Processors that the partition was given."), |stats| {
        Some(stats.cpus.to_string())
    });
    text.each(all, gauge("septum_partition_threads", "Threads of the partition's process."), |stats| {
        Some(stats.threads.to_string())
    });
    text.each(all, gauge("septum_partition_paused", "1 if its processors are held."), |stats| {
        Some(u8::from(stats.is_paused).to_string())
    });
    let start =
        gauge("septum_partition_start_time_seconds", "When its program began, in seconds since 1970.");
    text.each(all, start, |stats| {
        Some(format!("{}.{:03}", stats.started_ms? / 1000, stats.started_ms? % 1000))
    });
    let restarts = ("septum_partition_restarts_total", "counter", "How often it was started again.");
    text.each(all, restarts, |stats| Some(stats.restarts.to_string()));
}

fn of_memory(text: &mut Text, all: &[Stats]) {
    type Amount = (&'static str, &'static str, fn(&MemoryUse) -> u64);
    const AMOUNTS: [Amount; 6] = [
        ("limit", "RAM that the partition was given.", |memory| memory.limit_bytes),
        ("used", "RAM in use, as its guest kernel says.", |memory| memory.used_bytes),
        ("cached", "RAM that holds contents of files, as its guest kernel says.", |memory| {
            memory.cached_bytes
        }),
        ("peak", "The most RAM that was in use, as its guest kernel says.", |memory| memory.peak_bytes),
        ("resident", "Memory of the host that its process has.", |memory| memory.resident_bytes),
        ("private", "Memory of the host that only its process has.", |memory| memory.private_bytes),
    ];
    for (what, help, amount) in AMOUNTS {
        let name = format!("septum_partition_memory_{what}_bytes");
        text.each(all, (&name, "gauge", help), |stats| Some(amount(&stats.memory).to_string()));
    }
}

fn of_guests(text: &mut Text, all: &[Stats]) {
    text.each(
        all,
        ("septum_partition_vcpus", "gauge", "Virtual CPUs, one for each thread of the programs."),
        |stats| Some(stats.counters.as_ref()?.vcpus.to_string()),
    );
    let syscalls = ("septum_partition_syscalls_total", "class", "System calls, as the guest kernel says.");
    text.counts(all, syscalls, |counters| &counters.syscalls);
    let missing = (
        "septum_partition_syscalls_missing_total",
        "name",
        "System calls that do not exist, as the guest kernel says.",
    );
    text.counts(all, missing, |counters| &counters.syscalls_missing);
    let exits = ("septum_partition_exits_total", "reason", "Returns from guest to worker.");
    text.counts(all, exits, |counters| &counters.exits);
    type Count = (&'static str, &'static str, fn(&Counters) -> u64);
    const COUNTS: [Count; 3] = [
        ("page_faults", "Page faults of the programs, as the guest kernel says.", |counters| {
            counters.page_faults
        }),
        ("interrupts", "Interrupts of running programs, as the guest kernel says.", |counters| {
            counters.interrupts
        }),
        ("halts", "Times that a virtual CPU had nothing to do, as the guest kernel says.", |counters| {
            counters.halts
        }),
    ];
    for (what, help, count) in COUNTS {
        let name = format!("septum_partition_{what}_total");
        text.each(all, (&name, "counter", help), |stats| Some(count(stats.counters.as_ref()?).to_string()));
    }
}

fn latency(text: &mut Text, all: &[Stats]) {
    let name = "septum_partition_syscall_duration_seconds";
    text.head(
        name,
        "histogram",
        "How long one of 16 system calls of each kind took, as the guest kernel says.",
    );
    for stats in all {
        for (class, latency) in stats.counters.iter().flat_map(|counters| &counters.syscall_latency) {
            histogram(text, stats, name, class, latency);
        }
    }
}

fn histogram(text: &mut Text, stats: &Stats, name: &str, class: &str, latency: &Latency) {
    let bucket = format!("{name}_bucket");
    let mut sum = 0_u64;
    for (at, limit_us) in LATENCY_LIMITS_US.into_iter().enumerate() {
        sum = sum.saturating_add(latency.counts.get(at).copied().unwrap_or(0));
        let limit = format!("{}.{:06}", limit_us / 1_000_000, limit_us % 1_000_000);
        text.of(stats, &bucket, &[("class", class), ("le", &limit)], sum);
    }
    let all = latency.counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
    text.of(stats, &bucket, &[("class", class), ("le", "+Inf")], all);
    text.of(stats, &format!("{name}_sum"), &[("class", class)], seconds(latency.sum_ns));
    text.of(stats, &format!("{name}_count"), &[("class", class)], all);
}

fn of_devices(text: &mut Text, all: &[Stats]) {
    type Count = (&'static str, &'static str, fn(&septum_api_types::v1::stats::DeviceUse) -> u64);
    const COUNTS: [Count; 3] = [
        ("requests", "Requests that a device served.", |device| device.requests),
        ("read_bytes", "Bytes that the guest got from a device.", |device| device.read_bytes),
        ("written_bytes", "Bytes that the guest gave to a device.", |device| device.written_bytes),
    ];
    for (what, help, count) in COUNTS {
        let name = format!("septum_partition_device_{what}_total");
        text.head(&name, "counter", help);
        for stats in all {
            for device in stats.counters.iter().flat_map(|counters| &counters.devices) {
                text.of(stats, &name, &[("device", &device.name)], count(device));
            }
        }
    }
    text.each(
        all,
        ("septum_partition_connections_total", "counter", "Connections that there ever were."),
        |stats| Some(stats.counters.as_ref()?.connections?.opened.to_string()),
    );
    text.each(all, ("septum_partition_connections", "gauge", "Connections that are open."), |stats| {
        Some(stats.counters.as_ref()?.connections?.open.to_string())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let share = Share { used: 1, capacity: 2 };
        Host { memory_bytes: share, cpus: share, partitions: share, pending: 0 }
    }

    #[test]
    fn nothing_that_is_named_leaves_its_label() {
        let stats = Stats {
            partition: "0123456789ab".into(),
            name: Some("a\"} 1\nb\\".into()),
            counters: Some(Counters {
                syscalls: [("da\"ta\n".to_owned(), 7)].into(),
                syscall_latency: [("data".to_owned(), Latency { counts: vec![1, 2], sum_ns: 1_500_000_000 })]
                    .into(),
                ..Counters::default()
            }),
            ..Stats::default()
        };
        let text = text(&[stats], &host(), &[("running", 1)].into());
        assert!(text.contains(r#"name="a\"} 1\nb\\""#), "{text}");
        assert!(text.contains(r#"class="da\"ta\n"} 7"#), "{text}");
        assert!(text.contains("_sum{partition=\"0123456789ab\""), "{text}");
        assert!(text.contains("class=\"data\"} 1.500000000\n"), "{text}");
        assert!(text.contains("le=\"0.000004\"} 3\n"), "{text}");
        for line in text.lines() {
            assert!(
                line.starts_with("# ")
                    || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()),
                "{line}"
            );
        }
    }

    #[test]
    fn each_metric_is_described_once_and_its_samples_stand_together() {
        let all = [Stats::default(), Stats { counters: Some(Counters::default()), ..Stats::default() }];
        let text = text(&all, &host(), &BTreeMap::new());
        let mut seen = std::collections::BTreeSet::new();
        let mut current = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()) {
                assert!(seen.insert(name), "{name} is there twice");
                current = name;
            } else if !line.starts_with('#') {
                assert!(line.starts_with(current), "{line} is not under {current}");
            }
        }
    }
}
