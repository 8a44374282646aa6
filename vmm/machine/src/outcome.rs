//! How a partition ended, and what it took.

use septum_abi::counters::BUCKETS;
use std::collections::BTreeMap;
use std::ops::Range;

/// Why a machine was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Its time was up.
    Timeout,
    /// This signal came.
    Signal(i32),
}

/// Why the guest could not start the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// It could not be opened or read.
    Program,
    /// It is no program.
    Format,
    /// Its interpreter could not be opened.
    Interpreter,
    /// Memory is too small for it.
    Memory,
    /// The working directory does not exist.
    Workdir,
    /// The root file system could not be mounted.
    Root,
    /// The guest gave a reason that does not exist.
    Unknown,
}

/// A guest kernel panic, for a person to read.
#[derive(Clone, Debug)]
pub struct PanicReport {
    /// Message, registers, backtrace with symbols.
    pub text: String,
}

/// How it ended.
#[derive(Clone, Debug)]
pub enum End {
    /// The program exited.
    Exited {
        /// With this.
        code: u8,
    },
    /// A signal killed the program.
    Signaled {
        /// Its number.
        signal: u32,
    },
    /// The program could not be started.
    NotStarted {
        /// What failed.
        reason: StartError,
        /// A Linux error number.
        errno: u32,
    },
    /// The guest kernel panicked.
    Panicked(PanicReport),
    /// The program was killed because memory ran out.
    OutOfMemory {
        /// All there was.
        limit_bytes: u64,
    },
    /// The guest reset its machine.
    Restarted,
    /// It was stopped from outside.
    Stopped(StopReason),
    /// The machine broke.
    Failed {
        /// How.
        message: String,
    },
}

/// How long system calls of a class took.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// Calls by [bucket](septum_abi::counters::bucket_of).
    pub counts: [u64; BUCKETS],
    /// All times together, in ns.
    pub sum_ns: u64,
}

/// The same for all classes that there were, by name.
pub type Latencies = BTreeMap<&'static str, Latency>;

/// What it took. Times are CLOCK_MONOTONIC of the host, in ns.
#[derive(Clone, Debug, Default)]
pub struct MachineStats {
    /// When [`crate::Machine::new`] began.
    pub created_ns: u64,
    /// Right before the first guest instruction.
    pub first_guest_instruction_ns: Option<u64>,
    /// Right before the program's first instruction.
    pub first_user_instruction_ns: Option<u64>,
    /// When the guest ended.
    pub exit_ns: u64,
    /// KVM exits by reason.
    pub exits: BTreeMap<&'static str, u64>,
    /// System calls by name.
    pub syscalls: BTreeMap<String, u64>,
    /// System calls answered with ENOSYS, by name.
    pub syscalls_missing: BTreeMap<String, u64>,
    /// Page faults of the program.
    pub page_faults: u64,
    /// Interrupts taken while the program ran.
    pub interrupts: u64,
    /// Times a vCPU halted.
    pub halts: u64,
    /// Guest RAM.
    pub guest_limit_bytes: u64,
    /// Most guest RAM ever in use.
    pub guest_peak_bytes: u64,
    /// Guest kernel: image, boot structures and fixed tables.
    pub kernel_bytes: u64,
    /// Host addresses at which this process has guest memory mapped.
    pub guest_mappings: Vec<Range<u64>>,
    /// vCPUs there may be at most.
    pub vcpu_limit: u32,
    /// Most vCPUs there were.
    pub vcpus_peak: u64,
    /// vCPUs that the host, not the limit, refused.
    pub vcpus_refused: u64,
    /// Why it refused the first of them.
    pub vcpu_refusal: Option<String>,
    /// The privilege mode that the guest kernel ran in.
    pub privilege: &'static str,
    /// Whether `syscall` stays in ring 3 on this host.
    pub syscall_stays_in_ring3: bool,
}

/// Everything there is to say about a partition that ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// What it took.
    pub stats: MachineStats,
    /// The guest kernel's log.
    pub log: String,
}
