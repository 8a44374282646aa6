//! Whose a terminal is: the session that it controls, and the group of processes in its foreground.
//!
//! Everything that a terminal has to know of processes is asked here.

use super::Terminal;
use crate::process::signal::{IGNORE, Info, bit};
use crate::process::vcpus::current_task;
use crate::process::{Process, family};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use septum_abi::linux::{Errno, signal as number};
use septum_guest_hal::sync::Mutex;

/// Which terminal controls which session.
static CONTROLLING: Mutex<BTreeMap<u32, Weak<Terminal>>> = Mutex::new(BTreeMap::new());

/// Process, group and session of the thread that runs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Process.
    pub process: u32,
    /// Group.
    pub group: u32,
    /// Session.
    pub session: u32,
}

/// Who runs here.
#[must_use]
pub fn current() -> Identity {
    current_task().map_or(Identity { process: 1, group: 1, session: 1 }, |task| Identity {
        process: task.process.pid,
        group: task.process.kin.group(),
        session: task.process.kin.session(),
    })
}

/// Whether there is such a group in the session.
#[must_use]
pub fn has_group(group: u32, session: u32) -> bool {
    let own = current();
    let is_member = |process: &Process| (process.kin.group(), process.kin.session()) == (group, session);
    (group, session) == (own.group, own.session) || !family::all_that(is_member).is_empty()
}

/// How often a group is looked through for members that are new.
const ROUNDS: usize = 8;

/// Sends a signal to a group.
pub fn signal_group(group: u32, signal: u32) {
    signal_all(|process| process.kin.group() == group, || Info::from_kernel(signal));
}

/// Sends a signal to all processes of a kind that children inherit.
pub fn signal_all(is_member: impl Fn(&Process) -> bool, info: impl Fn() -> Info) {
    let mut reached = Vec::new();
    // One of them may have forked before it was reached: its child is, the next time.
    for _ in 0..ROUNDS {
        let members = family::all_that(|process| {
            is_member(process) && !process.kin.is_zombie() && !reached.contains(&process.pid)
        });
        if members.is_empty() {
            break;
        }
        for process in members {
            reached.push(process.pid);
            let info = info();
            process.send(info);
            process.to_many.note(info.signal);
        }
    }
}

/// Whether the thread that runs here may do what `signal` forbids who is not in the foreground: SIGTTIN reading, SIGTTOU changing the
/// terminal. If not, its group is sent that signal and the call is made again afterwards (EINTR); EIO if that would be for ever.
pub fn check_foreground(terminal: &Terminal, signal: u32) -> Result<(), Errno> {
    let Some(task) = current_task() else { return Ok(()) };
    let Some((session, foreground)) = *terminal.owner.lock() else { return Ok(()) };
    let kin = &task.process.kin;
    if kin.session() != session || kin.group() == foreground {
        return Ok(());
    }
    let is_blocked = task.signals.lock().mask & bit(signal) != 0;
    let is_ignored = task.process.actions.lock().0[signal as usize - 1].handler == IGNORE;
    match is_blocked || is_ignored {
        true if signal == number::SIGTTOU => return Ok(()),
        false if !family::is_orphaned(kin.group()) => {}
        _ => return Err(Errno::EIO),
    }
    signal_group(kin.group(), signal);
    Err(Errno::EINTR)
}

/// A process has ended. If it led its session, that loses its terminal, and who is in the foreground is told.
pub fn ended(process: u32, session: u32) {
    if process != session {
        return;
    }
    let Some(terminal) = controlling(session) else { return };
    let_go(session);
    let owner = terminal.owner.lock().take_if(|(owner, _)| *owner == session);
    if let Some((_, group)) = owner {
        signal_group(group, number::SIGHUP);
    }
}

/// Nobody could have this group go on any more: if one of it is stopped, all are told, and go on.
pub fn free_if_stopped(group: u32) {
    let is_stopped = |process: &Process| process.kin.group() == group && process.stop.is_wanted();
    if !family::all_that(is_stopped).is_empty() {
        signal_group(group, number::SIGHUP);
        signal_group(group, number::SIGCONT);
    }
}

/// Makes a terminal the one that controls a session.
pub fn control(session: u32, terminal: &Arc<Terminal>) {
    CONTROLLING.lock().insert(session, Arc::downgrade(terminal));
}

/// The session has none any more.
pub fn let_go(session: u32) {
    let terminal = CONTROLLING.lock().remove(&session);
    drop(terminal);
}

/// The terminal that controls a session.
#[must_use]
pub fn controlling(session: u32) -> Option<Arc<Terminal>> {
    CONTROLLING.lock().get(&session).and_then(Weak::upgrade)
}
