//! Futexes (`futex(2)`), as far as one thread needs them: waiting for a value that nobody else can change ends by
//! timeout or signal only.

use super::clock::read_timespec;
use super::entry::{Entry, Support};
use super::uint;
use crate::memory::buffer;
use crate::process::thread::Thread;
use crate::wait::wait_for_any;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::clock::{monotonic_ns, realtime_ns};

const WAIT: u32 = 0;
const WAKE: u32 = 1;
const REQUEUE: u32 = 3;
const CMP_REQUEUE: u32 = 4;
const WAKE_OP: u32 = 5;
const WAIT_BITSET: u32 = 9;
const WAKE_BITSET: u32 = 10;
const PRIVATE: u32 = 128;
const CLOCK_REALTIME: u32 = 256;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::FUTEX,
        handler: |thread, a| sys_futex(thread, a[0], uint(a[1]), uint(a[2]), a[3]),
        support: Support::Partial,
        notes: "WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, the BITSET forms; no PI",
    },
    Entry {
        number: number::SET_ROBUST_LIST,
        handler: |thread, a| {
            if a[1] != 24 {
                return Err(Errno::EINVAL);
            }
            thread.robust_list.set(a[0]);
            Ok(0)
        },
        support: Support::Full,
        notes: "",
    },
];

/// `futex(2)`
fn sys_futex(
    thread: &Thread,
    address: u64,
    operation: u32,
    value: u32,
    timeout: u64,
) -> Result<usize, Errno> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let is_realtime = operation & CLOCK_REALTIME != 0;
    match operation & !(PRIVATE | CLOCK_REALTIME) {
        command @ (WAIT | WAIT_BITSET) => {
            let deadline = match timeout {
                0 => None,
                at => Some(deadline_of(read_timespec(thread, at)?, command == WAIT, is_realtime)),
            };
            wait(thread, address, value, deadline)
        }
        // Nobody waits: the only thread is the one that calls.
        WAKE | WAKE_BITSET | REQUEUE | CMP_REQUEUE | WAKE_OP => Ok(0),
        _ => Err(Errno::ENOSYS),
    }
}

/// On the monotonic clock.
fn deadline_of(ns: u64, is_relative: bool, is_realtime: bool) -> u64 {
    let now = monotonic_ns();
    match (is_relative, is_realtime) {
        (true, _) => now.saturating_add(ns),
        (false, false) => ns,
        (false, true) => now.saturating_add(ns.saturating_sub(realtime_ns())),
    }
}

fn wait(thread: &Thread, address: u64, expected: u32, deadline: Option<u64>) -> Result<usize, Errno> {
    let load = || {
        let mut bytes = [0; 4];
        buffer::read(&thread.process.space, address, &mut bytes).map(|()| u32::from_le_bytes(bytes))
    };
    if load()? != expected {
        return Err(Errno::EAGAIN);
    }
    let changed = || (load() != Ok(expected)).then_some(());
    wait_for_any(&[], deadline, changed)?.map(|()| 0).ok_or(Errno::ETIMEDOUT)
}
