//! Scheduling. The host schedules; what is asked for is accepted where it makes no difference to the program.

use super::clock::write_words;
use super::entry::{Entry, Support};
use super::{int, uint};
use crate::memory::buffer;
use crate::process::limits::NICE;
use crate::process::limits::PRIORITIES;
use crate::process::task::{Scheduling, Task};
use crate::process::thread::Thread;
use crate::process::{Process, family};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

const REMEMBERED: &str = "remembered; the host schedules";

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
        notes: REMEMBERED,
    },
    Entry {
        number: number::SCHED_GETSCHEDULER,
        handler: |thread, a| sys_sched_getscheduler(thread, int(a[0])),
        support: Support::Full,
        notes: "what was set last",
    },
    Entry {
        number: number::SCHED_SETSCHEDULER,
        handler: |thread, a| sys_sched_setscheduler(thread, int(a[0]), int(a[1]), a[2]),
        support: Support::Accepted,
        notes: REMEMBERED,
    },
    Entry {
        number: number::SCHED_GETPARAM,
        handler: |thread, a| sys_sched_getparam(thread, int(a[0]), a[1]),
        support: Support::Full,
        notes: "what was set last",
    },
    Entry {
        number: number::SCHED_SETPARAM,
        handler: |thread, a| sys_sched_setparam(thread, int(a[0]), a[1]),
        support: Support::Accepted,
        notes: REMEMBERED,
    },
    Entry {
        number: number::SCHED_RR_GET_INTERVAL,
        handler: |thread, a| sys_sched_rr_get_interval(thread, int(a[0]), a[1]),
        support: Support::Full,
        notes: "Linux's usual ones",
    },
    Entry {
        number: number::SCHED_GETATTR,
        handler: |thread, a| sys_sched_getattr(thread, int(a[0]), a[1], uint(a[2]), uint(a[3])),
        support: Support::Full,
        notes: "what was set last",
    },
    Entry {
        number: number::SCHED_SETATTR,
        handler: |thread, a| sys_sched_setattr(thread, int(a[0]), a[1], uint(a[2])),
        support: Support::Accepted,
        notes: "remembered, without SCHED_DEADLINE; the host schedules",
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
        notes: REMEMBERED,
    },
];

const FIFO: u32 = 1;
const ROUND_ROBIN: u32 = 2;
const DEADLINE: u32 = 6;
/// SCHED_RESET_ON_FORK, in a policy; SCHED_FLAG_RESET_ON_FORK, in `struct sched_attr`.
const RESET_ON_FORK: u32 = 0x4000_0000;
const FLAG_RESET_ON_FORK: u64 = 1;
/// Bytes of the first version of `struct sched_attr`.
const ATTRIBUTES: usize = 48;
const ATTRIBUTES_LEN: u32 = 48;

fn priority_range(policy: i32) -> Result<(usize, usize), Errno> {
    match policy {
        0 | 3 | 5 | 6 => Ok((0, 0)),
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
        let lowest = 20 - i64::try_from(process.limits.lock().0[NICE].0).unwrap_or(40).min(40);
        if uid != 0 && nice < process.nice.load(Ordering::Relaxed) && i64::from(nice) < lowest {
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

/// Whether a policy has priorities.
fn is_real_time(policy: u32) -> bool {
    matches!(policy, FIFO | ROUND_ROBIN)
}

/// Remembers what a thread asks for. EINVAL if there is no such thing, EPERM if it would be faster than it may.
fn set_scheduling(thread: &Thread, task: &Task, wanted: Scheduling) -> Result<usize, Errno> {
    let policy = i32::try_from(wanted.policy).map_err(|_| Errno::EINVAL)?;
    let (least, most) = priority_range(policy)?;
    let priority = usize::try_from(wanted.priority).map_err(|_| Errno::EINVAL)?;
    if wanted.policy == DEADLINE || !(least..=most).contains(&priority) {
        return Err(Errno::EINVAL);
    }
    let (uid, process) = (thread.process.uid(), &task.process);
    let mut scheduling = task.scheduling.lock();
    if uid != 0 {
        if uid != process.uid() || scheduling.is_reset_on_fork && !wanted.is_reset_on_fork {
            return Err(Errno::EPERM);
        }
        let limit = process.limits.lock().0[PRIORITIES[1]].0;
        let is_more = wanted.policy != scheduling.policy || wanted.priority > scheduling.priority;
        if is_real_time(wanted.policy) && is_more && u64::from(wanted.priority) > limit {
            return Err(Errno::EPERM);
        }
    }
    *scheduling = wanted;
    Ok(0)
}

fn read_priority(thread: &Thread, address: u64) -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    if address == 0 {
        return Err(Errno::EINVAL);
    }
    buffer::read(&thread.process.space, address, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// As [`task_of`], of which a negative number is EINVAL.
fn scheduled(thread: &Thread, tid: i32) -> Result<Arc<Task>, Errno> {
    if tid < 0 { Err(Errno::EINVAL) } else { task_of(thread, tid) }
}

/// `sched_getscheduler(2)`
fn sys_sched_getscheduler(thread: &Thread, tid: i32) -> Result<usize, Errno> {
    let Scheduling { policy, is_reset_on_fork, .. } = *scheduled(thread, tid)?.scheduling.lock();
    let policy = policy | if is_reset_on_fork { RESET_ON_FORK } else { 0 };
    Ok(usize::try_from(policy).unwrap_or(0))
}

/// `sched_setscheduler(2)`
fn sys_sched_setscheduler(thread: &Thread, tid: i32, policy: i32, param: u64) -> Result<usize, Errno> {
    let policy = u32::try_from(policy).map_err(|_| Errno::EINVAL)?;
    if tid < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = read_priority(thread, param)?;
    let task = task_of(thread, tid)?;
    let is_reset_on_fork = policy & RESET_ON_FORK != 0;
    set_scheduling(thread, &task, Scheduling { policy: policy & !RESET_ON_FORK, priority, is_reset_on_fork })
}

/// `sched_getparam(2)`
fn sys_sched_getparam(thread: &Thread, tid: i32, param: u64) -> Result<usize, Errno> {
    if param == 0 {
        return Err(Errno::EINVAL);
    }
    let priority = scheduled(thread, tid)?.scheduling.lock().priority;
    buffer::write(&thread.process.space, param, &priority.to_le_bytes())?;
    Ok(0)
}

/// `sched_setparam(2)`
fn sys_sched_setparam(thread: &Thread, tid: i32, param: u64) -> Result<usize, Errno> {
    if tid < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = read_priority(thread, param)?;
    let task = task_of(thread, tid)?;
    let wanted = Scheduling { priority, ..*task.scheduling.lock() };
    set_scheduling(thread, &task, wanted)
}

/// `sched_rr_get_interval(2)`
fn sys_sched_rr_get_interval(thread: &Thread, tid: i32, interval: u64) -> Result<usize, Errno> {
    let ns = match scheduled(thread, tid)?.scheduling.lock().policy {
        FIFO => 0,
        ROUND_ROBIN => 100_000_000,
        _ => 4_000_000,
    };
    write_words(thread, interval, &[0, ns])?;
    Ok(0)
}

/// `sched_getattr(2)`
///
/// ```text
/// sched_attr   +0 size (u32)  +4 policy (u32)  +8 flags (u64)  +16 nice (i32)  +20 priority (u32)  +24 of SCHED_DEADLINE  +48
/// ```
fn sys_sched_getattr(thread: &Thread, tid: i32, address: u64, size: u32, flags: u32) -> Result<usize, Errno> {
    let is_size = usize::try_from(size).is_ok_and(|size| (ATTRIBUTES..=4096).contains(&size));
    if address == 0 || !is_size || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let task = scheduled(thread, tid)?;
    let scheduling = *task.scheduling.lock();
    let mut bytes = [0; ATTRIBUTES];
    bytes[..4].copy_from_slice(&ATTRIBUTES_LEN.to_le_bytes());
    bytes[4..8].copy_from_slice(&scheduling.policy.to_le_bytes());
    let flags = if scheduling.is_reset_on_fork { FLAG_RESET_ON_FORK } else { 0 };
    bytes[8..16].copy_from_slice(&flags.to_le_bytes());
    if is_real_time(scheduling.policy) {
        bytes[20..24].copy_from_slice(&scheduling.priority.to_le_bytes());
    } else {
        bytes[16..20].copy_from_slice(&task.process.nice.load(Ordering::Relaxed).to_le_bytes());
    }
    buffer::write(&thread.process.space, address, &bytes)?;
    Ok(0)
}

/// `sched_setattr(2)`
fn sys_sched_setattr(thread: &Thread, tid: i32, address: u64, flags: u32) -> Result<usize, Errno> {
    if address == 0 || tid < 0 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; ATTRIBUTES];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    let word = |at: usize| u32::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
    match usize::try_from(word(0)).unwrap_or(usize::MAX) {
        0 | ATTRIBUTES..=4096 => {}
        _ => return Err(Errno::E2BIG),
    }
    let flags = u64::from(word(8)) | u64::from(word(12)) << 32;
    if flags & !FLAG_RESET_ON_FORK != 0 {
        return Err(Errno::EINVAL);
    }
    let task = task_of(thread, tid)?;
    let policy = word(4);
    let is_reset_on_fork = flags & FLAG_RESET_ON_FORK != 0;
    set_scheduling(thread, &task, Scheduling { policy, priority: word(20), is_reset_on_fork })?;
    if !is_real_time(policy) {
        let nice = int(u64::from(word(16))).clamp(-20, 19);
        let old = task.process.nice.load(Ordering::Relaxed);
        if thread.process.uid() != 0 && nice < old {
            return Err(Errno::EPERM);
        }
        task.process.nice.store(nice, Ordering::Relaxed);
    }
    Ok(0)
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
