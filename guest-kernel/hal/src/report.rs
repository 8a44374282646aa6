//! The report to the worker: counters, log, exit status and panics. Plain stores to memory, no exits.

#[cfg(target_os = "none")]
mod place {
    use septum_abi::layout::{DIRECT_MAP, REPORT};
    use septum_abi::report::GuestReport;

    pub fn report() -> *mut GuestReport {
        (DIRECT_MAP + REPORT) as *mut GuestReport
    }
}

#[cfg(not(target_os = "none"))]
mod place {
    use septum_abi::report::GuestReport;
    use std::sync::OnceLock;

    pub fn report() -> *mut GuestReport {
        static MEMORY: OnceLock<usize> = OnceLock::new();
        *MEMORY.get_or_init(|| std::vec![0u64; size_of::<GuestReport>() / 8 + 1].leak().as_mut_ptr() as usize)
            as *mut GuestReport
    }
}

use crate::vcpu;
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use septum_abi::counters::{COUNTED_CALLS, Class, SHARDS, TIMED_EACH, bucket_of};
use septum_abi::linux::SYSCALL_LIMIT;
use septum_abi::report::LOG_SIZE;
#[cfg(target_os = "none")]
use septum_abi::report::state;

/// The counters, as seen by the kernel: the shard of the vCPU that asks for them.
#[derive(Clone, Copy)]
pub struct Counters(usize);

/// The counters.
#[must_use]
pub fn counters() -> Counters {
    Counters(vcpu::current() as usize % SHARDS)
}

macro_rules! atomic {
    ($type:ident, $($field:tt)*) => {{
        // SAFETY: 1. the report is mapped for as long as the kernel runs; 2. fields are naturally aligned integers,
        // used only as atomics; 3. the worker only reads, except for words that are atomic for it too.
        unsafe { &*(&raw const (*place::report()).$($field)*).cast::<$type>() }
    }};
}

/// Adds without a lock prefix: one instruction, and exact as long as no other vCPU has the same shard. Returns the new count.
fn bump(counter: &AtomicU64) -> u64 {
    let count = counter.load(Ordering::Relaxed).wrapping_add(1);
    counter.store(count, Ordering::Relaxed);
    count
}

impl Counters {
    /// A system call was made. Whether it is to be [timed](Self::system_call_took).
    #[must_use]
    pub fn system_call(self, number: usize) -> bool {
        let index = number.min(COUNTED_CALLS - 1);
        bump(atomic!(AtomicU64, shards[self.0].system_calls[index])) % TIMED_EACH == 1
    }

    /// A system call that was timed took so long.
    pub fn system_call_took(self, number: usize, ns: u64) {
        let class = Class::of(number) as usize;
        bump(atomic!(AtomicU64, shards[self.0].latency[class][bucket_of(ns)]));
        let sum = atomic!(AtomicU64, shards[self.0].latency_ns[class]);
        sum.store(sum.load(Ordering::Relaxed).wrapping_add(ns), Ordering::Relaxed);
    }

    /// A system call was answered with ENOSYS.
    pub fn missing_system_call(self, number: usize) {
        let index = number.min(SYSCALL_LIMIT as usize - 1);
        atomic!(AtomicU32, syscalls_missing[index]).fetch_add(1, Ordering::Relaxed);
    }

    /// The program faulted.
    pub fn page_fault(self) {
        bump(atomic!(AtomicU64, shards[self.0].page_faults));
    }

    /// An interrupt came while the program ran.
    pub fn interrupt(self) {
        bump(atomic!(AtomicU64, shards[self.0].interrupts));
    }

    /// A CPU is about to halt.
    pub fn halt(self) {
        bump(atomic!(AtomicU64, shards[self.0].halts));
    }
}

/// So many frames are in use, and at most that many were. Called with the pool's lock held.
pub(crate) fn frames_used(used: u64, peak: u64) {
    atomic!(AtomicU64, frames_used).store(used, Ordering::Relaxed);
    atomic!(AtomicU64, frames_peak).store(peak, Ordering::Relaxed);
}

/// So many more frames hold contents of files.
pub fn frames_cached(more: usize) {
    atomic!(AtomicU64, frames_cached).fetch_add(more as u64, Ordering::Relaxed);
}

/// So many fewer frames hold contents of files.
pub fn frames_not_cached(fewer: usize) {
    atomic!(AtomicU64, frames_cached).fetch_sub(fewer as u64, Ordering::Relaxed);
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `exit`.
    Exited(u8),
    /// Killed by a signal.
    Killed(u32),
    /// Killed because memory ran out.
    OutOfMemory,
    /// It could not be started: a [`septum_abi::report::start_error`] and an error number.
    NotStarted(u32, u32),
}

/// Writes `text` to the log, which the worker prints when the kernel ends or panics.
pub fn log(text: &str) {
    let written = atomic!(AtomicU64, log_written);
    let mut at = written.load(Ordering::Relaxed);
    for &byte in text.as_bytes() {
        let index = (at % LOG_SIZE as u64) as usize;
        // SAFETY: the index is within the ring, and only the worker, which expects any bytes, reads it.
        unsafe { (&raw mut (*place::report()).log[index]).write_volatile(byte) };
        at += 1;
    }
    written.store(at, Ordering::Release);
}

/// For `write!`.
pub struct Log;

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        log(text);
        Ok(())
    }
}

/// Logs a line.
#[macro_export]
macro_rules! log_line {
    ($($text:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::report::Log, $($text)*);
    }};
}

#[cfg(target_os = "none")]
pub use target::{end, set_first_user_time, started};
#[cfg(target_os = "none")]
pub(crate) use target::{is_service_wanted, panicked, set_syscall_stays_in_ring3, start_vcpu};

#[cfg(target_os = "none")]
mod target {
    use super::{AtomicU32, AtomicU64, End, Ordering, place, state};
    use crate::{cpu, frame};
    use core::sync::atomic::AtomicI32;
    use septum_abi::control::Command;
    use septum_abi::linux::Errno;
    use septum_abi::report::PanicRecord;

    fn update_memory() {
        let usage = frame::usage();
        atomic!(AtomicU64, frames_used).store(usage.used, Ordering::Relaxed);
        atomic!(AtomicU64, frames_peak).store(usage.peak, Ordering::Relaxed);
        atomic!(AtomicU64, frames_total).store(usage.total, Ordering::Relaxed);
    }

    /// The kernel runs.
    pub fn started() {
        atomic!(AtomicU64, kernel_entry_tsc).store(cpu::timestamp(), Ordering::Relaxed);
    }

    /// The program is about to run for the first time.
    pub fn set_first_user_time() {
        atomic!(AtomicU64, first_user_tsc).store(cpu::timestamp(), Ordering::Relaxed);
    }

    pub fn set_syscall_stays_in_ring3() {
        atomic!(AtomicU32, syscall_stays_in_ring3).store(1, Ordering::Relaxed);
    }

    /// Whether the worker wants a service vCPU.
    pub fn is_service_wanted() -> bool {
        atomic!(AtomicU32, service_wanted).load(Ordering::Acquire) != 0
    }

    /// Asks the worker for a vCPU whose area is at this guest-physical address: its number, or why not.
    pub fn start_vcpu(area: u64) -> Result<u32, Errno> {
        atomic!(AtomicU64, vcpu_area).store(area, Ordering::Release);
        cpu::command(Command::StartVcpu);
        let answer = atomic!(AtomicI32, vcpu_answer).load(Ordering::Acquire);
        u32::try_from(answer).map_err(|_| Errno::from_number(answer.unsigned_abs()).unwrap_or(Errno::EAGAIN))
    }

    /// Tells the worker how the program ended. The partition is over.
    pub fn end(end: End) -> ! {
        atomic!(AtomicU64, exit_tsc).store(cpu::timestamp(), Ordering::Relaxed);
        update_memory();
        let store = |field: &AtomicU32, value| field.store(value, Ordering::Relaxed);
        let mut now = state::EXITED;
        match end {
            End::Exited(code) => store(atomic!(AtomicU32, exit_code), u32::from(code)),
            End::Killed(signal) => store(atomic!(AtomicU32, exit_signal), signal),
            End::OutOfMemory => {
                store(atomic!(AtomicU32, exit_signal), septum_abi::linux::signal::SIGKILL);
                store(atomic!(AtomicU32, out_of_memory), 1);
            }
            End::NotStarted(reason, errno) => {
                store(atomic!(AtomicU32, start_error), reason);
                store(atomic!(AtomicU32, start_errno), errno);
                now = state::NOT_STARTED;
            }
        }
        atomic!(AtomicU32, state).store(now, Ordering::Release);
        loop {
            cpu::command(Command::Exit);
        }
    }

    /// Tells the worker that the kernel panicked. The partition is over.
    pub fn panicked(record: &PanicRecord) -> ! {
        update_memory();
        // SAFETY: as for the counters; the worker reads the record only once the state says so.
        unsafe { (&raw mut (*place::report()).panic).write_volatile(*record) };
        atomic!(AtomicU32, state).store(state::PANICKED, Ordering::Release);
        loop {
            cpu::command(Command::Panic);
        }
    }
}
