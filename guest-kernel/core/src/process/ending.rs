//! The end of a process: what it had goes back, its parent is told, its status waits.
//!
//! Its threads leave one by one; the last one does all of this, and its vCPU is free for another thread before anybody can know of
//! the end. When the first program ends the partition does: all others are killed, so that what they stored through shared
//! mappings reaches the files.

use super::family::{self, Bereaved};
use super::signal::{IGNORE, Info, flag};
use super::stop::code;
use super::task::Task;
use super::{End, FIRST_PID, Process, sessions, trace};
use crate::fs::locks;
use crate::fs::terminal::jobs;
use crate::ipc::semaphores;
use crate::memory::discard;
use crate::wait::{WaitQueue, wait_for_any, wait_to_the_end};
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::signal;
use septum_guest_hal::clock::monotonic_ns;

/// How long the first program's end waits for processes that are in the middle of something.
const PATIENCE_NS: u64 = 100_000_000;

/// Woken when a process is gone.
static GONE: WaitQueue = WaitQueue::new();

/// Whether a process still uses the memory of the one that waits for it (`vfork`).
#[derive(Debug, Default)]
pub struct LettingGo {
    is_done: AtomicBool,
    queue: WaitQueue,
}

impl LettingGo {
    /// It has its own memory, or none any more.
    pub fn now(&self) {
        self.is_done.store(true, Ordering::Release);
        self.queue.wake_all();
    }

    /// Waits for that, whatever signals come, unless `task` must end.
    pub fn wait(&self, task: &Task) {
        wait_to_the_end(&[&self.queue], task, || self.is_done.load(Ordering::Acquire).then_some(()));
    }
}

impl Process {
    /// Whether children that end do not wait for it.
    fn ignores_children(&self) -> bool {
        let action = self.actions.lock().0[signal::SIGCHLD as usize - 1];
        action.handler == IGNORE || action.flags & flag::NOCLDWAIT != 0
    }

    /// Closes its files and gives its memory up, as far as no other process uses them.
    fn release(&self) {
        let descriptors = &self.descriptors;
        if descriptors.leave() {
            let files = descriptors.lock().take_all();
            locks::release_all(locks::Owner::Process(core::ptr::from_ref(&**descriptors).addr(), self.pid));
            drop(files);
        }
        if self.space.leave() {
            self.space.lock().clear();
        }
        let _ = (self.fs.leave(), self.actions.leave());
        self.letting_go.now();
    }

    /// What the last thread does; the vCPU is `offer`ed before anybody is told.
    pub(super) fn conclude(&self, offer: impl FnOnce()) {
        self.release();
        semaphores::undo_all(self.pid);
        trace::tracer_ended(self.pid);
        offer();
        let end = *self.end.lock();
        let exit_signal = self.kin.exit_signal();
        let Bereaved { parent, orphans, heir, groups } = family::bury(self, |parent| {
            parent.end.lock().is_none() && !(exit_signal == signal::SIGCHLD && parent.ignores_children())
        });
        self.ended.wake_all();
        jobs::ended(self.pid, self.kin.session());
        sessions::ended(self);
        groups.into_iter().for_each(jobs::free_if_stopped);
        for orphan in &orphans {
            match orphan.kin.death_signal() {
                0 => {}
                death => orphan.send(Info::from_user(death, self.pid, self.uid())),
            }
        }
        if let Some(heir) = heir {
            orphans.iter().filter(|orphan| orphan.kin.is_zombie()).for_each(|orphan| orphan.tell_end(&heir));
        }
        if let Some(parent) = parent {
            self.tell_end(&parent);
        }
        if let Some(End::OutOfMemory) = end {
            septum_guest_hal::log_line!("process {} was killed: memory ran out", self.pid);
        }
        GONE.wake_all();
        discard::relieve();
    }

    fn tell_end(&self, parent: &Process) {
        let signal = self.kin.exit_signal();
        if signal != 0 {
            let (code, status) = self.end_code();
            parent.send(Info::of_child(signal, code, self, status));
        }
        parent.children.wake_all();
    }

    /// CLD_* of its end, and exit code or signal.
    #[must_use]
    pub fn end_code(&self) -> (i32, u32) {
        match *self.end.lock() {
            Some(End::Exited(exit)) => (code::EXITED, u32::from(exit)),
            Some(End::Killed(signal)) => (code::KILLED, signal),
            _ => (code::KILLED, signal::SIGKILL),
        }
    }

    /// The parent has waited for it.
    pub fn add_usage_of(&self, child: &Process) {
        let ns = child.ran_ns() + child.children_ns.load(Ordering::Relaxed);
        self.children_ns.fetch_add(ns, Ordering::Relaxed);
        self.add_counts_of(child);
        let frames = child.most_resident().max(child.children_frames.load(Ordering::Relaxed));
        self.children_frames.fetch_max(frames, Ordering::Relaxed);
    }

    /// The most frames that it ever had mapped.
    #[must_use]
    pub fn most_resident(&self) -> u64 {
        self.space.lock().resident().1
    }
}

/// The first program has ended: the others do too.
pub(super) fn end_all_others() {
    let is_left = |process: &Process| process.pid != FIRST_PID && !process.kin.is_zombie();
    let deadline = monotonic_ns() + PATIENCE_NS;
    // Nothing interrupts: the caller has left already.
    let _ = wait_for_any(&[&GONE], Some(deadline), || {
        let others = family::all_that(is_left);
        for other in &others {
            let is_ending = other.end.lock().is_some();
            if !is_ending {
                other.finish(End::Killed(signal::SIGKILL));
            }
        }
        others.is_empty().then_some(())
    });
}
