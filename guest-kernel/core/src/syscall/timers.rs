//! `timer_create` and what is done with its timers.
//!
//! ```text
//! sigevent     +0 value (u64)  +8 signal (i32)  +12 how (i32)  +16 thread (i32)
//! itimerspec   +0 period (timespec)  +16 value (timespec)
//! ```

use super::clock::{now, read_timespec, write_words};
use super::entry::{Entry, Support};
use super::int;
use crate::memory::buffer;
use crate::process::posix_timer::{Clock, Notify, Wish};
use crate::process::thread::Thread;
use crate::process::timer::IntervalTimer;
use alloc::sync::Arc;
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::clock::monotonic_ns;

const NS: u64 = 1_000_000_000;
const TIMER_ABSTIME: i32 = 1;
/// SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD (which C libraries make of SIGEV_THREAD_ID), SIGEV_THREAD_ID
const SIGNAL: i32 = 0;
const NONE: i32 = 1;
const THREAD: i32 = 2;
const THREAD_ID: i32 = 4;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::TIMER_CREATE,
        handler: |thread, a| sys_timer_create(thread, int(a[0]), a[1], a[2]),
        support: Support::Full,
        notes: "the clocks of clock_gettime, of CPU time the caller's own",
    },
    Entry {
        number: number::TIMER_SETTIME,
        handler: |thread, a| sys_timer_settime(thread, int(a[0]), int(a[1]), a[2], a[3]),
        support: Support::Full,
        notes: "TIMER_ABSTIME",
    },
    Entry {
        number: number::TIMER_GETTIME,
        handler: |thread, a| sys_timer_gettime(thread, int(a[0]), a[1]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::TIMER_GETOVERRUN,
        handler: |thread, a| sys_timer_getoverrun(thread, int(a[0])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::TIMER_DELETE,
        handler: |thread, a| {
            thread.process.change_posix_timers(|timers| timers.delete(int(a[0]))).map(|()| 0)
        },
        support: Support::Full,
        notes: "",
    },
];

/// `timer_create(2)`
fn sys_timer_create(thread: &Thread, clock: i32, event: u64, id: u64) -> Result<usize, Errno> {
    let clock = match clock {
        0 | 1 | 7 | 8 | 9 | 11 => Clock::Time(matches!(clock, 0 | 8 | 11)),
        2 => Clock::Process,
        3 => Clock::Thread(Arc::downgrade(&thread.task)),
        _ => return Err(Errno::EINVAL),
    };
    let mut wish = Wish { clock, notify: Notify::Process, signal: signal::SIGALRM, value: None };
    if event != 0 {
        let mut bytes = [0; 24];
        buffer::read(&thread.process.space, event, &mut bytes)?;
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        let (number, how) = (int(word(8)), int(word(8) >> 32));
        wish.value = Some(word(0));
        wish.notify = match how {
            NONE => Notify::Nobody,
            SIGNAL | THREAD => Notify::Process,
            THREAD_ID => {
                let task = u32::try_from(int(word(16))).ok().and_then(|tid| thread.process.task(tid));
                Notify::Thread(Arc::downgrade(&task.ok_or(Errno::EINVAL)?))
            }
            _ => return Err(Errno::EINVAL),
        };
        if how != NONE {
            let number = u32::try_from(number).ok().filter(|number| (1..=signal::LAST).contains(number));
            wish.signal = number.ok_or(Errno::EINVAL)?;
        }
    }
    let made = thread.process.change_posix_timers(|timers| timers.create(wish))?;
    if let Err(errno) = buffer::write(&thread.process.space, id, &made.to_le_bytes()) {
        let _ = thread.process.change_posix_timers(|timers| timers.delete(made));
        return Err(errno);
    }
    Ok(0)
}

/// `timer_settime(2)`
fn sys_timer_settime(thread: &Thread, id: i32, flags: i32, new: u64, old: u64) -> Result<usize, Errno> {
    if new == 0 {
        return Err(Errno::EINVAL);
    }
    let period_ns = read_timespec(thread, new)?;
    let value_ns = read_timespec(thread, new.wrapping_add(16))?;
    let (time, process) = (monotonic_ns(), thread.process.ran_ns());
    let realtime = now(thread, 0)?;
    let (left, old_period) = thread.process.change_posix_timers(|timers| {
        let timer = timers.get(id)?;
        let own = timer.now_ns(time, process);
        let previous = timer.timer;
        let deadline_ns = match (value_ns, flags & TIMER_ABSTIME != 0) {
            (0, _) => 0,
            (after, false) => own.saturating_add(after),
            // A time of day is so far from now.
            (at, true) if timer.is_realtime() => own.saturating_add(at.saturating_sub(realtime)).max(1),
            (at, true) => at,
        };
        timer.timer = IntervalTimer { deadline_ns, period_ns };
        timer.overrun = 0;
        Ok((previous.remaining(own), previous.period_ns))
    })?;
    if old != 0 {
        write_words(thread, old, &[old_period / NS, old_period % NS, left / NS, left % NS])?;
    }
    Ok(0)
}

/// `timer_gettime(2)`
fn sys_timer_gettime(thread: &Thread, id: i32, current: u64) -> Result<usize, Errno> {
    let (time, process) = (monotonic_ns(), thread.process.ran_ns());
    let (left, period) = thread.process.change_posix_timers(|timers| {
        let timer = timers.get(id)?;
        Ok((timer.timer.remaining(timer.now_ns(time, process)), timer.timer.period_ns))
    })?;
    write_words(thread, current, &[period / NS, period % NS, left / NS, left % NS])?;
    Ok(0)
}

/// `timer_getoverrun(2)`
fn sys_timer_getoverrun(thread: &Thread, id: i32) -> Result<usize, Errno> {
    let overrun = thread.process.change_posix_timers(|timers| timers.get(id).map(|timer| timer.overrun))?;
    Ok(usize::try_from(overrun).unwrap_or(usize::MAX).min(i32::MAX as usize))
}
