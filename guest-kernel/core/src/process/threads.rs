//! The threads of a process: who there is, ending them, and which of them takes a signal.
//!
//! ```text
//! NOBODY_LEAVES ──finish──► EVERYBODY_LEAVES     exit_group, a deadly signal, no memory
//!       │ ▲
//!       ▼ │
//!   all but one leave                            execve of that one
//! ```
//!
//! Nobody takes a thread away from outside: it is told to look ([`Task::alert`]), sees that it must leave on its way back to the program or
//! before it waits, and takes itself off the list.

use super::counts::{Counts, Sums, WAITS};
use super::signal::{DEFAULT, Info, STOPPING, bit};
use super::task::Task;
use super::{End, Process, family};
use crate::syscall::futex::hand_on_all;
use crate::wait::{WaitQueue, wait_for_any};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use septum_abi::linux::{Errno, signal as number};
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;

/// How long the end of the process waits for threads that are in the middle of something.
const PATIENCE_NS: u64 = 100_000_000;

const NOBODY_LEAVES: u32 = 0;
const EVERYBODY_LEAVES: u32 = u32::MAX;

/// The threads of a process.
#[derive(Default)]
pub struct Threads {
    list: Mutex<Vec<Arc<Task>>>,
    /// Woken when one has left.
    left: WaitQueue,
    /// [`NOBODY_LEAVES`], [`EVERYBODY_LEAVES`], or the number of the only one that stays.
    survivor: AtomicU32,
    is_ending: AtomicBool,
    /// Exit code of the first thread, if it ended alone.
    first_code: AtomicU32,
    /// Time that those ran which are gone, ns.
    gone_ns: AtomicU64,
    /// What those counted which are gone; what children read and wrote for which it waited is there too.
    gone: Counts,
    /// How often children waited for which it waited.
    pub(super) waits_of_children: AtomicU64,
}

impl Process {
    /// Its threads, oldest first.
    #[must_use]
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.threads.list.lock().clone()
    }

    /// The thread with this number.
    #[must_use]
    pub fn task(&self, tid: u32) -> Option<Arc<Task>> {
        self.threads.list.lock().iter().find(|task| task.tid() == tid).cloned()
    }

    /// How many threads there are.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.threads.list.lock().len()
    }

    /// A new thread. EINTR if all are about to end.
    pub fn add_thread(&self, task: Arc<Task>) -> Result<(), Errno> {
        let mut list = self.threads.list.lock();
        if self.threads.survivor.load(Ordering::SeqCst) != NOBODY_LEAVES {
            return Err(Errno::EINTR);
        }
        list.push(task);
        Ok(())
    }

    /// A thread is gone; returns how many are left.
    pub fn remove_thread(&self, task: &Task) -> usize {
        self.threads.gone_ns.fetch_add(task.ran_ns(), Ordering::Relaxed);
        self.threads.gone.add(task.counts.sums());
        let left = {
            let mut list = self.threads.list.lock();
            list.retain(|other| !core::ptr::eq(&**other, task));
            list.len()
        };
        hand_on_all(task.tid());
        self.threads.left.wake_all();
        self.count_halted(None);
        // What it would have taken somebody else must.
        self.alert_for_pending();
        left
    }

    /// Time that its threads ran, ns.
    #[must_use]
    pub fn ran_ns(&self) -> u64 {
        let list = self.threads.list.lock();
        let running: u64 = list.iter().map(|task| task.ran_ns()).sum();
        running + self.threads.gone_ns.load(Ordering::Relaxed)
    }

    /// What its threads read, wrote and waited.
    #[must_use]
    pub fn counts(&self) -> Sums {
        let list = self.threads.list.lock();
        let gone = self.threads.gone.sums();
        list.iter().fold(gone, |sum, task| {
            let own = task.counts.sums();
            core::array::from_fn(|index| sum[index] + own[index])
        })
    }

    /// How often the children for which it waited had waited.
    #[must_use]
    pub fn waits_of_children(&self) -> u64 {
        self.threads.waits_of_children.load(Ordering::Relaxed)
    }

    /// A child for which it waited had counted this.
    pub(super) fn add_counts_of(&self, child: &Self) {
        let mut sums = child.counts();
        let waits = core::mem::take(&mut sums[WAITS]) + child.waits_of_children();
        self.threads.gone.add(sums);
        self.threads.waits_of_children.fetch_add(waits, Ordering::Relaxed);
    }

    /// Ends the process; the first end counts. Its threads leave.
    pub fn finish(&self, end: End) {
        self.end.lock().get_or_insert(end);
        self.threads.survivor.store(EVERYBODY_LEAVES, Ordering::SeqCst);
        self.tasks().iter().for_each(|task| task.alert());
    }

    /// What the process's exit code is if all its threads end one by one.
    pub(super) fn set_first_code(&self, code: u8) {
        self.threads.first_code.store(u32::from(code), Ordering::Relaxed);
    }

    pub(super) fn first_code(&self) -> u8 {
        self.threads.first_code.load(Ordering::Relaxed).to_le_bytes()[0]
    }

    /// Whether a thread must end.
    #[must_use]
    pub fn must_leave(&self, task: &Task) -> bool {
        match self.threads.survivor.load(Ordering::SeqCst) {
            NOBODY_LEAVES => false,
            survivor => survivor != task.tid(),
        }
    }

    /// True once, for the thread that brings the first process, and the partition, to its end.
    pub(super) fn begins_to_end(&self) -> bool {
        !self.threads.is_ending.swap(true, Ordering::SeqCst)
    }

    /// Waits until all threads have left, or too long.
    pub(super) fn wait_for_threads(&self) {
        let deadline = monotonic_ns() + PATIENCE_NS;
        let is_alone = || self.threads.list.lock().is_empty().then_some(());
        // Nothing interrupts: the caller has left already.
        let _ = wait_for_any(&[&self.threads.left], Some(deadline), is_alone);
    }

    /// Ends all threads but `task`, which takes the process's number. EINTR if it must end itself.
    pub fn leave_only(&self, task: &Task) -> Result<(), Errno> {
        if self.thread_count() > 1 {
            let survivor = &self.threads.survivor;
            let (nobody, own) = (NOBODY_LEAVES, task.tid());
            survivor
                .compare_exchange(nobody, own, Ordering::SeqCst, Ordering::SeqCst)
                .map_err(|_| Errno::EINTR)?;
            for other in self.tasks().iter().filter(|other| !core::ptr::eq(&***other, task)) {
                other.alert();
            }
            let is_alone = || (self.thread_count() <= 1).then_some(());
            while wait_for_any(&[&self.threads.left], None, is_alone).is_err() {
                if self.must_leave(task) {
                    return Err(Errno::EINTR);
                }
                // A signal that waits stays for the new program; meanwhile there is nothing to do but to look again.
                core::hint::spin_loop();
            }
            let _ = survivor.compare_exchange(own, nobody, Ordering::SeqCst, Ordering::SeqCst);
        }
        task.set_tid(self.pid);
        Ok(())
    }

    /// What a signal does at once, whoever of the process it is for and whatever that says about it. True if that was all.
    pub(super) fn act_at_once(&self, signal: u32) -> bool {
        if signal == number::SIGKILL {
            self.finish(End::Killed(signal));
            return true;
        }
        if signal == number::SIGCONT {
            self.discard_pending(STOPPING);
            self.go_on();
        }
        if bit(signal) & STOPPING == 0 {
            return false;
        }
        self.discard_pending(bit(number::SIGCONT));
        // A tracer decides.
        if self.tasks().iter().any(|task| task.trace.is_on()) {
            return false;
        }
        let is_default = self.actions.lock().0[signal as usize - 1].handler == DEFAULT;
        let is_taken = is_default && self.tasks().iter().any(|task| task.takes(bit(signal)) != 0);
        if is_taken && !self.may_stop(signal) {
            return true;
        }
        if signal == number::SIGSTOP || is_taken {
            self.stop(signal);
            return true;
        }
        false
    }

    /// Whether a signal may stop it: those of terminals do not if nobody could have it go on.
    pub(super) fn may_stop(&self, signal: u32) -> bool {
        signal == number::SIGSTOP || !family::is_orphaned(self.kin.group())
    }

    /// Forgets signals that wait for the process or one of its threads.
    pub fn discard_pending(&self, set: u64) {
        for task in self.tasks() {
            task.signals.lock().pending.discard(set);
        }
        self.pending.lock().discard(set);
    }

    /// Sends a signal to the process: to a thread that does not block it.
    pub fn send(&self, info: Info) {
        if self.act_at_once(info.signal) {
            return;
        }
        let first = self.threads.list.lock().first().cloned();
        if first.is_some_and(|first| first.ignores(info.signal)) {
            return;
        }
        self.pending.lock().add(info);
        self.alert_for_pending();
    }

    /// Makes threads look that would take the signals which wait for the process.
    pub fn alert_for_pending(&self) {
        let mut set = self.pending.lock().set();
        if set == 0 {
            return;
        }
        for task in self.tasks() {
            let takes = task.takes(set);
            if takes != 0 {
                task.alert();
                set &= !takes;
            }
        }
    }
}
