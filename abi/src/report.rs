//! The report: what the guest kernel tells the worker, in memory that the worker reads without an exit.
//!
//! Fields are plain integers, written by the guest with ordinary or atomic stores while it runs, read by the
//! worker when the guest stopped (or, for counters, at any time). The worker trusts none of them.

use crate::counters::{SHARDS, Shard};
use crate::linux::SYSCALL_LIMIT;

/// Bytes of log text kept for the worker.
pub const LOG_SIZE: usize = 16 * 1024;
/// Bytes of a panic message.
pub const PANIC_MESSAGE_SIZE: usize = 512;
/// Return addresses in a panic record.
pub const BACKTRACE_SIZE: usize = 32;

/// How far the guest has come; `GuestReport::state`.
pub mod state {
    /// Not entered, or running.
    pub const RUNNING: u32 = 0;
    /// The program ended; `wait_status` is valid.
    pub const EXITED: u32 = 1;
    /// The guest kernel panicked; `panic` is valid.
    pub const PANICKED: u32 = 2;
    /// The program could not be started; `start_error` (a [`super::start_error`]) and `start_errno` are valid.
    pub const NOT_STARTED: u32 = 3;
}

/// Why a program could not be started.
pub mod start_error {
    /// Opening or reading the program failed with `start_errno`.
    pub const PROGRAM: u32 = 1;
    /// It is not an ELF file or script that can run: `start_errno` is ENOEXEC, EACCES…
    pub const FORMAT: u32 = 2;
    /// The ELF interpreter could not be opened.
    pub const INTERPRETER: u32 = 3;
    /// Not enough memory.
    pub const MEMORY: u32 = 4;
    /// The working directory does not exist.
    pub const WORKDIR: u32 = 5;
    /// The root file system could not be mounted.
    pub const ROOT: u32 = 6;
}

/// The guest kernel's account of its own panic.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PanicRecord {
    /// Bytes used of `message`.
    pub message_len: u32,
    /// Entries used of `backtrace`.
    pub backtrace_len: u32,
    /// The exception vector, or `u32::MAX` if a Rust panic.
    pub vector: u32,
    /// vCPU number.
    pub vcpu: u32,
    /// Exception error code.
    pub error_code: u64,
    /// CR2.
    pub fault_address: u64,
    /// RIP, RSP, RFLAGS, then RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8–R15.
    pub registers: [u64; 18],
    /// Return addresses, innermost first.
    pub backtrace: [u64; BACKTRACE_SIZE],
    /// UTF-8 text.
    pub message: [u8; PANIC_MESSAGE_SIZE],
}

/// The report, at [`crate::layout::REPORT`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GuestReport {
    /// One of [`state`].
    pub state: u32,
    /// Exit code of the program (0–255), if it exited.
    pub exit_code: u32,
    /// Number of the signal that killed it, else 0.
    pub exit_signal: u32,
    /// One of [`start_error`].
    pub start_error: u32,
    /// A Linux error number.
    pub start_errno: u32,
    /// Non-zero once the program was killed because guest memory ran out.
    pub out_of_memory: u32,
    /// Non-zero once a system call was seen to stay in ring 3 (see the guest's hal).
    pub syscall_stays_in_ring3: u32,
    /// Answer to [`Command::StartVcpu`](crate::control::Command::StartVcpu): the vCPU's number, or minus a Linux error number.
    pub vcpu_answer: i32,
    /// Written by the worker: not 0 once it wants a [service vCPU](crate::service). The first vCPU looks at it when the kernel is ready,
    /// and after every interrupt.
    pub service_wanted: u32,
    /// Zero.
    pub reserved: u32,
    /// Guest-physical address of the area of the vCPU to be started: aligned to, and as long as, a
    /// [vCPU area](crate::layout::VCPU_AREA_SIZE).
    pub vcpu_area: u64,
    /// Time-stamp counter at the kernel's first instructions in Rust.
    pub kernel_entry_tsc: u64,
    /// Time-stamp counter right before the first instruction of the program.
    pub first_user_tsc: u64,
    /// Time-stamp counter at the program's end.
    pub exit_tsc: u64,
    /// Frames in use now.
    pub frames_used: u64,
    /// Most frames ever in use.
    pub frames_peak: u64,
    /// Frames there are.
    pub frames_total: u64,
    /// Frames that hold contents of files and could be given up.
    pub frames_cached: u64,
    /// Bytes ever written to `log`; it is a ring.
    pub log_written: u64,
    /// What is counted.
    pub shards: [Shard; SHARDS],
    /// System calls that were answered with ENOSYS, by number; numbers beyond the table count in the last entry.
    pub syscalls_missing: [u32; SYSCALL_LIMIT as usize],
    /// Valid in state [`state::PANICKED`].
    pub panic: PanicRecord,
    /// Ring of log text.
    pub log: [u8; LOG_SIZE],
}

const _: () = assert!(size_of::<GuestReport>() as u64 <= crate::layout::REPORT_SIZE);
