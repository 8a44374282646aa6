//! Resource limits (`getrlimit(2)`).

use super::signal::Info;
use super::vcpus::current_task;
use super::{Process, family};
use crate::memory::layout::STACK_LIMIT;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::{Errno, signal};

/// Number of resources.
pub const COUNT: usize = 16;
/// RLIM_INFINITY
pub const INFINITY: u64 = u64::MAX;
/// RLIMIT_CPU, in seconds
pub const CPU_TIME: usize = 0;
/// RLIMIT_FSIZE
pub const FILE_SIZE: usize = 1;
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
/// RLIMIT_NICE
pub const NICE: usize = 13;
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

/// Most processes and signals that nobody has to count, because other limits are lower.
const BEYOND_COUNTING: u64 = 32_768;

/// Whether any process ever limited how large its files are.
static IS_FILE_SIZE_LIMITED: AtomicBool = AtomicBool::new(false);

/// Whether writes have to ask [`within_file_size`].
#[must_use]
pub fn is_file_size_limited() -> bool {
    IS_FILE_SIZE_LIMITED.load(Ordering::Relaxed)
}

/// Notes that a process has this RLIMIT_FSIZE.
pub(super) fn note_file_size(soft: u64) {
    if soft != INFINITY {
        IS_FILE_SIZE_LIMITED.store(true, Ordering::Relaxed);
    }
}

/// How many of `len` bytes at `offset` the process that runs here may write to a file. EFBIG, and SIGXFSZ, if none.
pub fn within_file_size(offset: u64, len: usize) -> Result<usize, Errno> {
    let Some(task) = current_task().filter(|_| is_file_size_limited() && len > 0) else { return Ok(len) };
    let process = &task.process;
    let limit = process.limits.lock().0[FILE_SIZE].0;
    if offset >= limit {
        task.send(Info::from_user(signal::SIGXFSZ, process.pid, process.uid()));
        return Err(Errno::EFBIG);
    }
    Ok(usize::try_from(limit - offset).map_or(len, |room| room.min(len)))
}

/// EFBIG, and SIGXFSZ, if the process that runs here may not make a file of `old` bytes `new` bytes long.
pub fn check_file_size(old: impl FnOnce() -> Result<u64, Errno>, new: u64) -> Result<(), Errno> {
    if !is_file_size_limited() || new <= old()? {
        return Ok(());
    }
    // Its last byte.
    within_file_size(new - 1, 1).map(|_| ())
}

/// EAGAIN if the user of `process` has as many processes and threads as that may have.
pub fn check_processes(process: &Process) -> Result<(), Errno> {
    let limit = process.limits.lock().0[PROCESSES].0;
    let real = |process: &Process| process.fs.lock().other_uids[0];
    let uid = real(process);
    if limit >= BEYOND_COUNTING || uid == 0 || process.uid() == 0 {
        return Ok(());
    }
    let own = family::all_that(|_| true).into_iter().filter(|other| real(other) == uid);
    // One that has ended counts until somebody waits for it.
    let count: usize = own.map(|other| other.thread_count().max(1)).sum();
    if count as u64 >= limit { Err(Errno::EAGAIN) } else { Ok(()) }
}

/// EAGAIN if as many signals wait for the user of `target` as may (RLIMIT_SIGPENDING).
pub fn check_signals(target: &Process) -> Result<(), Errno> {
    let limit = target.limits.lock().0[SIGNALS].0;
    let waiting = |process: &Process| {
        let own: usize = process.tasks().iter().map(|task| task.signals.lock().pending.count()).sum();
        own + process.pending.lock().count()
    };
    let count = if limit < BEYOND_COUNTING {
        let uid = target.uid();
        family::all_that(|_| true).iter().filter(|other| other.uid() == uid).map(|other| waiting(other)).sum()
    } else {
        waiting(target)
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX).min(super::signal::MAX_QUEUED);
    if count >= most { Err(Errno::EAGAIN) } else { Ok(()) }
}
