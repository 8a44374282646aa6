//! Scheduling. The host schedules; what is asked for is accepted where it makes no difference to the program.

use super::entry::{Entry, Support};
use super::int;
use crate::memory::buffer;
use crate::process::task::Task;
use crate::process::thread::Thread;
use crate::process::{Process, family};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

const ACCEPTED: &str = "the host schedules";

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry { number: number::SCHED_YIELD, handler: |_, _| Ok(0), support: Support::Full, notes: "" },
    Entry {
        number: number::SCHED_GETAFFINITY,
        handler: |thread, a| sys_sched_getaffinity(thread, int(a[0]), a[1], a[2]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SCHED_SETAFFINITY,
        handler: |thread, a| sys_sched_setaffinity(thread, int(a[0]), a[1], a[2]),
        support: Support::Accepted,
        notes: "remembered; the host schedules",
    },
    Entry {
        number: number::SCHED_GETSCHEDULER,
        handler: |_, _| Ok(0),
        support: Support::Accepted,
        notes: "SCHED_OTHER",
    },
    Entry {
        number: number::SCHED_SETSCHEDULER,
        handler: |_, _| Ok(0),
        support: Support::Accepted,
        notes: ACCEPTED,
    },
    Entry {
        number: number::SCHED_GETPARAM,
        handler: |thread, a| buffer::write(&thread.process.space, a[1], &[0; 4]).map(|()| 0),
        support: Support::Accepted,
        notes: "priority 0",
    },
    Entry {
        number: number::SCHED_SETPARAM,
        handler: |_, _| Ok(0),
        support: Support::Accepted,
        notes: ACCEPTED,
    },
    Entry {
        number: number::SCHED_GET_PRIORITY_MAX,
        handler: |_, a| priority_range(int(a[0])).map(|range| range.1),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SCHED_GET_PRIORITY_MIN,
        handler: |_, a| priority_range(int(a[0])).map(|range| range.0),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::GETCPU,
        handler: |thread, a| {
            let cpu = thread.task.vcpu() % thread.process.machine.cpus.max(1);
            for (address, value) in [(a[0], cpu), (a[1], 0)] {
                if address != 0 {
                    buffer::write(&thread.process.space, address, &value.to_le_bytes())?;
                }
            }
            Ok(0)
        },
        support: Support::Partial,
        notes: "a thread keeps its CPU, whatever the host's scheduler does; node 0",
    },
    Entry {
        number: number::GETPRIORITY,
        handler: |thread, a| sys_getpriority(thread, int(a[0]), int(a[1])),
        support: Support::Full,
        notes: "what was set last",
    },
    Entry {
        number: number::SETPRIORITY,
        handler: |thread, a| sys_setpriority(thread, int(a[0]), int(a[1]), int(a[2])),
        support: Support::Accepted,
        notes: "remembered; the host schedules",
    },
];

fn priority_range(policy: i32) -> Result<(usize, usize), Errno> {
    match policy {
        0 | 3 | 5 => Ok((0, 0)),
        1 | 2 => Ok((1, 99)),
        _ => Err(Errno::EINVAL),
    }
}

/// Whom PRIO_PROCESS, PRIO_PGRP and PRIO_USER mean; ESRCH if nobody.
fn processes_of(thread: &Thread, which: i32, who: i32) -> Result<Vec<Arc<Process>>, Errno> {
    let own = &thread.process;
    let number = |own: u32| if who == 0 { Some(own) } else { u32::try_from(who).ok() };
    let found = match which {
        0 => {
            let pid = number(own.pid);
            let found = pid.and_then(family::find);
            // A thread has its process's.
            found
                .or_else(|| pid.and_then(|tid| own.task(tid)).map(|task| Arc::clone(&task.process)))
                .into_iter()
                .collect()
        }
        1 => family::all_that(|process| Some(process.kin.group()) == number(own.kin.group())),
        2 => family::all_that(|process| Some(process.uid()) == number(own.uid())),
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

/// `getpriority(2)`: the raw call counts from 40 (lowest) to 1 (highest); 20 is nice 0.
fn sys_getpriority(thread: &Thread, which: i32, who: i32) -> Result<usize, Errno> {
    let processes = processes_of(thread, which, who)?;
    let nice = processes.iter().map(|process| process.nice.load(Ordering::Relaxed)).min();
    Ok(usize::try_from(20 - nice.unwrap_or(0)).unwrap_or(20))
}

/// `setpriority(2)`
fn sys_setpriority(thread: &Thread, which: i32, who: i32, nice: i32) -> Result<usize, Errno> {
    let uid = thread.process.uid();
    let nice = nice.clamp(-20, 19);
    for process in processes_of(thread, which, who)? {
        if uid != 0 && uid != process.uid() {
            return Err(Errno::EPERM);
        }
        if uid != 0 && nice < process.nice.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
        process.nice.store(nice, Ordering::Relaxed);
    }
    Ok(0)
}

/// The thread with this number; 0 is the caller.
fn task_of(thread: &Thread, tid: i32) -> Result<Arc<Task>, Errno> {
    match u32::try_from(tid) {
        Ok(0) => Ok(Arc::clone(&thread.task)),
        Ok(tid) => family::find_task(tid, &thread.process).ok_or(Errno::ESRCH),
        Err(_) => Err(Errno::ESRCH),
    }
}

/// All CPUs, as a mask of whole words.
fn all_cpus(thread: &Thread) -> Vec<u8> {
    let cpus = usize::try_from(thread.process.machine.cpus).unwrap_or(1);
    let mut mask = alloc::vec![0u8; cpus.div_ceil(64) * 8];
    for cpu in 0..cpus {
        mask[cpu / 8] |= 1 << (cpu % 8);
    }
    mask
}

/// `sched_getaffinity(2)`: the first `cpus` bits, or what was asked for; returns the bytes written.
fn sys_sched_getaffinity(thread: &Thread, tid: i32, size: u64, mask: u64) -> Result<usize, Errno> {
    let task = task_of(thread, tid)?;
    let mut bytes = all_cpus(thread);
    if !size.is_multiple_of(8) || size < bytes.len() as u64 {
        return Err(Errno::EINVAL);
    }
    for (byte, wanted) in bytes.iter_mut().zip(task.affinity.lock().iter()) {
        *byte &= wanted;
    }
    buffer::write(&thread.process.space, mask, &bytes)?;
    Ok(bytes.len())
}

/// `sched_setaffinity(2)`
fn sys_sched_setaffinity(thread: &Thread, tid: i32, size: u64, mask: u64) -> Result<usize, Errno> {
    let task = task_of(thread, tid)?;
    let all = all_cpus(thread);
    let len = usize::try_from(size).unwrap_or(usize::MAX).min(all.len());
    let mut bytes = alloc::vec![0u8; all.len()];
    buffer::read(&thread.process.space, mask, &mut bytes[..len])?;
    if bytes.iter().zip(&all).all(|(wanted, there)| wanted & there == 0) {
        return Err(Errno::EINVAL);
    }
    *task.affinity.lock() = bytes;
    Ok(0)
}
