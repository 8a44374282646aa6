//! Resource limits (`getrlimit(2)`).

use crate::memory::layout::STACK_LIMIT;

/// Number of resources.
pub const COUNT: usize = 16;
/// RLIM_INFINITY
pub const INFINITY: u64 = u64::MAX;
/// RLIMIT_CPU, in seconds
pub const CPU_TIME: usize = 0;
/// RLIMIT_DATA
pub const DATA: usize = 2;
/// RLIMIT_STACK
pub const STACK: usize = 3;
/// RLIMIT_CORE
pub const CORE: usize = 4;
/// RLIMIT_NPROC
pub const PROCESSES: usize = 6;
/// RLIMIT_NOFILE
pub const FILES: usize = 7;
/// RLIMIT_MEMLOCK
pub const LOCKED: usize = 8;
/// RLIMIT_AS
pub const SPACE: usize = 9;
/// RLIMIT_SIGPENDING
pub const SIGNALS: usize = 11;
/// RLIMIT_MSGQUEUE
pub const QUEUES: usize = 12;
/// RLIMIT_NICE and RLIMIT_RTPRIO
pub const PRIORITIES: [usize; 2] = [13, 14];

/// Soft and hard limit of every resource.
#[derive(Clone, Copy, Debug)]
pub struct Limits(pub [(u64, u64); COUNT]);

impl Default for Limits {
    fn default() -> Self {
        let mut limits = [(INFINITY, INFINITY); COUNT];
        limits[STACK].0 = STACK_LIMIT;
        limits[CORE].0 = 0;
        limits[PROCESSES] = (32_768, 32_768);
        limits[FILES] = (1024, 1_048_576);
        limits[LOCKED] = (8 << 20, 8 << 20);
        limits[SIGNALS] = (32_768, 32_768);
        limits[QUEUES] = (819_200, 819_200);
        for resource in PRIORITIES {
            limits[resource] = (0, 0);
        }
        Self(limits)
    }
}
