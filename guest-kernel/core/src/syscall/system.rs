//! The system and the process's place in it: uname, limits, usage, prctl, arch_prctl, random numbers.

use super::clock::write_words;
use super::entry::{Entry, Support};
use super::{int, uint};
use crate::memory::buffer;
use crate::names::{self, Name};
use crate::process::counts::WAITS;
use crate::process::limits::COUNT;
use crate::process::thread::Thread;
use crate::process::wishes::TIMER_SLACK_NS;
use crate::process::{Process, family};
use crate::random;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use septum_abi::layout::{PAGE_SIZE, USER_END};
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::{frame, vcpu};

/// What `uname` says the kernel's release is: the Linux interface that programs may expect.
pub const RELEASE: &str = "6.1.0-septum";
/// What `uname` says its version is.
pub const VERSION: &str = concat!("#1 Septum ", env!("CARGO_PKG_VERSION"));
const UTS_FIELD: usize = names::LIMIT + 1;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::UNAME,
        handler: |thread, a| sys_uname(thread, a[0]),
        support: Support::Full,
        notes: "Linux, release 6.1.0-septum",
    },
    Entry {
        number: number::SYSINFO,
        handler: |thread, a| sys_sysinfo(thread, a[0]),
        support: Support::Full,
        notes: "load averages are zero",
    },
    Entry {
        number: number::GETRLIMIT,
        handler: |thread, a| sys_prlimit(thread, 0, uint(a[0]), 0, a[1]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SETRLIMIT,
        handler: |thread, a| sys_prlimit(thread, 0, uint(a[0]), a[1], 0),
        support: Support::Partial,
        notes: "AS, CPU, DATA, MEMLOCK, NOFILE, RTPRIO and STACK are enforced, the others stored",
    },
    Entry {
        number: number::PRLIMIT64,
        handler: |thread, a| sys_prlimit(thread, int(a[0]), uint(a[1]), a[2], a[3]),
        support: Support::Partial,
        notes: "AS, CPU, DATA, MEMLOCK, NOFILE, RTPRIO and STACK are enforced, the others stored",
    },
    Entry {
        number: number::GETRUSAGE,
        handler: |thread, a| sys_getrusage(thread, int(a[0]), a[1]),
        support: Support::Partial,
        notes: "time in which threads did not wait, all of it the user's; peak memory",
    },
    Entry {
        number: number::ARCH_PRCTL,
        handler: |thread, a| sys_arch_prctl(thread, int(a[0]), a[1]),
        support: Support::Partial,
        notes: "FS and GS",
    },
    Entry {
        number: number::PRCTL,
        handler: |thread, a| sys_prctl(thread, int(a[0]), a[1], [a[2], a[3], a[4]]),
        support: Support::Partial,
        notes: "TIMERSLACK (of the process, without effect), NAME, DUMPABLE, NO_NEW_PRIVS, PDEATHSIG, CHILD_SUBREAPER, KEEPCAPS, CAPBSET_READ",
    },
    Entry {
        number: number::GETRANDOM,
        handler: |thread, a| sys_getrandom(thread, a[0], a[1], uint(a[2])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::RSEQ,
        handler: |_, _| Err(Errno::ENOSYS),
        support: Support::Refused,
        notes: "ENOSYS; C libraries do without",
    },
    Entry {
        number: number::PERSONALITY,
        handler: |_, _| Ok(0),
        support: Support::Accepted,
        notes: "PER_LINUX",
    },
    Entry {
        number: number::SYSLOG,
        handler: |_, _| Err(Errno::EPERM),
        support: Support::Refused,
        notes: "EPERM",
    },
    Entry {
        number: number::SETHOSTNAME,
        handler: |thread, a| sys_set_name(thread, &names::HOST, a[0], int(a[1])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SETDOMAINNAME,
        handler: |thread, a| sys_set_name(thread, &names::DOMAIN, a[0], int(a[1])),
        support: Support::Full,
        notes: "",
    },
];

/// `uname(2)`
fn sys_uname(thread: &Thread, buffer: u64) -> Result<usize, Errno> {
    let (host, domain) = (names::HOST.get(), names::DOMAIN.get());
    let mut bytes = [0; UTS_FIELD * 6];
    let fields: [&[u8]; 6] = [b"Linux", &host, RELEASE.as_bytes(), VERSION.as_bytes(), b"x86_64", &domain];
    for (field, text) in bytes.chunks_mut(UTS_FIELD).zip(fields) {
        let len = text.len().min(UTS_FIELD - 1);
        field[..len].copy_from_slice(&text[..len]);
    }
    buffer::write(&thread.process.space, buffer, &bytes)?;
    Ok(0)
}

/// `sethostname(2)` and its like
fn sys_set_name(thread: &Thread, name: &Name, address: u64, len: i32) -> Result<usize, Errno> {
    if thread.process.uid() != 0 {
        return Err(Errno::EPERM);
    }
    let len = usize::try_from(len).ok().filter(|len| *len <= names::LIMIT).ok_or(Errno::EINVAL)?;
    let mut bytes = [0; names::LIMIT];
    buffer::read(&thread.process.space, address, &mut bytes[..len])?;
    name.set(&bytes[..len]).map(|()| 0)
}

/// `sysinfo(2)`
fn sys_sysinfo(thread: &Thread, buffer: u64) -> Result<usize, Errno> {
    let usage = frame::usage();
    let page = PAGE_SIZE as u64;
    let uptime = monotonic_ns().saturating_sub(thread.process.started_ns) / 1_000_000_000;
    let mut words = [0; 14];
    words[0] = uptime;
    words[4] = usage.total * page;
    words[5] = (usage.total - usage.used) * page;
    // procs (16 bits) at byte 80; mem_unit (32 bits) at byte 104.
    words[10] = family::all_that(|_| true).iter().map(|process| process.thread_count() as u64).sum();
    words[13] = 1;
    write_words(thread, buffer, &words)?;
    Ok(0)
}

/// The process with this number; 0 is the caller's.
pub(super) fn process_of(thread: &Thread, pid: i32) -> Result<Arc<Process>, Errno> {
    match u32::try_from(pid) {
        Ok(0) => Ok(Arc::clone(&thread.process)),
        Ok(pid) => family::find(pid).ok_or(Errno::ESRCH),
        Err(_) => Err(Errno::ESRCH),
    }
}

/// `prlimit64(2)`
fn sys_prlimit(thread: &Thread, pid: i32, resource: u32, new: u64, old: u64) -> Result<usize, Errno> {
    let resource =
        usize::try_from(resource).ok().filter(|resource| *resource < COUNT).ok_or(Errno::EINVAL)?;
    let process = process_of(thread, pid)?;
    let uid = thread.process.uid();
    if uid != 0 && uid != process.uid() {
        return Err(Errno::EPERM);
    }
    let wanted = match new {
        0 => None,
        address => {
            let mut bytes = [0; 16];
            buffer::read(&thread.process.space, address, &mut bytes)?;
            let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
            Some((word(0), word(8)))
        }
    };
    let previous = process.limits.lock().0[resource];
    if let Some((soft, hard)) = wanted {
        if soft > hard {
            return Err(Errno::EINVAL);
        }
        if hard > previous.1 && uid != 0 {
            return Err(Errno::EPERM);
        }
        process.set_limit(resource, (soft, hard));
    }
    if old != 0 {
        write_words(thread, old, &[previous.0, previous.1])?;
    }
    Ok(0)
}

/// `getrusage(2)`
fn sys_getrusage(thread: &Thread, who: i32, usage: u64) -> Result<usize, Errno> {
    if !(-1..=1).contains(&who) {
        return Err(Errno::EINVAL);
    }
    let process = &thread.process;
    let own = || process.most_resident();
    let words = match who {
        -1 => {
            let frames = process.children_frames.load(Ordering::Relaxed);
            usage_words(process.children_ns.load(Ordering::Relaxed), frames, process.waits_of_children())
        }
        0 => usage_words(process.ran_ns(), own(), process.counts()[WAITS]),
        _ => usage_words(thread.task.ran_ns(), own(), thread.task.counts.sums()[WAITS]),
    };
    write_words(thread, usage, &words)?;
    Ok(0)
}

/// `struct rusage`: all time is the user's.
pub(super) fn usage_words(ran_ns: u64, most_frames: u64, waits: u64) -> [u64; 18] {
    let mut words = [0; 18];
    words[0] = ran_ns / 1_000_000_000;
    words[1] = ran_ns % 1_000_000_000 / 1000;
    words[4] = most_frames * (PAGE_SIZE as u64 / 1024);
    words[16] = waits;
    words
}

/// `arch_prctl(2)`
fn sys_arch_prctl(thread: &Thread, code: i32, address: u64) -> Result<usize, Errno> {
    const SET_GS: i32 = 0x1001;
    const SET_FS: i32 = 0x1002;
    const GET_FS: i32 = 0x1003;
    const GET_GS: i32 = 0x1004;
    let mut program = thread.program.borrow_mut();
    match code {
        SET_FS | SET_GS if address >= USER_END => return Err(Errno::EPERM),
        SET_FS => program.set_fs_base(address),
        SET_GS => {
            if address != 0 {
                // Jumps that stay for want of memory find out by themselves.
                let _ = thread.process.space.lock().keep_calls();
            }
            program.set_gs_base(address);
        }
        GET_FS | GET_GS => {
            let base = if code == GET_FS { program.fs_base() } else { program.gs_base() };
            drop(program);
            write_words(thread, address, &[base])?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `prctl(2)`
fn sys_prctl(thread: &Thread, option: i32, argument: u64, others: [u64; 3]) -> Result<usize, Errno> {
    const SET_PDEATHSIG: i32 = 1;
    const GET_PDEATHSIG: i32 = 2;
    const GET_DUMPABLE: i32 = 3;
    const SET_DUMPABLE: i32 = 4;
    const GET_KEEPCAPS: i32 = 7;
    const SET_KEEPCAPS: i32 = 8;
    const SET_NAME: i32 = 15;
    const GET_NAME: i32 = 16;
    const CAPBSET_READ: i32 = 23;
    const SET_TIMERSLACK: i32 = 29;
    const GET_TIMERSLACK: i32 = 30;
    const SET_NO_NEW_PRIVS: i32 = 38;
    const GET_NO_NEW_PRIVS: i32 = 39;
    const SET_CHILD_SUBREAPER: i32 = 36;
    const GET_CHILD_SUBREAPER: i32 = 37;
    let (kin, wishes) = (&thread.process.kin, &thread.process.wishes);
    match option {
        SET_PDEATHSIG => {
            let signal = u32::try_from(argument).ok().filter(|signal| *signal <= signal::LAST);
            kin.set_death_signal(signal.ok_or(Errno::EINVAL)?);
            Ok(0)
        }
        GET_PDEATHSIG => {
            buffer::write(&thread.process.space, argument, &kin.death_signal().to_le_bytes()).map(|()| 0)
        }
        SET_CHILD_SUBREAPER => {
            kin.set_subreaper(argument != 0);
            Ok(0)
        }
        GET_CHILD_SUBREAPER => {
            let is_subreaper = u32::from(kin.is_subreaper());
            buffer::write(&thread.process.space, argument, &is_subreaper.to_le_bytes()).map(|()| 0)
        }
        SET_NAME => {
            let mut name = [0; 16];
            for (at, byte) in name[..15].iter_mut().enumerate() {
                let mut one = [0];
                buffer::read(&thread.process.space, argument.wrapping_add(at as u64), &mut one)?;
                if one[0] == 0 {
                    break;
                }
                *byte = one[0];
            }
            let len = name.iter().position(|&byte| byte == 0).unwrap_or(15);
            vcpu::rename(&name[..len], true);
            *thread.task.name.lock() = name[..len].to_vec();
            Ok(0)
        }
        GET_NAME => {
            let mut name = [0; 16];
            {
                let own = thread.task.name.lock();
                name[..own.len()].copy_from_slice(&own);
            }
            buffer::write(&thread.process.space, argument, &name)?;
            Ok(0)
        }
        GET_DUMPABLE => Ok(usize::from(wishes.is_dumpable.load(Ordering::Relaxed))),
        GET_KEEPCAPS => Ok(usize::from(wishes.keeps_capabilities.load(Ordering::Relaxed))),
        SET_DUMPABLE | SET_KEEPCAPS if argument > 1 => Err(Errno::EINVAL),
        SET_DUMPABLE => {
            wishes.is_dumpable.store(argument == 1, Ordering::Relaxed);
            Ok(0)
        }
        SET_KEEPCAPS => {
            wishes.keeps_capabilities.store(argument == 1, Ordering::Relaxed);
            Ok(0)
        }
        GET_TIMERSLACK => {
            Ok(usize::try_from(wishes.timer_slack_ns.load(Ordering::Relaxed)).unwrap_or(usize::MAX))
        }
        SET_TIMERSLACK => {
            let slack = if argument == 0 { TIMER_SLACK_NS } else { argument };
            wishes.timer_slack_ns.store(slack, Ordering::Relaxed);
            Ok(0)
        }
        // CAP_CHECKPOINT_RESTORE is the last one.
        CAPBSET_READ if argument > 40 => Err(Errno::EINVAL),
        CAPBSET_READ => Ok(1),
        SET_NO_NEW_PRIVS if argument != 1 || others != [0; 3] => Err(Errno::EINVAL),
        GET_NO_NEW_PRIVS if argument != 0 || others != [0; 3] => Err(Errno::EINVAL),
        SET_NO_NEW_PRIVS => {
            wishes.has_no_new_privileges.store(true, Ordering::Relaxed);
            Ok(0)
        }
        GET_NO_NEW_PRIVS => Ok(usize::from(wishes.has_no_new_privileges.load(Ordering::Relaxed))),
        _ => Err(Errno::EINVAL),
    }
}

/// `getrandom(2)`
fn sys_getrandom(thread: &Thread, buffer: u64, len: u64, flags: u32) -> Result<usize, Errno> {
    // GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE; the first two exclude the third only together.
    if flags & !7 != 0 || flags & 6 == 6 {
        return Err(Errno::EINVAL);
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(0x1ff_ffff);
    let mut chunk = [0; 512];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(chunk.len());
        random::fill(&mut chunk[..part]);
        match buffer::write(&thread.process.space, buffer.wrapping_add(done as u64), &chunk[..part]) {
            Ok(()) => done += part,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}
