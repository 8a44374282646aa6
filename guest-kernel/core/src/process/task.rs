//! What others may know of a thread: the part of it that its vCPU shares.

use super::Process;
use super::counts::Counts;
use super::signal::{self, AlternateStack, DEFAULT, DefaultAction, IGNORE, Info, Pending, bit};
use super::trace::Trace;
use crate::syscall::futex::Place;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::park;
use septum_guest_hal::sync::Mutex;

/// Signals of a thread.
#[derive(Debug, Default)]
pub struct ThreadSignals {
    /// Blocked.
    pub mask: u64,
    /// The mask to come back to, while a call like `sigsuspend` has set another.
    pub saved_mask: Option<u64>,
    /// Blocked, but waited for by `sigtimedwait`.
    pub awaited: u64,
    /// Sent to this thread.
    pub pending: Pending,
    /// Alternate stack.
    pub stack: AlternateStack,
}

/// How a thread asked to be scheduled (`sched(7)`). The host schedules all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// SCHED_*
    pub policy: u32,
    /// Of the real-time policies, 1 to 99; else 0.
    pub priority: u32,
    /// What it makes is not of a real-time policy (SCHED_RESET_ON_FORK).
    pub is_reset_on_fork: bool,
}

/// What others may know of a thread.
pub struct Task {
    tid: AtomicU32,
    /// What it belongs to.
    pub process: Arc<Process>,
    /// Signals.
    pub signals: Mutex<ThreadSignals>,
    /// Where it waits for a futex.
    pub futex: Place,
    /// Head of its robust futexes.
    pub robust_list: AtomicU64,
    /// Name (`comm`), at most 15 bytes.
    pub name: Mutex<Vec<u8>>,
    /// CPUs that it asked for, as a mask; empty: all.
    pub affinity: Mutex<Vec<u8>>,
    /// How it asked to be scheduled.
    pub scheduling: Mutex<Scheduling>,
    /// Who traces it.
    pub trace: Trace,
    /// What it reads, writes and waits.
    pub counts: Counts,
    vcpu: AtomicU32,
    started_ns: u64,
    /// Time it has waited.
    waited_ns: AtomicU64,
    /// When it began to wait; 0: it runs.
    waits_since_ns: AtomicU64,
}

impl Task {
    /// A thread of `process` that has not begun.
    #[must_use]
    pub fn new(process: &Arc<Process>, tid: u32, name: Vec<u8>) -> Self {
        Self {
            tid: AtomicU32::new(tid),
            process: Arc::clone(process),
            signals: Mutex::default(),
            futex: Place::default(),
            robust_list: AtomicU64::new(0),
            name: Mutex::new(name),
            affinity: Mutex::default(),
            scheduling: Mutex::default(),
            trace: Trace::default(),
            counts: Counts::default(),
            vcpu: AtomicU32::new(0),
            started_ns: monotonic_ns(),
            waited_ns: AtomicU64::new(0),
            waits_since_ns: AtomicU64::new(0),
        }
    }

    /// What a new thread or process has of `other`, which makes it.
    pub fn inherit_scheduling(&self, other: &Self) {
        *self.affinity.lock() = other.affinity.lock().clone();
        let asked = *other.scheduling.lock();
        let is_reset = asked.is_reset_on_fork && asked.priority != 0;
        let asked = if is_reset { Scheduling::default() } else { asked };
        *self.scheduling.lock() = Scheduling { is_reset_on_fork: false, ..asked };
    }

    /// Number. It changes when a thread other than the first calls `execve`.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }

    pub(super) fn set_tid(&self, tid: u32) {
        self.tid.store(tid, Ordering::Relaxed);
    }

    /// The vCPU that runs it.
    #[must_use]
    pub fn vcpu(&self) -> u32 {
        self.vcpu.load(Ordering::Relaxed)
    }

    pub(super) fn set_vcpu(&self, vcpu: u32) {
        self.vcpu.store(vcpu, Ordering::Relaxed);
    }

    /// Makes it look for signals, or whether it must end.
    pub fn alert(&self) {
        park::unpark(self.vcpu());
    }

    /// Whether no signal waits that is not blocked, and no other mask is to come back.
    #[must_use]
    pub(super) fn is_undisturbed(&self) -> bool {
        let state = self.signals.lock();
        let is_quiet = |set: u64| set & !state.mask == 0;
        is_quiet(state.pending.set())
            && state.saved_mask.is_none()
            && is_quiet(self.process.pending.lock().set())
    }

    /// Whether it must stop waiting: a signal is there that is not blocked, or it must end. A signal for the whole process becomes its own, so that
    /// no other thread is interrupted by it too.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        if self.process.must_leave(self) || self.trace.is_interrupted() {
            return true;
        }
        let mut state = self.signals.lock();
        if state.pending.set() & !state.mask != 0 {
            return true;
        }
        let mut shared = self.process.pending.lock();
        if shared.set() & !state.mask == 0 {
            return false;
        }
        match shared.take(!state.mask) {
            Some(info) => {
                state.pending.add(info);
                true
            }
            None => false,
        }
    }

    /// Sends a signal to this thread.
    pub fn send(&self, info: Info) {
        if self.process.act_at_once(info.signal) {
            return;
        }
        if !self.ignores(info.signal) {
            self.signals.lock().pending.add(info);
            self.alert();
        }
    }

    /// Whether sending it changes nothing: it is ignored and not waited for.
    pub(super) fn ignores(&self, signal: u32) -> bool {
        // A tracer sees them all.
        if self.trace.is_on() {
            return false;
        }
        let handler = self.process.actions.lock().0[signal as usize - 1].handler;
        let is_nothing = signal::default_action(signal) == DefaultAction::Ignore;
        let is_ignored = handler == IGNORE || (handler == DEFAULT && is_nothing);
        is_ignored && self.signals.lock().mask & bit(signal) == 0
    }

    /// The signals of `set` that it would take.
    pub(super) fn takes(&self, set: u64) -> u64 {
        let state = self.signals.lock();
        set & (!state.mask | state.awaited)
    }

    /// Notes that it waits from now on, or that it goes on.
    pub(crate) fn set_waiting(&self, now_ns: u64, waits: bool) {
        if waits {
            self.counts.waited();
            self.waits_since_ns.store(now_ns, Ordering::Relaxed);
        } else {
            let since = self.waits_since_ns.swap(0, Ordering::Relaxed);
            self.waited_ns.fetch_add(now_ns.saturating_sub(since), Ordering::Relaxed);
        }
    }

    /// Whether it waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waits_since_ns.load(Ordering::Relaxed) != 0
    }

    /// Time that it did not wait, ns: an upper bound of its CPU time, which only the host knows.
    #[must_use]
    pub fn ran_ns(&self) -> u64 {
        let now = monotonic_ns();
        let waits = match self.waits_since_ns.load(Ordering::Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        };
        let waited = self.waited_ns.load(Ordering::Relaxed) + waits;
        now.saturating_sub(self.started_ns).saturating_sub(waited)
    }
}
