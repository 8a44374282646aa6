//! Waiting for children: `wait4`, `waitid`.
//!
//! ```text
//! siginfo of waitid   +0 signal (i32)  +4 errno  +8 code (i32)  +16 pid (i32)  +20 uid (u32)  +24 status (i32)
//! ```

use super::entry::{Entry, Support};
use super::files::arguments::usable_file;
use super::int;
use super::system::usage_words;
use crate::fs::open::OpenFlags;
use crate::memory::buffer;
use crate::process::Process;
use crate::process::counts::WAITS;
use crate::process::family::{self, Found};
use crate::process::file::ProcessFile;
use crate::process::stop::{Change, code};
use crate::process::thread::Thread;
use crate::process::trace;
use crate::wait::wait_for_any;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, signal};

bitflags::bitflags! {
    /// WNOHANG and the others.
    #[derive(Clone, Copy)]
    struct Options: u32 {
        const NO_HANG = 1;
        /// WUNTRACED, WSTOPPED
        const STOPPED = 2;
        const EXITED = 4;
        const CONTINUED = 8;
        const NO_WAIT = 0x0100_0000;
        /// __WNOTHREAD: accepted; children belong to processes here.
        const NO_THREAD = 0x2000_0000;
        const ALL = 0x4000_0000;
        const CLONE = 0x8000_0000;
    }
}

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::WAIT4,
        handler: |thread, a| sys_wait4(thread, int(a[0]), a[1], int(a[2]), a[3]),
        support: Support::Full,
        notes: "children belong to processes, also with __WNOTHREAD",
    },
    Entry {
        number: number::WAITID,
        handler: |thread, a| sys_waitid(thread, int(a[0]), int(a[1]), a[2], int(a[3]), a[4]),
        support: Support::Full,
        notes: "children belong to processes, also with __WNOTHREAD",
    },
];

/// Whom to wait for.
enum Whom {
    Any,
    Process(u32),
    Group(u32),
    /// Who had the number when it was opened.
    This(Arc<Process>),
}

/// What was waited for.
struct Waited {
    pid: u32,
    uid: u32,
    /// CLD_*
    code: i32,
    /// Exit code or signal.
    status: u32,
    usage: [u64; 18],
}

impl Waited {
    fn of(child: &Process, (code, status): (i32, u32)) -> Self {
        let ns = child.ran_ns() + child.children_ns.load(Ordering::Relaxed);
        let frames = child.most_resident().max(child.children_frames.load(Ordering::Relaxed));
        let waits = child.counts()[WAITS] + child.waits_of_children();
        Self { pid: child.pid, uid: child.uid(), code, status, usage: usage_words(ns, frames, waits) }
    }

    /// As `wait4` says it.
    fn encoded(&self) -> u32 {
        match self.code {
            code::EXITED => (self.status & 0xff) << 8,
            code::STOPPED | code::TRAPPED => self.status << 8 | 0x7f,
            code::CONTINUED => 0xffff,
            _ => self.status,
        }
    }
}

/// Waits. `Ok(None)` if nothing has happened and the caller does not want to wait for it.
fn wait(thread: &Thread, whom: Whom, options: Options) -> Result<Option<Waited>, Errno> {
    let own = &thread.process;
    let is_meant = |child: &Process| {
        let is_clone = child.kin.exit_signal() != signal::SIGCHLD;
        let is_kind = options.contains(Options::ALL) || is_clone == options.contains(Options::CLONE);
        is_kind
            && match &whom {
                Whom::Any => true,
                Whom::Process(pid) => child.pid == *pid,
                Whom::Group(group) => child.kin.group() == *group,
                Whom::This(process) => core::ptr::eq(&**process, child),
            }
    };
    let takes = !options.contains(Options::NO_WAIT);
    let look = |child: &Process| {
        if child.kin.is_zombie() {
            return match (options.contains(Options::EXITED), takes) {
                (false, _) => Found::No,
                (true, false) => Found::Yes(Waited::of(child, child.end_code())),
                (true, true) => {
                    own.add_usage_of(child);
                    Found::Reap(Waited::of(child, child.end_code()))
                }
            };
        }
        let is_wanted = |change| match change {
            Change::Stopped(_) => options.contains(Options::STOPPED),
            Change::Continued => options.contains(Options::CONTINUED),
        };
        match child.stop.report(takes, is_wanted) {
            Some(Change::Stopped(signal)) => Found::Yes(Waited::of(child, (code::STOPPED, signal))),
            Some(Change::Continued) => Found::Yes(Waited::of(child, (code::CONTINUED, signal::SIGCONT))),
            None => Found::No,
        }
    };
    let is_traced = |tid: u32, group: u32| match &whom {
        Whom::Any => true,
        Whom::Process(pid) => tid == *pid,
        Whom::Group(wanted) => group == *wanted,
        Whom::This(process) => tid == process.pid,
    };
    let is_patient = !options.contains(Options::NO_HANG);
    let found = wait_for_any(&[&own.children], None, || {
        if let Some(trace::Report { tid, uid, code, status }) = trace::report(own.pid, takes, is_traced) {
            return Some(Ok(Some(Waited { pid: tid, uid, code, status, usage: [0; 18] })));
        }
        match family::with_children(own.pid, is_meant, look) {
            Ok(None) if is_patient => None,
            Err(Errno::ECHILD) if trace::has_tracees(own.pid, is_traced) => {
                if is_patient {
                    None
                } else {
                    Some(Ok(None))
                }
            }
            result => Some(result),
        }
    })?;
    found.unwrap_or(Err(Errno::EINTR))
}

fn words(usage: &[u64; 18]) -> Vec<u8> {
    usage.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `wait4(2)`
fn sys_wait4(thread: &Thread, pid: i32, status: u64, options: i32, usage: u64) -> Result<usize, Errno> {
    let allowed = Options::NO_HANG | Options::STOPPED | Options::CONTINUED;
    let allowed = allowed | Options::NO_THREAD | Options::ALL | Options::CLONE;
    let options = Options::from_bits(options.cast_unsigned()).filter(|options| allowed.contains(*options));
    let options = options.ok_or(Errno::EINVAL)? | Options::EXITED;
    let whom = match pid {
        i32::MIN => return Err(Errno::ESRCH),
        -1 => Whom::Any,
        0 => Whom::Group(thread.process.kin.group()),
        pid if pid > 0 => Whom::Process(pid.unsigned_abs()),
        group => Whom::Group(group.unsigned_abs()),
    };
    let Some(waited) = wait(thread, whom, options)? else { return Ok(0) };
    if status != 0 {
        buffer::write(&thread.process.space, status, &waited.encoded().to_le_bytes())?;
    }
    if usage != 0 {
        buffer::write(&thread.process.space, usage, &words(&waited.usage))?;
    }
    Ok(septum_guest_hal::address::to_usize(u64::from(waited.pid)))
}

/// `waitid(2)`
fn sys_waitid(
    thread: &Thread,
    kind: i32,
    id: i32,
    info: u64,
    options: i32,
    usage: u64,
) -> Result<usize, Errno> {
    let mut options = Options::from_bits(options.cast_unsigned()).ok_or(Errno::EINVAL)?;
    if !options.intersects(Options::EXITED | Options::STOPPED | Options::CONTINUED) {
        return Err(Errno::EINVAL);
    }
    let mut is_impatient = false;
    let whom = match (kind, u32::try_from(id)) {
        (0, _) => Whom::Any,
        (1, Ok(pid)) if pid > 0 => Whom::Process(pid),
        (2, Ok(0)) => Whom::Group(thread.process.kin.group()),
        (2, Ok(group)) => Whom::Group(group),
        (3, Ok(_)) => {
            let file = usable_file(thread, id)?;
            is_impatient = file.flags().contains(OpenFlags::NON_BLOCKING);
            Whom::This(Arc::clone(ProcessFile::process_of(&file)?))
        }
        _ => return Err(Errno::EINVAL),
    };
    // A descriptor that does not wait says so, unless the caller did not want to wait anyway.
    let is_impatient = is_impatient && !options.contains(Options::NO_HANG);
    options.set(Options::NO_HANG, is_impatient || options.contains(Options::NO_HANG));
    let waited = wait(thread, whom, options)?;
    if is_impatient && waited.is_none() {
        return Err(Errno::EAGAIN);
    }
    if let Some(waited) = &waited
        && usage != 0
    {
        buffer::write(&thread.process.space, usage, &words(&waited.usage))?;
    }
    if info != 0 {
        let mut bytes = [0; 28];
        if let Some(waited) = &waited {
            bytes[0..4].copy_from_slice(&signal::SIGCHLD.to_le_bytes());
            bytes[8..12].copy_from_slice(&waited.code.to_le_bytes());
            bytes[16..20].copy_from_slice(&waited.pid.to_le_bytes());
            bytes[20..24].copy_from_slice(&waited.uid.to_le_bytes());
            bytes[24..28].copy_from_slice(&waited.status.to_le_bytes());
        }
        buffer::write(&thread.process.space, info, &bytes)?;
    }
    Ok(0)
}
