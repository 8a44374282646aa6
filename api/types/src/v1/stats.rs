//! What is counted of a partition while it lives.
//!
//! Times and memory of the process are the host's; [`Counters`] are the worker's, and those in it that say so the guest kernel's, which may
//! write anything into them: they are reports, not facts. Counters begin at zero with each start of the partition, and end with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stats {
    /// Identifier of the partition.
    pub partition: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// When this was read, in ms since 1970.
    pub at_ms: u64,
    /// When its program last began to run, in ms since 1970.
    pub started_ms: Option<u64>,
    /// How often it was started again.
    pub restarts: u32,
    /// Its processors are held; then `counters` are those of the last reading before that, if there was one.
    pub is_paused: bool,
    /// Processors that it was given.
    pub cpus: u32,
    /// Processor time.
    pub cpu: CpuTime,
    /// Memory.
    pub memory: MemoryUse,
    /// Threads of its process on the host: virtual CPUs, devices, and one that waits for the end.
    pub threads: u64,
    /// What its worker and its guest kernel have counted.
    pub counters: Option<Counters>,
    /// The threads one by one, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_list: Option<Vec<ThreadUse>>,
}

/// Processor time of the partition's process, in ns, in steps of the host's clock tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CpuTime {
    /// In user mode, the guest's time included.
    pub user_ns: u64,
    /// In the host's kernel.
    pub system_ns: u64,
    /// In the guest, where the host tells it apart: a part of `user_ns`.
    pub guest_ns: u64,
}

impl CpuTime {
    /// All of it.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.user_ns.saturating_add(self.system_ns)
    }
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemoryUse {
    /// RAM that the partition was given.
    pub limit_bytes: u64,
    /// Of that, in use, as the guest kernel says.
    pub used_bytes: u64,
    /// Of that, contents of files, as the guest kernel says: these could be given up.
    pub cached_bytes: u64,
    /// The most that was ever in use, as the guest kernel says.
    pub peak_bytes: u64,
    /// Of the host, what its process has; files that it shares with others included.
    pub resident_bytes: u64,
    /// Of that, what it shares with nobody.
    pub private_bytes: u64,
}

/// See [`Stats::counters`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counters {
    /// Virtual CPUs that there are: one for each thread of the programs, or left by one that ended.
    pub vcpus: u64,
    /// System calls by class (the guest's word).
    pub syscalls: BTreeMap<String, u64>,
    /// System calls by name (the guest's word).
    pub syscalls_by_name: BTreeMap<String, u64>,
    /// System calls that do not exist, by name (the guest's word).
    pub syscalls_missing: BTreeMap<String, u64>,
    /// How long some of the system calls took, one of 16 of each, by class (the guest's word).
    pub syscall_latency: BTreeMap<String, Latency>,
    /// Page faults of the programs (the guest's word).
    pub page_faults: u64,
    /// Interrupts that came while a program ran (the guest's word).
    pub interrupts: u64,
    /// Times that a virtual CPU had nothing to do (the guest's word).
    pub halts: u64,
    /// Returns from guest to worker, by reason.
    pub exits: BTreeMap<String, u64>,
    /// What went through the partition's devices.
    pub devices: Vec<DeviceUse>,
    /// Connections out of the partition and into it, if it has a network.
    pub connections: Option<Connections>,
}

/// The limits between the counts of a [`Latency`], in µs; the last count is for what took longer than all of them.
pub const LATENCY_LIMITS_US: [u64; 11] = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];

/// A distribution of times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Latency {
    /// How many took less than 1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576 µs and not less than the one before; the
    /// last is for what took longer.
    pub counts: Vec<u64>,
    /// All times together, in ns.
    pub sum_ns: u64,
}

/// What went through a device; headers of requests count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceUse {
    /// Its kind, and its number if there are several.
    pub name: String,
    /// Requests served.
    pub requests: u64,
    /// Bytes that the guest got.
    pub read_bytes: u64,
    /// Bytes that the guest gave.
    pub written_bytes: u64,
}

/// Connections of the partition's sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Connections {
    /// Ever.
    pub opened: u64,
    /// Now.
    pub open: u64,
}

/// A thread of the partition's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ThreadUse {
    /// Its number on the host.
    pub id: u32,
    /// `N:NAME` for a virtual CPU, with the name of the guest's thread; else what it is for.
    pub name: String,
    /// What it is doing, as one letter of the host's: `R` runs, `S` sleeps, `D` waits for a device, `T` is held.
    pub state: String,
    /// Processor time, in ns.
    pub cpu_ns: u64,
    /// Time that it could have run and had no processor (steal), in ns.
    pub waited_ns: u64,
}

/// All partitions that run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatsList {
    /// A reading of each.
    pub items: Vec<Stats>,
}
