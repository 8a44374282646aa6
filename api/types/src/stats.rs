//! The statistics of one partition: the document that `--json-stats FILE` writes.
//!
//! Counters come from the guest, which may write anything into them; they are reports, not facts. Times are
//! microseconds since the start of the `septum` process that ran the partition; what never happened is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exit::Code;

/// Version of this document.
pub const VERSION: u32 = 1;

/// Everything that is known of a partition that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStats {
    /// [`VERSION`].
    pub version: u32,
    /// Name of the partition.
    pub name: String,
    /// How it ended.
    pub end: EndStats,
    /// When things happened.
    pub timings_us: Timings,
    /// Returns from guest to worker, by reason.
    pub exits: BTreeMap<String, u64>,
    /// System calls, by name.
    pub syscalls: BTreeMap<String, u64>,
    /// System calls that do not exist (the program got ENOSYS), by name.
    pub syscalls_missing: BTreeMap<String, u64>,
    /// Page faults of the program.
    pub page_faults: u64,
    /// Interrupts that the guest handled.
    pub interrupts: u64,
    /// Memory.
    pub memory: MemoryStats,
    /// Threads of the program, each a virtual CPU.
    pub threads: ThreadStats,
    /// Processors.
    #[serde(default)]
    pub cpus: CpuStats,
    /// Connections out of the partition.
    #[serde(default)]
    pub network: NetworkStats,
    /// How the guest kernel is kept apart from the program: `ring0`, …
    pub privilege: String,
}

/// Microseconds since the start of the `septum` process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// The worker process runs its first own instruction.
    pub worker_start: Option<u64>,
    /// The shared directory stands and the program has been found.
    pub root_ready: Option<u64>,
    /// The machine has been built.
    pub machine_ready: Option<u64>,
    /// The guest kernel runs its first instruction.
    pub first_guest_instruction: Option<u64>,
    /// The program runs its first instruction.
    pub first_user_instruction: Option<u64>,
    /// The program ended.
    pub exit: Option<u64>,
}

/// Connections out of the partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStats {
    /// What was refused, and what would allow it: each destination once, and no more than the first few hundred.
    pub refused: Vec<String>,
}

/// Bytes of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// What the partition was given.
    pub guest_limit_bytes: u64,
    /// Most that was in use at once, as the guest kernel counts.
    pub guest_peak_bytes: u64,
    /// The guest kernel's own part: image, data and heap.
    pub kernel_bytes: u64,
    /// Proportional set size of the worker process without the partition's RAM.
    pub worker_pss_bytes: u64,
}

/// Threads of the program. One that ended makes room for the next, so these are no counts of threads ever started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadStats {
    /// How many there could be at once: `--threads`, or less where the host or the privilege mode allows less.
    pub limit: u32,
    /// Most that there were at once.
    pub peak: u64,
    /// How many the host, not the limit, refused.
    pub refused: u64,
    /// Why it refused the first of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refusal: Option<String>,
}

/// Processors of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// How many it was given.
    pub count: u32,
    /// What kept it to them: `cgroup-v1`, `cgroup-v2`, `affinity` or `none`. Absent if it never had more threads than that, or
    /// the caller has no more processors.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept_by: Option<String>,
}

/// How a partition ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndStats {
    /// `exited`, `signaled`, or the name of one of Septum's own [`Code`]s.
    pub kind: String,
    /// Exit status of `septum run`.
    pub status: u8,
    /// The signal that killed the program, if one did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<u32>,
    /// The message, if one was printed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}

impl EndStats {
    /// Septum's own end.
    #[must_use]
    pub fn of_code(code: Code, message: String) -> Self {
        Self { kind: code.name().to_owned(), status: code.number(), signal: None, message: Some(message) }
    }
}
