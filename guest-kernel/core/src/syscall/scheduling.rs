//! Scheduling. The host schedules; what is asked for is accepted where it makes no difference to the program.

use super::entry::{Entry, Support};
use super::int;
use crate::memory::buffer;
use crate::process::thread::Thread;
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
        handler: |_, _| Ok(0),
        support: Support::Accepted,
        notes: ACCEPTED,
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
            for address in [a[0], a[1]] {
                if address != 0 {
                    buffer::write(&thread.process.space, address, &[0; 4])?;
                }
            }
            Ok(0)
        },
        support: Support::Partial,
        notes: "CPU 0 of node 0",
    },
    // The raw call counts from 40 (lowest) to 1 (highest): 20 is nice 0.
    Entry {
        number: number::GETPRIORITY,
        handler: |_, _| Ok(20),
        support: Support::Accepted,
        notes: "nice 0",
    },
    Entry { number: number::SETPRIORITY, handler: |_, _| Ok(0), support: Support::Accepted, notes: ACCEPTED },
];

fn priority_range(policy: i32) -> Result<(usize, usize), Errno> {
    match policy {
        0 | 3 | 5 => Ok((0, 0)),
        1 | 2 => Ok((1, 99)),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_getaffinity(2)`: the first `cpus` bits; returns the bytes written.
fn sys_sched_getaffinity(thread: &Thread, pid: i32, size: u64, mask: u64) -> Result<usize, Errno> {
    if pid != 0 && u32::try_from(pid) != Ok(thread.process.pid) {
        return Err(Errno::ESRCH);
    }
    let cpus = usize::try_from(thread.process.machine.cpus).unwrap_or(1);
    let len = cpus.div_ceil(64) * 8;
    if !size.is_multiple_of(8) || size < len as u64 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = alloc::vec![0u8; len];
    for cpu in 0..cpus {
        bytes[cpu / 8] |= 1 << (cpu % 8);
    }
    buffer::write(&thread.process.space, mask, &bytes)?;
    Ok(len)
}
