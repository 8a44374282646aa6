//! What the guest reported, checked and turned into an outcome.

use crate::guest::read_boxed;
use crate::outcome::{End, Latencies, Latency, MachineStats, Outcome, PanicReport, StartError};
use crate::symbols::Symbols;
use septum_abi::counters::{COUNTED_CALLS, Class, Shard};
use septum_abi::layout::{PAGE_SIZE, REPORT};
use septum_abi::linux::{signal, syscall};
use septum_abi::report::{GuestReport, LOG_SIZE, PanicRecord, start_error, state};
use septum_memory::{GuestRam, Plain};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The guest's counter and the host's clock at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct TscBase {
    /// Counter.
    pub tsc: u64,
    /// CLOCK_MONOTONIC.
    pub ns: u64,
    /// Frequency.
    pub khz: u64,
}

impl TscBase {
    /// When the guest's counter was `tsc`; `None` if that cannot be.
    fn time_of(&self, tsc: u64) -> Option<u64> {
        let ticks = tsc.checked_sub(self.tsc).filter(|_| tsc != 0)?;
        let ns = u128::from(ticks) * 1_000_000 / u128::from(self.khz.max(1));
        self.ns.checked_add(u64::try_from(ns).ok()?)
    }
}

/// Reads the report; `known` is how the partition ended if the guest did not say so itself.
pub fn outcome(ram: &GuestRam, known: Option<End>, mut stats: MachineStats, base: TscBase) -> Outcome {
    let report = match read_boxed::<Plain<GuestReport>>(ram, REPORT) {
        Ok(report) => report,
        Err(error) => {
            let end = End::Failed { message: format!("cannot read the guest's report: {error}") };
            return Outcome { end, stats, log: String::new() };
        }
    };
    let report = &report.0;
    fill(&mut stats, report, base);
    let end = known.unwrap_or_else(|| end_of(report, stats.guest_limit_bytes));
    Outcome { end, stats, log: log_of(report) }
}

fn fill(stats: &mut MachineStats, report: &GuestReport, base: TscBase) {
    stats.first_user_instruction_ns = base.time_of(report.first_user_tsc);
    count(stats, report);
    stats.syscall_stays_in_ring3 = report.syscall_stays_in_ring3 != 0;
}

/// The counters, which mean something at any time.
pub fn count(stats: &mut MachineStats, report: &GuestReport) {
    let total = |of_shard: &dyn Fn(&Shard) -> u64| {
        report.shards.iter().map(of_shard).fold(0_u64, u64::saturating_add)
    };
    stats.syscalls = by_name((0..COUNTED_CALLS).map(|call| total(&|shard| shard.system_calls[call])));
    stats.syscalls_missing = by_name(report.syscalls_missing.iter().map(|count| u64::from(*count)));
    stats.page_faults = total(&|shard| shard.page_faults);
    stats.interrupts = total(&|shard| shard.interrupts);
    stats.halts = total(&|shard| shard.halts);
    stats.guest_peak_bytes = frames_in_bytes(report.frames_peak, stats.guest_limit_bytes);
}

/// Bytes of so many frames; no more than there can be.
pub fn frames_in_bytes(frames: u64, most: u64) -> u64 {
    frames.saturating_mul(PAGE_SIZE as u64).min(most)
}

/// System calls by class.
pub fn classes(report: &GuestReport) -> BTreeMap<&'static str, u64> {
    let mut classes = BTreeMap::new();
    for shard in &report.shards {
        for (call, count) in shard.system_calls.iter().enumerate().filter(|(_, count)| **count > 0) {
            let sum: &mut u64 = classes.entry(Class::of(call).name()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    classes
}

/// How long system calls took: those classes that were timed.
pub fn latencies(report: &GuestReport) -> Latencies {
    let mut latencies = Latencies::new();
    for (at, class) in Class::ALL.into_iter().enumerate() {
        let mut latency = Latency::default();
        for shard in &report.shards {
            for (sum, count) in latency.counts.iter_mut().zip(shard.latency[at]) {
                *sum = sum.saturating_add(count);
            }
            latency.sum_ns = latency.sum_ns.saturating_add(shard.latency_ns[at]);
        }
        if latency.counts.iter().any(|count| *count > 0) {
            latencies.insert(class.name(), latency);
        }
    }
    latencies
}

fn by_name(counts: impl Iterator<Item = u64>) -> BTreeMap<String, u64> {
    let name = |number| syscall::name(number).map_or_else(|| format!("syscall_{number}"), str::to_owned);
    counts.enumerate().filter(|(_, count)| *count > 0).map(|(number, count)| (name(number), count)).collect()
}

fn end_of(report: &GuestReport, limit_bytes: u64) -> End {
    match report.state {
        state::EXITED if report.out_of_memory != 0 => End::OutOfMemory { limit_bytes },
        state::EXITED if (1..=signal::LAST).contains(&report.exit_signal) => {
            End::Signaled { signal: report.exit_signal }
        }
        state::EXITED => End::Exited { code: report.exit_code.to_le_bytes()[0] },
        state::PANICKED => End::Panicked(PanicReport { text: panic_text(&report.panic) }),
        state::NOT_STARTED => {
            let reason = match report.start_error {
                start_error::PROGRAM => StartError::Program,
                start_error::FORMAT => StartError::Format,
                start_error::INTERPRETER => StartError::Interpreter,
                start_error::MEMORY => StartError::Memory,
                start_error::WORKDIR => StartError::Workdir,
                start_error::ROOT => StartError::Root,
                _ => StartError::Unknown,
            };
            End::NotStarted { reason, errno: report.start_errno }
        }
        other => End::Failed { message: format!("the guest ended in state {other}, which does not exist") },
    }
}

/// The last bytes of the ring, without control characters.
fn log_of(report: &GuestReport) -> String {
    let size = LOG_SIZE as u64;
    let kept = report.log_written.min(size);
    let bytes: Vec<u8> = (report.log_written - kept..report.log_written)
        .filter_map(|at| report.log.get(usize::try_from(at % size).ok()?).copied())
        .collect();
    printable(&bytes)
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

fn panic_text(record: &PanicRecord) -> String {
    const NAMES: [&str; 18] = [
        "rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11",
        "r12", "r13", "r14", "r15",
    ];
    let message_len = usize::try_from(record.message_len).unwrap_or(0).min(record.message.len());
    let mut text = printable(&record.message[..message_len]);
    text.push('\n');
    if record.vector != u32::MAX {
        let _ = writeln!(
            text,
            "  vCPU {}, vector {}, error code {:#x}, fault address {:#x}",
            record.vcpu, record.vector, record.error_code, record.fault_address
        );
    }
    // A panic has no trap frame: what it knows is where its frames are.
    let is_exception = record.vector != u32::MAX;
    let known = |index: usize| is_exception || [1, 9].contains(&index);
    let mut registers = record.registers;
    if !is_exception {
        registers[0] = record.backtrace[0];
    }
    let shown = NAMES.iter().zip(registers).enumerate().filter(|(index, _)| *index == 0 || known(*index));
    for (column, (_, (name, value))) in shown.enumerate() {
        let _ = write!(
            text,
            "{}{name:>6} {value:016x}",
            if column % 4 == 0 && column > 0 { "\n  " } else { "  " }
        );
    }
    text.push_str("\n  backtrace:\n");
    let symbols = Symbols::of_kernel();
    let count = usize::try_from(record.backtrace_len).unwrap_or(0).min(record.backtrace.len());
    let first = (record.vector != u32::MAX).then_some(record.registers[0]);
    for address in first.into_iter().chain(record.backtrace[..count].iter().copied()) {
        let _ = writeln!(text, "  at {}", symbols.describe(address));
    }
    text
}
