//! Time.

use super::entry::{Entry, Support};
use super::{int, uint};
use crate::memory::buffer;
use crate::process::family;
use crate::process::thread::Thread;
use crate::wait::wait_listed;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::clock::{monotonic_ns, realtime_ns};

const NS: u64 = 1_000_000_000;
const TIMER_ABSTIME: u32 = 1;
/// Ticks a second of `times` (USER_HZ).
const TICK_NS: u64 = NS / 100;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::CLOCK_GETTIME,
        handler: |thread, a| sys_clock_gettime(thread, int(a[0]), a[1]),
        support: Support::Full,
        notes: "CPU-time clocks tell the time in which threads did not wait",
    },
    Entry {
        number: number::CLOCK_GETRES,
        handler: |thread, a| sys_clock_getres(thread, int(a[0]), a[1]),
        support: Support::Full,
        notes: "1 ns",
    },
    Entry {
        number: number::CLOCK_SETTIME,
        handler: |thread, a| sys_clock_settime(thread, int(a[0]), a[1]),
        support: Support::Refused,
        notes: "EPERM: the host keeps the time",
    },
    Entry {
        number: number::SETTIMEOFDAY,
        handler: |_, _| Err(Errno::EPERM),
        support: Support::Refused,
        notes: "EPERM: the host keeps the time",
    },
    Entry {
        number: number::GETTIMEOFDAY,
        handler: |thread, a| sys_gettimeofday(thread, a[0], a[1]),
        support: Support::Full,
        notes: "the time zone is zero",
    },
    Entry {
        number: number::TIME,
        handler: |thread, a| sys_time(thread, a[0]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::TIMES,
        handler: |thread, a| sys_times(thread, a[0]),
        support: Support::Partial,
        notes: "all time counts as the user's",
    },
    Entry {
        number: number::NANOSLEEP,
        handler: |thread, a| sys_clock_nanosleep(thread, 1, 0, a[0], a[1]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::CLOCK_NANOSLEEP,
        handler: |thread, a| sys_clock_nanosleep(thread, int(a[0]), uint(a[1]), a[2], a[3]),
        support: Support::Full,
        notes: "REALTIME, MONOTONIC, BOOTTIME; TIMER_ABSTIME",
    },
];

/// Writes words one after the other at the program's `address`.
pub(super) fn write_words(thread: &Thread, address: u64, words: &[u64]) -> Result<(), Errno> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    buffer::write(&thread.process.space, address, &bytes)
}

/// A `struct timespec` of the program as nanoseconds.
pub(super) fn read_timespec(thread: &Thread, address: u64) -> Result<u64, Errno> {
    let mut bytes = [0; 16];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    let word = |at: usize| i64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
    match (u64::try_from(word(0)), u64::try_from(word(8))) {
        (Ok(seconds), Ok(ns)) if ns < NS => Ok(seconds.saturating_mul(NS).saturating_add(ns)),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn now(thread: &Thread, clock: i32) -> Result<u64, Errno> {
    match clock {
        0 | 5 | 8 | 11 => Ok(realtime_ns()),
        1 | 4 | 6 | 7 | 9 => Ok(monotonic_ns()),
        2 => Ok(thread.process.ran_ns()),
        3 => Ok(thread.task.ran_ns()),
        // Of a thread or process by number: its complement in the upper bits, below it whether it is a thread's.
        clock if clock < 0 && clock & 3 != 3 => {
            let number = u32::try_from(!(clock >> 3)).map_err(|_| Errno::EINVAL)?;
            match (clock & 4 != 0, number) {
                (true, 0) => Ok(thread.task.ran_ns()),
                (true, tid) => Ok(family::find_task(tid, &thread.process).ok_or(Errno::EINVAL)?.ran_ns()),
                (false, 0) => Ok(thread.process.ran_ns()),
                (false, pid) => Ok(family::find(pid).ok_or(Errno::EINVAL)?.ran_ns()),
            }
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `clock_gettime(2)`
fn sys_clock_gettime(thread: &Thread, clock: i32, time: u64) -> Result<usize, Errno> {
    let ns = now(thread, clock)?;
    write_words(thread, time, &[ns / NS, ns % NS])?;
    Ok(0)
}

/// `clock_settime(2)`: EINVAL for what is no clock or only runs, else EPERM.
fn sys_clock_settime(thread: &Thread, clock: i32, time: u64) -> Result<usize, Errno> {
    if clock != 0 {
        now(thread, clock)?;
        return Err(Errno::EINVAL);
    }
    read_timespec(thread, time)?;
    Err(Errno::EPERM)
}

/// `clock_getres(2)`
fn sys_clock_getres(thread: &Thread, clock: i32, resolution: u64) -> Result<usize, Errno> {
    now(thread, clock)?;
    if resolution != 0 {
        write_words(thread, resolution, &[0, 1])?;
    }
    Ok(0)
}

/// `gettimeofday(2)`
fn sys_gettimeofday(thread: &Thread, time: u64, zone: u64) -> Result<usize, Errno> {
    let ns = realtime_ns();
    if time != 0 {
        write_words(thread, time, &[ns / NS, ns % NS / 1000])?;
    }
    if zone != 0 {
        write_words(thread, zone, &[0])?;
    }
    Ok(0)
}

/// `time(2)`
fn sys_time(thread: &Thread, time: u64) -> Result<usize, Errno> {
    let seconds = realtime_ns() / NS;
    if time != 0 {
        write_words(thread, time, &[seconds])?;
    }
    Ok(septum_guest_hal::address::to_usize(seconds))
}

/// `times(2)`
fn sys_times(thread: &Thread, buffer: u64) -> Result<usize, Errno> {
    let now = monotonic_ns();
    if buffer != 0 {
        let own = thread.process.ran_ns() / TICK_NS;
        let children = thread.process.children_ns.load(Ordering::Relaxed) / TICK_NS;
        write_words(thread, buffer, &[own, 0, children, 0])?;
    }
    Ok(septum_guest_hal::address::to_usize(now / TICK_NS))
}

/// `clock_nanosleep(2)`
fn sys_clock_nanosleep(
    thread: &Thread,
    clock: i32,
    flags: u32,
    request: u64,
    remaining: u64,
) -> Result<usize, Errno> {
    match clock {
        0 | 1 | 7 | 11 => {}
        // Clocks that can only be read.
        3..=6 => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    }
    let wanted = read_timespec(thread, request)?;
    let is_absolute = flags & TIMER_ABSTIME != 0;
    let after = if is_absolute { wanted.saturating_sub(now(thread, clock)?) } else { wanted };
    let deadline = monotonic_ns().saturating_add(after);
    match wait_listed::<()>(Some(deadline), || None) {
        Ok(_) => Ok(0),
        Err(errno) => {
            if remaining != 0 && !is_absolute {
                let left = deadline.saturating_sub(monotonic_ns());
                write_words(thread, remaining, &[left / NS, left % NS])?;
            }
            Err(errno)
        }
    }
}
