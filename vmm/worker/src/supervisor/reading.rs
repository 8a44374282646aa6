//! Readings of the partition's statistics, for those who ask at the desk.
//!
//! ```text
//!   Stats ─► asked ──Count──► worker ──Counted──► every client that waits gets a reading
//!              └── at once, if the worker is held or there is none
//! ```
//!
//! One question at most is under way, so a worker that answers none costs nothing but its clients' patience. The guest is not asked.

use std::fs;

use rustix::process::Pid;
use septum_api_types::v1::stats::{CpuTime, MemoryUse, Stats, ThreadUse};
use septum_registry::Record;
use septum_registry::control::Answer;
use septum_registry::record::now_ms;

use super::desk::ClientId;
use super::fork::Forked;
use super::{Supervision, not_now};
use crate::protocol::{Count, ToWorker, send};

/// Threads that a reading lists at most.
const MOST_THREADS: usize = 4096;

/// Who waits for a reading, and what was counted last.
#[derive(Default)]
pub(super) struct Readings {
    waiting: Vec<(ClientId, bool)>,
    is_asked: bool,
    last: Option<Count>,
}

impl Readings {
    /// Another client waits; `wants_threads` one by one.
    pub(super) fn wait(&mut self, client: ClientId, wants_threads: bool) {
        self.waiting.push((client, wants_threads));
    }

    /// Whether the worker is to be asked now; then it is.
    pub(super) fn ask(&mut self) -> bool {
        !std::mem::replace(&mut self.is_asked, true)
    }

    /// A client does not wait any more.
    pub(super) fn gone(&mut self, client: ClientId) {
        self.waiting.retain(|(waiting, _)| *waiting != client);
    }

    /// The worker has counted.
    pub(super) fn counted(&mut self, count: Count) {
        self.is_asked = false;
        self.last = Some(count);
    }

    /// There is another worker, or none.
    pub(super) fn forget(&mut self) {
        (self.is_asked, self.last) = (false, None);
    }

    /// Those who wait, who are to be told something now.
    pub(super) fn take(&mut self) -> Vec<(ClientId, bool)> {
        std::mem::take(&mut self.waiting)
    }

    /// What is known now.
    pub(super) fn read(&self, record: &Record, worker: Pid, is_paused: bool, wants_threads: bool) -> Stats {
        let (cpu, threads) = times(worker).unwrap_or_default();
        let (resident_bytes, private_bytes) = memory(worker).unwrap_or_default();
        let last = self.last.as_ref();
        let guest = |of: fn(&Count) -> u64| last.map_or(0, of);
        Stats {
            partition: record.id.clone(),
            name: record.name.clone(),
            at_ms: now_ms(),
            started_ms: record.started_ms,
            restarts: record.restarts,
            is_paused,
            cpus: record.cpus,
            cpu,
            memory: MemoryUse {
                limit_bytes: record.memory_bytes,
                used_bytes: guest(|count| count.used_bytes),
                cached_bytes: guest(|count| count.cached_bytes),
                peak_bytes: guest(|count| count.peak_bytes),
                resident_bytes,
                private_bytes,
            },
            threads,
            counters: last.map(|count| count.counters.clone()),
            thread_list: wants_threads.then(|| thread_list(worker)),
        }
    }
}

impl Supervision {
    /// Somebody wants to know what is counted.
    pub(super) fn read_stats(&mut self, client: ClientId, threads: bool) -> Option<Answer> {
        let Some(current) = &self.current else { return Some(not_now("it does not run at the moment")) };
        self.readings.wait(client, threads);
        if current.is_paused {
            self.hand_out_readings();
        } else if self.readings.ask() {
            // A worker that is gone is noticed by the watch.
            let _ = send(&current.socket, &ToWorker::Count);
        }
        None
    }

    /// Everybody who waits for a reading gets one.
    pub(super) fn hand_out_readings(&mut self) {
        let Some(current) = &self.current else { return };
        let Some(worker) = current.worker.as_ref().map(Forked::pid) else { return };
        for (client, threads) in self.readings.take() {
            let stats = self.readings.read(&self.desk.record, worker, current.is_paused, threads);
            self.desk.answer(client, &Answer::Stats(Box::new(stats)));
        }
    }

    /// There will be no reading.
    pub(super) fn refuse_readings(&mut self) {
        self.readings.forget();
        for (client, _) in self.readings.take() {
            self.desk.answer(client, &not_now("it has just ended"));
        }
    }
}

fn file(process: Pid, name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{}/{name}", process.as_raw_nonzero())).ok()
}

/// Processor time, and how many threads: `proc_pid_stat(5)`.
fn times(process: Pid) -> Option<(CpuTime, u64)> {
    parse_times(&file(process, "stat")?, rustix::param::clock_ticks_per_second())
}

fn parse_times(stat: &str, ticks_per_second: u64) -> Option<(CpuTime, u64)> {
    // The name before may contain anything, parentheses too. What follows it begins with field 3.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ns = |ticks: u64| ticks.saturating_mul(1_000_000_000 / ticks_per_second.max(1));
    let cpu =
        CpuTime { user_ns: ns(field(14)?), system_ns: ns(field(15)?), guest_ns: ns(field(43).unwrap_or(0)) };
    Some((cpu, field(20)?))
}

/// Resident memory, and what of it nobody shares, in bytes: `proc_pid_status(5)`.
fn memory(process: Pid) -> Option<(u64, u64)> {
    let text = file(process, "status")?;
    let kib = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Some((kib("VmRSS:")?.saturating_mul(1024), kib("RssAnon:")?.saturating_mul(1024)))
}

fn thread_list(process: Pid) -> Vec<ThreadUse> {
    let folder = format!("/proc/{}/task", process.as_raw_nonzero());
    let threads = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbers = threads.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut numbers: Vec<u32> = numbers.take(MOST_THREADS).collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(|number| thread(process, number)).collect()
}

/// `None` if it has just ended.
fn thread(process: Pid, number: u32) -> Option<ThreadUse> {
    let stat = file(process, &format!("task/{number}/stat"))?;
    let (head, rest) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1;
    // Nanoseconds on a processor, and on the way to one (Documentation/scheduler/sched-stats.rst).
    let times = file(process, &format!("task/{number}/schedstat")).unwrap_or_default();
    let mut times = times.split_ascii_whitespace().map(|time| time.parse().unwrap_or(0));
    Some(ThreadUse {
        id: number,
        name: name.chars().filter(|character| !character.is_control()).collect(),
        state: rest.chars().take(1).collect(),
        cpu_ns: times.next().unwrap_or(0),
        waited_ns: times.next().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_confuse() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 6 0 100 1000 25 18446744073709551615 \
                    0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 200 0";
        let (cpu, threads) = parse_times(stat, 100).unwrap();
        assert_eq!((cpu.user_ns, cpu.system_ns, cpu.guest_ns), (2_500_000_000, 500_000_000, 2_000_000_000));
        assert_eq!((cpu.total_ns(), threads), (3_000_000_000, 6));
        for broken in ["", "7 (x", "7 (x) S", "7 (x) S 1 2 3"] {
            assert!(parse_times(broken, 100).is_none());
        }
    }

    #[test]
    fn this_process_has_threads_time_and_memory() {
        let own = rustix::process::getpid();
        let (_, threads) = times(own).unwrap();
        assert!(threads >= 1);
        let (resident, private) = memory(own).unwrap();
        assert!(resident >= private && private > 0);
        assert!(!thread_list(own).is_empty());
    }
}
