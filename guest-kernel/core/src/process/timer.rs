//! ITIMER_REAL: the timer behind `alarm` and `setitimer`.
//!
//! Some vCPU's own timer rings for it: that of the thread which set it, then of those that saw it ring. A thread that leaves hands it
//! on to another.

use super::Process;
use super::signal::Info;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::signal;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::park;
use septum_guest_hal::sync::Mutex;

/// The timer of a process.
#[derive(Debug, Default)]
pub struct Alarm {
    timer: Mutex<IntervalTimer>,
    /// Its deadline, to be read without the lock.
    deadline_ns: AtomicU64,
}

impl Alarm {
    /// The timer as it is.
    #[must_use]
    pub fn get(&self) -> IntervalTimer {
        *self.timer.lock()
    }

    /// When it rings next.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        Some(self.deadline_ns.load(Ordering::Relaxed)).filter(|deadline| *deadline != 0)
    }

    fn change<T>(&self, change: impl FnOnce(&mut IntervalTimer) -> T) -> T {
        let mut timer = self.timer.lock();
        let result = change(&mut timer);
        self.deadline_ns.store(timer.deadline_ns, Ordering::Relaxed);
        result
    }

    /// Sets it, and this vCPU's timer for it; returns what it was.
    pub fn set(&self, timer: IntervalTimer) -> IntervalTimer {
        let previous = self.change(|old| core::mem::replace(old, timer));
        if let Some(deadline) = self.deadline_ns() {
            park::arm(deadline);
        }
        previous
    }
}

impl Process {
    /// Raises SIGALRM if its time has come.
    #[inline]
    pub fn check_alarm(&self) {
        if let Some(deadline) = self.alarm.deadline_ns() {
            self.check_alarm_at(deadline);
        }
    }

    #[inline(never)]
    fn check_alarm_at(&self, deadline: u64) {
        let now = monotonic_ns();
        if now >= deadline && self.alarm.change(|timer| timer.fire(now)) {
            self.send(Info::from_kernel(signal::SIGALRM));
            if let Some(next) = self.alarm.deadline_ns() {
                park::arm(next);
            }
        }
    }

    /// The same, and this vCPU's timer rings for it from now on.
    pub fn keep_alarm(&self) {
        self.check_alarm();
        if let Some(deadline) = self.alarm.deadline_ns() {
            park::arm(deadline);
        }
    }

    /// Another thread's vCPU keeps it.
    pub(super) fn hand_alarm_on(&self) {
        if self.alarm.deadline_ns().is_some()
            && let Some(task) = self.tasks().first()
        {
            task.alert();
        }
    }
}

/// Deadline and period on the monotonic clock, ns; zero means none.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntervalTimer {
    /// When it fires next.
    pub deadline_ns: u64,
    /// After that, every so often.
    pub period_ns: u64,
}

impl IntervalTimer {
    /// The time left, 0 if it is off.
    #[must_use]
    pub fn remaining(&self, now_ns: u64) -> u64 {
        if self.deadline_ns == 0 { 0 } else { self.deadline_ns.saturating_sub(now_ns).max(1) }
    }

    /// Whether it fires now; if so it is set for the next time.
    pub fn fire(&mut self, now_ns: u64) -> bool {
        if self.deadline_ns == 0 || now_ns < self.deadline_ns {
            return false;
        }
        self.deadline_ns = match self.period_ns {
            0 => 0,
            period => self.deadline_ns + period * (1 + (now_ns - self.deadline_ns) / period),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_periodic_timer_fires_once_and_stays_on_its_grid() {
        let mut timer = IntervalTimer { deadline_ns: 100, period_ns: 10 };
        assert!(!timer.fire(99));
        assert!(timer.fire(135));
        assert_eq!((timer.deadline_ns, timer.remaining(136)), (140, 4));
    }

    #[test]
    fn a_single_shot_is_off_afterwards() {
        let mut timer = IntervalTimer { deadline_ns: 5, period_ns: 0 };
        assert!(timer.fire(5));
        assert!(!timer.fire(1000));
        assert_eq!(timer.remaining(0), 0);
    }
}
