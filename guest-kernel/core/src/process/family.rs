//! Who there is, and who belongs to whom: parents, groups, sessions.
//!
//! ```text
//! born ──► alive ──last thread has left──► zombie ──parent waited──► gone
//!                                             └──nobody will──────────►
//! ```
//!
//! The kernel is the parent of orphans, unless an ancestor asked to be (PR_SET_CHILD_SUBREAPER): the first program is not asked to wait
//! for children that it does not know, as it would not have to on a host where it is not process 1. Orphans are told that their parent
//! is 1.
//!
//! Everything here changes under the lock of the list of processes. Under it only locks are taken that are held for some instructions, and
//! no signal is sent.

use super::task::Task;
use super::{FIRST_PID, Process};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::sync::Mutex;

/// The parent of orphans, and of the first program.
pub const KERNEL: u32 = 0;

type Processes = BTreeMap<u32, Arc<Process>>;

static PROCESSES: Mutex<Processes> = Mutex::new(BTreeMap::new());

/// A process's place among the others.
#[derive(Debug)]
pub struct Kin {
    parent: AtomicU32,
    group: AtomicU32,
    session: AtomicU32,
    /// What its end sends to its parent; 0: nothing.
    exit_signal: AtomicU32,
    /// What its parent's end sends to it; 0: nothing.
    death_signal: AtomicU32,
    is_subreaper: AtomicBool,
    /// It has called `execve`: its parent may not move it to another group any more.
    has_executed: AtomicBool,
    is_zombie: AtomicBool,
}

impl Kin {
    /// The first program's: it leads its group and session.
    #[must_use]
    pub fn first() -> Self {
        Self::of_leader(FIRST_PID)
    }

    /// That of a child of the kernel which leads its group and session.
    #[must_use]
    pub fn of_leader(pid: u32) -> Self {
        Self::new(KERNEL, pid, pid, signal::SIGCHLD)
    }

    fn new(parent: u32, group: u32, session: u32, exit_signal: u32) -> Self {
        Self {
            parent: AtomicU32::new(parent),
            group: AtomicU32::new(group),
            session: AtomicU32::new(session),
            exit_signal: AtomicU32::new(exit_signal),
            death_signal: AtomicU32::new(0),
            is_subreaper: AtomicBool::new(false),
            has_executed: AtomicBool::new(false),
            is_zombie: AtomicBool::new(false),
        }
    }

    /// A child's, or (`is_sibling`) a sibling's.
    #[must_use]
    pub fn of_child(parent: &Process, exit_signal: u32, is_sibling: bool) -> Self {
        let kin = &parent.kin;
        let (number, exit_signal) = match is_sibling {
            true => (kin.parent(), kin.exit_signal()),
            false => (parent.pid, exit_signal),
        };
        Self::new(number, kin.group(), kin.session(), exit_signal)
    }

    /// Number of the parent.
    #[must_use]
    pub fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    /// Number of the group.
    #[must_use]
    pub fn group(&self) -> u32 {
        self.group.load(Ordering::Relaxed)
    }

    /// Number of the session.
    #[must_use]
    pub fn session(&self) -> u32 {
        self.session.load(Ordering::Relaxed)
    }

    /// What its end sends to its parent.
    #[must_use]
    pub fn exit_signal(&self) -> u32 {
        self.exit_signal.load(Ordering::Relaxed)
    }

    /// What its parent's end sends to it.
    #[must_use]
    pub fn death_signal(&self) -> u32 {
        self.death_signal.load(Ordering::Relaxed)
    }

    /// Sets what its parent's end sends to it.
    pub fn set_death_signal(&self, signal: u32) {
        self.death_signal.store(signal, Ordering::Relaxed);
    }

    /// Whether it is the parent of its orphaned descendants.
    #[must_use]
    pub fn is_subreaper(&self) -> bool {
        self.is_subreaper.load(Ordering::Relaxed)
    }

    /// Makes it the parent of its orphaned descendants, or no longer.
    pub fn set_subreaper(&self, is_subreaper: bool) {
        self.is_subreaper.store(is_subreaper, Ordering::Relaxed);
    }

    /// It runs another program.
    pub fn set_executed(&self) {
        self.has_executed.store(true, Ordering::Relaxed);
        self.exit_signal.store(signal::SIGCHLD, Ordering::Relaxed);
    }

    /// Whether only its status is left.
    #[must_use]
    pub fn is_zombie(&self) -> bool {
        self.is_zombie.load(Ordering::Acquire)
    }
}

impl Process {
    /// What it is told its parent is.
    #[must_use]
    pub fn shown_parent(&self) -> u32 {
        match self.kin.parent() {
            KERNEL if self.pid != FIRST_PID => FIRST_PID,
            parent => parent,
        }
    }
}

/// Adds a process that is about to begin.
pub fn add(process: &Arc<Process>) {
    PROCESSES.lock().insert(process.pid, Arc::clone(process));
}

/// Adds a child that is about to begin, unless its parent was sent another number of signals together with others than `seen`; returns how many then.
/// Who sends to many counts each one and looks through the processes again: it has been counted here, or it finds the child.
pub fn add_child(child: &Arc<Process>, parent: &Process, seen: usize) -> Result<(), usize> {
    let mut processes = PROCESSES.lock();
    let now = parent.to_many.count();
    if now != seen {
        return Err(now);
    }
    processes.insert(child.pid, Arc::clone(child));
    Ok(())
}

/// Takes a process out that did not begin, or for which somebody waited.
pub fn remove(pid: u32) -> Option<Arc<Process>> {
    PROCESSES.lock().remove(&pid)
}

/// The process with this number, which may be a zombie.
#[must_use]
pub fn find(pid: u32) -> Option<Arc<Process>> {
    PROCESSES.lock().get(&pid).cloned()
}

/// Those that `is_wanted`, in order of their numbers.
pub fn all_that(is_wanted: impl Fn(&Process) -> bool) -> Vec<Arc<Process>> {
    PROCESSES.lock().values().filter(|process| is_wanted(process)).cloned().collect()
}

/// The thread with this number, of `first` or any other process.
#[must_use]
pub fn find_task(tid: u32, first: &Process) -> Option<Arc<Task>> {
    first.task(tid).or_else(|| all_that(|_| true).iter().find_map(|process| process.task(tid)))
}

/// Whether something has this number: a process, a thread, a group or a session.
#[must_use]
pub fn is_taken(number: u32) -> bool {
    let has = |process: &Process| {
        process.pid == number || process.kin.group() == number || process.kin.session() == number
    };
    all_that(|_| true).iter().any(|process| has(process) || process.task(number).is_some())
}

/// What [`with_children`] does about one.
pub enum Found<T> {
    /// This is not it.
    No,
    /// This is it; it stays.
    Yes(T),
    /// This is it, and nobody needs it any more.
    Reap(T),
}

/// Looks through the children of `parent` that `is_meant`; ECHILD if there are none. `Ok(None)` if `look` did not find what it wants.
pub fn with_children<T>(
    parent: u32,
    is_meant: impl Fn(&Process) -> bool,
    mut look: impl FnMut(&Process) -> Found<T>,
) -> Result<Option<T>, Errno> {
    let mut processes = PROCESSES.lock();
    let mut is_any = false;
    let mut found = None;
    for child in processes.values().filter(|child| child.kin.parent() == parent && is_meant(child)) {
        is_any = true;
        match look(child) {
            Found::No => {}
            Found::Yes(value) => return Ok(Some(value)),
            Found::Reap(value) => {
                found = Some((child.pid, value));
                break;
            }
        }
    }
    if !is_any {
        return Err(Errno::ECHILD);
    }
    let Some((pid, value)) = found else { return Ok(None) };
    let gone = processes.remove(&pid);
    drop(processes);
    drop(gone);
    Ok(Some(value))
}

/// What follows from an end.
pub struct Bereaved {
    /// Who is to be told, if there is somebody.
    pub parent: Option<Arc<Process>>,
    /// Its children, which have another parent now.
    pub orphans: Vec<Arc<Process>>,
    /// Parent of those that were zombies already.
    pub heir: Option<Arc<Process>>,
    /// Groups that nobody could have go on any more if they are stopped.
    pub groups: Vec<u32>,
}

/// Makes a zombie of a process whose threads have all left, and orphans of its children. `is_awaited` says whether its parent will wait for it;
/// otherwise it is gone.
pub fn bury(process: &Process, is_awaited: impl Fn(&Process) -> bool) -> Bereaved {
    let mut processes = PROCESSES.lock();
    let mut heir = processes.get(&process.kin.parent()).cloned();
    while let Some(ancestor) = &heir {
        if ancestor.kin.is_subreaper() && ancestor.end.lock().is_none() {
            break;
        }
        heir = processes.get(&ancestor.kin.parent()).cloned();
    }
    let number = heir.as_ref().map_or(KERNEL, |heir| heir.pid);
    let of_it = |child: &&Arc<Process>| child.kin.parent() == process.pid;
    let orphans: Vec<_> = processes.values().filter(of_it).cloned().collect();
    let mut groups: Vec<u32> = orphans.iter().map(|orphan| orphan.kin.group()).collect();
    groups.push(process.kin.group());
    groups.sort_unstable();
    groups.dedup();
    // It matters only where somebody is stopped.
    if !processes.values().any(|other| other.stop.is_wanted()) {
        groups.clear();
    }
    groups.retain(|group| !is_orphaned_without(&processes, *group, None));
    for orphan in &orphans {
        orphan.kin.parent.store(number, Ordering::Relaxed);
        orphan.kin.exit_signal.store(signal::SIGCHLD, Ordering::Relaxed);
        if number == KERNEL && orphan.kin.is_zombie() {
            processes.remove(&orphan.pid);
        }
    }
    let parent = processes.get(&process.kin.parent()).cloned();
    process.kin.is_zombie.store(true, Ordering::Release);
    if !parent.as_ref().is_some_and(|parent| is_awaited(parent)) {
        processes.remove(&process.pid);
    }
    groups.retain(|group| is_orphaned_without(&processes, *group, Some(process.pid)));
    Bereaved { parent, orphans, heir, groups }
}

/// Whether a group is orphaned: nobody in it has a parent in another group of the same session, who could have it go on.
#[must_use]
pub fn is_orphaned(group: u32) -> bool {
    is_orphaned_without(&PROCESSES.lock(), group, None)
}

fn is_orphaned_without(processes: &Processes, group: u32, without: Option<u32>) -> bool {
    let is_kept = |process: &Arc<Process>| {
        let kin = &process.kin;
        let is_member = kin.group() == group && !kin.is_zombie() && Some(process.pid) != without;
        let parent = processes.get(&kin.parent()).map(|parent| &parent.kin);
        let could_continue =
            parent.is_some_and(|parent| parent.group() != group && parent.session() == kin.session());
        // The parent of the first program, and of others that the host began, is whoever began them, as a shell is of what it runs.
        let is_of_host = kin.parent() == KERNEL && kin.session() == process.pid;
        is_member && (could_continue || process.pid == FIRST_PID || is_of_host)
    };
    !processes.values().any(is_kept)
}

/// `setpgid`: moves `process` to `group`, on behalf of `caller`.
pub fn set_group(caller: &Process, process: &Process, group: u32) -> Result<(), Errno> {
    let processes = PROCESSES.lock();
    let kin = &process.kin;
    if process.pid != caller.pid {
        if kin.parent() != caller.pid {
            return Err(Errno::ESRCH);
        }
        if kin.session() != caller.kin.session() {
            return Err(Errno::EPERM);
        }
        if kin.has_executed.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
    }
    if kin.session() == process.pid {
        return Err(Errno::EPERM);
    }
    let is_in =
        |other: &Arc<Process>| other.kin.group() == group && other.kin.session() == caller.kin.session();
    if group != process.pid && !processes.values().any(is_in) {
        return Err(Errno::EPERM);
    }
    kin.group.store(group, Ordering::Relaxed);
    Ok(())
}

/// `setsid`: a session and a group of its own. EPERM if it leads a group.
pub fn begin_session(process: &Process) -> Result<(), Errno> {
    let processes = PROCESSES.lock();
    if processes.values().any(|other| other.kin.group() == process.pid) {
        return Err(Errno::EPERM);
    }
    process.kin.group.store(process.pid, Ordering::Relaxed);
    process.kin.session.store(process.pid, Ordering::Relaxed);
    Ok(())
}
