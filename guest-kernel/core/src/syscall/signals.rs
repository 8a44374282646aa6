//! Signals: actions, masks, sending, waiting, timers that send them.

use super::clock::{read_timespec, write_words};
use super::entry::{Entry, Support};
use super::{int, uint};
use crate::memory::buffer;
use crate::process::limits;
use crate::process::signal::{
    Action, AlternateStack, DEFAULT, DefaultAction, IGNORE, Info, SS_AUTODISARM, UNSTOPPABLE, bit,
    default_action,
};
use crate::process::thread::Thread;
use crate::process::timer::Which;
use crate::process::{FIRST_PID, Process, family};
use crate::wait::wait_listed;
use alloc::vec::Vec;
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::clock::monotonic_ns;

/// Looks for members of a group, until nobody new is in it.
const ROUNDS: usize = 8;
const SS_ONSTACK: u32 = 1;
const SS_DISABLE: u32 = 2;
const MINSIGSTKSZ: u64 = 2048;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::RT_SIGACTION,
        handler: |thread, a| sys_rt_sigaction(thread, int(a[0]), a[1], a[2], a[3]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::RT_SIGPROCMASK,
        handler: |thread, a| sys_rt_sigprocmask(thread, int(a[0]), a[1], a[2], a[3]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::RT_SIGPENDING,
        handler: |thread, a| sys_rt_sigpending(thread, a[0], a[1]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::RT_SIGSUSPEND,
        handler: |thread, a| sys_rt_sigsuspend(thread, a[0], a[1]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::RT_SIGTIMEDWAIT,
        handler: |thread, a| sys_rt_sigtimedwait(thread, a[0], a[1], a[2], a[3]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::RT_SIGQUEUEINFO,
        handler: |thread, a| sys_rt_sigqueueinfo(thread, int(a[0]), int(a[1]), a[2]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::RT_TGSIGQUEUEINFO,
        handler: |thread, a| sys_rt_tgsigqueueinfo(thread, int(a[0]), int(a[1]), int(a[2]), a[3]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SIGALTSTACK,
        handler: |thread, a| sys_sigaltstack(thread, a[0], a[1]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::KILL,
        handler: |thread, a| sys_kill(thread, int(a[0]), int(a[1])),
        support: Support::Full,
        notes: "-1: all but the caller and the first program; from group 1, which the first program leads: that group",
    },
    Entry {
        number: number::TKILL,
        handler: |thread, a| sys_tgkill(thread, None, int(a[0]), int(a[1])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::TGKILL,
        handler: |thread, a| sys_tgkill(thread, Some(int(a[0])), int(a[1]), int(a[2])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::PAUSE,
        handler: |thread, _| sys_pause(thread),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::ALARM,
        handler: |thread, a| sys_alarm(thread, uint(a[0])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SETITIMER,
        handler: |thread, a| sys_setitimer(thread, int(a[0]), a[1], a[2]),
        support: Support::Full,
        notes: "CPU time is that in which threads did not wait, all of it the program's",
    },
    Entry {
        number: number::GETITIMER,
        handler: |thread, a| sys_getitimer(thread, int(a[0]), a[1]),
        support: Support::Full,
        notes: "CPU time is that in which threads did not wait, all of it the program's",
    },
];

fn signal_number(signal: i32) -> Result<u32, Errno> {
    u32::try_from(signal).ok().filter(|signal| (1..=signal::LAST).contains(signal)).ok_or(Errno::EINVAL)
}

fn check_set_size(size: u64) -> Result<(), Errno> {
    if size == 8 { Ok(()) } else { Err(Errno::EINVAL) }
}

fn read_word(thread: &Thread, address: u64) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// `rt_sigaction(2)`
fn sys_rt_sigaction(thread: &Thread, signal: i32, new: u64, old: u64, size: u64) -> Result<usize, Errno> {
    check_set_size(size)?;
    let signal = signal_number(signal)?;
    let new = match new {
        0 => None,
        _ if UNSTOPPABLE & bit(signal) != 0 => return Err(Errno::EINVAL),
        address => {
            let mut bytes = [0; 32];
            buffer::read(&thread.process.space, address, &mut bytes)?;
            let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
            Some(Action {
                handler: word(0),
                flags: word(8),
                restorer: word(16),
                mask: word(24) & !UNSTOPPABLE,
            })
        }
    };
    let previous = {
        let mut actions = thread.process.actions.lock();
        let action = &mut actions.0[signal as usize - 1];
        let previous = *action;
        if let Some(new) = new {
            *action = new;
        }
        previous
    };
    if let Some(new) = new {
        let is_ignored = new.handler == IGNORE
            || (new.handler == DEFAULT && default_action(signal) == DefaultAction::Ignore);
        if is_ignored {
            thread.process.discard_pending(bit(signal));
        }
    }
    if old != 0 {
        write_words(thread, old, &[previous.handler, previous.flags, previous.restorer, previous.mask])?;
    }
    Ok(0)
}

/// `rt_sigprocmask(2)`
fn sys_rt_sigprocmask(thread: &Thread, how: i32, new: u64, old: u64, size: u64) -> Result<usize, Errno> {
    check_set_size(size)?;
    let previous = thread.task.signals.lock().mask;
    if new != 0 {
        let set = read_word(thread, new)?;
        let mask = match how {
            0 => previous | set,
            1 => previous & !set,
            2 => set,
            _ => return Err(Errno::EINVAL),
        };
        thread.task.signals.lock().mask = mask & !UNSTOPPABLE;
        if mask & !previous != 0 {
            // What it would have taken until now somebody else may.
            thread.process.alert_for_pending();
        }
    }
    if old != 0 {
        write_words(thread, old, &[previous])?;
    }
    Ok(0)
}

/// `rt_sigpending(2)`
fn sys_rt_sigpending(thread: &Thread, set: u64, size: u64) -> Result<usize, Errno> {
    check_set_size(size)?;
    let state = thread.task.signals.lock();
    let pending = (state.pending.set() | thread.process.pending.lock().set()) & state.mask;
    drop(state);
    write_words(thread, set, &[pending])?;
    Ok(0)
}

/// Waits for a signal that is not blocked; returns EINTR, always.
fn sys_pause(thread: &Thread) -> Result<usize, Errno> {
    wait_listed(None, || thread.is_interrupted().then_some(()))?;
    Err(Errno::EINTR)
}

/// `rt_sigsuspend(2)`
fn sys_rt_sigsuspend(thread: &Thread, mask: u64, size: u64) -> Result<usize, Errno> {
    check_set_size(size)?;
    let mask = read_word(thread, mask)? & !UNSTOPPABLE;
    {
        let mut state = thread.task.signals.lock();
        state.saved_mask = Some(state.mask);
        state.mask = mask;
    }
    sys_pause(thread)
}

/// `rt_sigtimedwait(2)`
fn sys_rt_sigtimedwait(
    thread: &Thread,
    set: u64,
    info: u64,
    timeout: u64,
    size: u64,
) -> Result<usize, Errno> {
    check_set_size(size)?;
    let wanted = read_word(thread, set)? & !UNSTOPPABLE;
    let deadline = match timeout {
        0 => None,
        address => Some(monotonic_ns().saturating_add(read_timespec(thread, address)?)),
    };
    thread.task.signals.lock().awaited = wanted;
    let found = wait_listed(deadline, || thread.take_signal(wanted));
    thread.task.signals.lock().awaited = 0;
    let found = found?.ok_or(Errno::EAGAIN)?;
    if info != 0 {
        buffer::write(&thread.process.space, info, &found.encode())?;
    }
    Ok(found.signal as usize)
}

/// `rt_sigqueueinfo(2)`
fn sys_rt_sigqueueinfo(thread: &Thread, pid: i32, signal: i32, info: u64) -> Result<usize, Errno> {
    let info = read_info(thread, signal, info)?;
    let target = u32::try_from(pid).ok().and_then(family::find).ok_or(Errno::ESRCH)?;
    check_foreign(thread, &target, &info)?;
    check_queue(&target, signal, &info)?;
    send_to(thread, &target, signal, info)
}

/// `rt_tgsigqueueinfo(2)`
fn sys_rt_tgsigqueueinfo(
    thread: &Thread,
    pid: i32,
    tid: i32,
    signal: i32,
    info: u64,
) -> Result<usize, Errno> {
    if pid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let info = read_info(thread, signal, info)?;
    let target = u32::try_from(pid).ok().and_then(family::find).ok_or(Errno::ESRCH)?;
    let task = u32::try_from(tid).ok().and_then(|tid| target.task(tid)).ok_or(Errno::ESRCH)?;
    check_foreign(thread, &target, &info)?;
    may_signal(thread, &target, signal)?;
    if signal != 0 {
        signal_number(signal)?;
        check_queue(&target, signal, &info)?;
        task.send(info);
    }
    Ok(0)
}

/// EAGAIN if a signal of a real-time number, which is not to be lost, finds no room.
fn check_queue(target: &Process, signal: i32, info: &Info) -> Result<(), Errno> {
    const FIRST_REAL_TIME: i32 = 32;
    if signal < FIRST_REAL_TIME || info.code == 0 { Ok(()) } else { limits::check_signals(target) }
}

/// EPERM if a signal to another process pretends to come from the kernel or `kill`.
fn check_foreign(thread: &Thread, target: &Process, info: &Info) -> Result<(), Errno> {
    let pretends = info.code >= 0 || info.code == -6;
    if pretends && target.pid != thread.process.pid { Err(Errno::EPERM) } else { Ok(()) }
}

/// EPERM unless the caller may send `signal` to `target`.
fn may_signal(thread: &Thread, target: &Process, signal: i32) -> Result<(), Errno> {
    let (own, uid) = (&thread.process, thread.process.uid());
    let continues = u32::try_from(signal) == Ok(signal::SIGCONT) && target.kin.session() == own.kin.session();
    if uid == 0 || uid == target.uid() || continues { Ok(()) } else { Err(Errno::EPERM) }
}

/// Sends a signal to a process, or only asks whether that were allowed (signal 0).
fn send_to(thread: &Thread, target: &Process, signal: i32, info: Info) -> Result<usize, Errno> {
    if signal != 0 {
        signal_number(signal)?;
    }
    may_signal(thread, target, signal)?;
    if signal != 0 {
        target.send(info);
    }
    Ok(0)
}

/// A `siginfo_t` of the program.
fn read_info(thread: &Thread, signal: i32, address: u64) -> Result<Info, Errno> {
    read_whole_info(thread, signal, address).map(|(info, _)| info)
}

/// The same, and the number that it has itself.
fn read_whole_info(thread: &Thread, signal: i32, address: u64) -> Result<(Info, i32), Errno> {
    let mut bytes = [0; 32];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
    let signal = u32::try_from(signal).unwrap_or(0);
    Ok((Info { signal, code: int(word(8)), detail: word(16), value: word(24) }, int(word(0))))
}

/// Sends a signal as the `siginfo_t` at `info` says, or as `kill` does if that is 0; last of all `check` says whether `target` is still there.
pub(super) fn send_with_info(
    thread: &Thread,
    target: &Process,
    signal: i32,
    info: u64,
    check: impl FnOnce() -> Result<(), Errno>,
) -> Result<usize, Errno> {
    let own = &thread.process;
    let info = match info {
        0 => Info::from_user(u32::try_from(signal).unwrap_or(0), own.pid, own.uid()),
        address => {
            let (info, number) = read_whole_info(thread, signal, address)?;
            if number != signal {
                return Err(Errno::EINVAL);
            }
            check_foreign(thread, target, &info)?;
            info
        }
    };
    if signal != 0 {
        signal_number(signal)?;
    }
    check()?;
    send_to(thread, target, signal, info)
}

/// `sigaltstack(2)`
fn sys_sigaltstack(thread: &Thread, new: u64, old: u64) -> Result<usize, Errno> {
    let pointer = thread.program.borrow_mut().registers().rsp;
    let current = thread.task.signals.lock().stack;
    let is_on = current.holds(pointer);
    if new != 0 {
        let mut bytes = [0; 24];
        buffer::read(&thread.process.space, new, &mut bytes)?;
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        let (start, flags, size) = (word(0), uint(word(8)), word(16));
        if is_on {
            return Err(Errno::EPERM);
        }
        let stack = match flags & !SS_AUTODISARM {
            SS_DISABLE => AlternateStack { start: 0, size: 0, flags: SS_DISABLE },
            0 | SS_ONSTACK if size < MINSIGSTKSZ => return Err(Errno::ENOMEM),
            0 | SS_ONSTACK => AlternateStack { start, size, flags: flags & SS_AUTODISARM },
            _ => return Err(Errno::EINVAL),
        };
        thread.task.signals.lock().stack = stack;
    }
    if old != 0 {
        let flags = match (current.size, is_on) {
            (0, _) => SS_DISABLE,
            (_, true) => current.flags | SS_ONSTACK,
            (_, false) => current.flags,
        };
        write_words(thread, old, &[current.start, u64::from(flags), current.size])?;
    }
    Ok(0)
}

/// `kill(2)`
fn sys_kill(thread: &Thread, pid: i32, signal: i32) -> Result<usize, Errno> {
    let own = &thread.process;
    let info = Info::from_user(u32::try_from(signal).unwrap_or(0), own.pid, own.uid());
    let group = match pid {
        1.. => {
            let target = family::find(pid.unsigned_abs()).ok_or(Errno::ESRCH)?;
            return send_to(thread, &target, signal, info);
        }
        0 => own.kin.group(),
        // The first program's group has the number that means everybody.
        -1 if own.kin.group() != FIRST_PID => {
            return send_to_all(thread, signal, info, |process| {
                process.pid != own.pid && process.pid != FIRST_PID
            });
        }
        i32::MIN => return Err(Errno::ESRCH),
        group => group.unsigned_abs(),
    };
    send_to_all(thread, signal, info, |process| process.kin.group() == group)
}

/// Sends to all that `is_meant`; ESRCH if there is nobody, EPERM if it is not allowed for any.
fn send_to_all(
    thread: &Thread,
    signal: i32,
    info: Info,
    is_meant: impl Fn(&Process) -> bool,
) -> Result<usize, Errno> {
    let mut result = Err(Errno::ESRCH);
    let mut reached = Vec::new();
    // One of them may have forked before it was reached: its child is, the next time.
    for _ in 0..ROUNDS {
        let is_new = |process: &Process| is_meant(process) && !reached.contains(&process.pid);
        let targets = family::all_that(is_new);
        if targets.is_empty() {
            break;
        }
        for target in targets {
            reached.push(target.pid);
            match send_to(thread, &target, signal, info) {
                Ok(_) => {
                    target.to_many.note(info.signal);
                    result = Ok(0);
                }
                Err(errno) if result == Err(Errno::ESRCH) => result = Err(errno),
                Err(_) => {}
            }
        }
    }
    result
}

/// `tgkill(2)`, `tkill(2)`
fn sys_tgkill(thread: &Thread, group: Option<i32>, tid: i32, signal: i32) -> Result<usize, Errno> {
    if tid <= 0 || group.is_some_and(|group| group <= 0) {
        return Err(Errno::EINVAL);
    }
    if signal != 0 {
        signal_number(signal)?;
    }
    let number = tid.unsigned_abs();
    let process = group.map_or(Some(number), |group| Some(group.unsigned_abs())).and_then(family::find);
    let task = match (&process, group) {
        (Some(process), _) if process.task(number).is_some() => process.task(number),
        (_, None) => family::find_task(number, &thread.process),
        _ => None,
    };
    let Some(task) = task else {
        // A zombie has a thread still, to which nothing happens.
        let zombie = process.filter(|process| process.pid == number && process.kin.is_zombie());
        let zombie = zombie.ok_or(Errno::ESRCH)?;
        return may_signal(thread, &zombie, signal).map(|()| 0);
    };
    may_signal(thread, &task.process, signal)?;
    if signal != 0 {
        let own = &thread.process;
        task.send(Info { code: -6, ..Info::from_user(signal_number(signal)?, own.pid, own.uid()) });
    }
    Ok(0)
}

const NS: u64 = 1_000_000_000;

/// `alarm(2)`
fn sys_alarm(thread: &Thread, seconds: u32) -> Result<usize, Errno> {
    let left = thread.process.set_timer(Which::Real, u64::from(seconds) * NS, 0).0;
    Ok(septum_guest_hal::address::to_usize(left.div_ceil(NS)))
}

/// A `struct timeval` pair: period, then value.
fn timer_words(left: u64, period: u64) -> [u64; 4] {
    [period / NS, period % NS / 1000, left / NS, left % NS / 1000]
}

/// `setitimer(2)`
fn sys_setitimer(thread: &Thread, which: i32, new: u64, old: u64) -> Result<usize, Errno> {
    let which = Which::from_number(which).ok_or(Errno::EINVAL)?;
    let (mut after, mut period) = (0, 0);
    if new != 0 {
        let mut bytes = [0; 32];
        buffer::read(&thread.process.space, new, &mut bytes)?;
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        let time = |at: usize| match (word(at), word(at + 8)) {
            (_, micros) if micros >= 1_000_000 => Err(Errno::EINVAL),
            (seconds, micros) => Ok(seconds.saturating_mul(NS).saturating_add(micros * 1000)),
        };
        (period, after) = (time(0)?, time(16)?);
    }
    let (left, old_period) = thread.process.set_timer(which, after, period);
    if old != 0 {
        write_words(thread, old, &timer_words(left, old_period))?;
    }
    Ok(0)
}

/// `getitimer(2)`
fn sys_getitimer(thread: &Thread, which: i32, current: u64) -> Result<usize, Errno> {
    let which = Which::from_number(which).ok_or(Errno::EINVAL)?;
    let (left, period) = thread.process.timer(which);
    write_words(thread, current, &timer_words(left, period))?;
    Ok(0)
}
