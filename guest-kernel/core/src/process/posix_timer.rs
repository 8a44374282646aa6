//! Timers of `timer_create`, which a process may have many of.
//!
//! One that rings while its last signal still waits adds to that one's overrun instead of sending another.

use super::signal::{Info, Pending};
use super::task::Task;
use super::timer::IntervalTimer;
use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use alloc::vec::Vec;
use septum_abi::linux::Errno;

/// Most timers of one process.
const MOST: usize = 1024;
/// SI_TIMER
pub const CODE: i32 = -2;

/// What a timer counts by.
#[derive(Clone)]
pub enum Clock {
    /// Time; whether deadlines are times of day.
    Time(bool),
    /// The process's CPU time.
    Process,
    /// A thread's CPU time.
    Thread(Weak<Task>),
}

/// Whom a timer tells.
#[derive(Clone)]
pub enum Notify {
    /// Nobody.
    Nobody,
    /// The process.
    Process,
    /// One thread.
    Thread(Weak<Task>),
}

/// What is asked for.
#[derive(Clone)]
pub struct Wish {
    /// What it counts by.
    pub clock: Clock,
    /// Whom it tells.
    pub notify: Notify,
    /// The signal that it sends.
    pub signal: u32,
    /// What goes with it; `None`: the timer's number.
    pub value: Option<u64>,
}

/// A timer.
pub struct PosixTimer {
    wish: Wish,
    /// When it rings, on its clock.
    pub timer: IntervalTimer,
    /// How often it rang beyond the first time since its signal was sent.
    pub overrun: u64,
}

impl PosixTimer {
    /// Whether it counts time, not CPU time.
    #[must_use]
    pub fn counts_time(&self) -> bool {
        matches!(self.wish.clock, Clock::Time(_))
    }

    /// Whether its deadlines are times of day.
    #[must_use]
    pub fn is_realtime(&self) -> bool {
        matches!(self.wish.clock, Clock::Time(true))
    }

    /// What its clock shows; a thread that has ended uses no more CPU time.
    #[must_use]
    pub fn now_ns(&self, time_ns: u64, process_ns: u64) -> u64 {
        match &self.wish.clock {
            Clock::Time(_) => time_ns,
            Clock::Process => process_ns,
            Clock::Thread(task) => task.upgrade().map_or(0, |task| task.ran_ns()),
        }
    }
}

/// The timers of a process.
#[derive(Default)]
pub struct PosixTimers {
    timers: BTreeMap<i32, PosixTimer>,
    next: i32,
}

/// A timer that rang: whom to tell, and what.
pub struct Ring {
    /// Whom.
    pub notify: Notify,
    /// What.
    pub info: Info,
}

impl PosixTimers {
    /// A new timer, which is off. EAGAIN if there are too many.
    pub fn create(&mut self, wish: Wish) -> Result<i32, Errno> {
        if self.timers.len() >= MOST {
            return Err(Errno::EAGAIN);
        }
        while self.timers.contains_key(&self.next) {
            self.next = self.next.checked_add(1).unwrap_or(0);
        }
        let id = self.next;
        self.next = id.checked_add(1).unwrap_or(0);
        self.timers.insert(id, PosixTimer { wish, timer: IntervalTimer::default(), overrun: 0 });
        Ok(id)
    }

    /// The timer with this number. EINVAL if there is none.
    pub fn get(&mut self, id: i32) -> Result<&mut PosixTimer, Errno> {
        self.timers.get_mut(&id).ok_or(Errno::EINVAL)
    }

    /// Forgets one. EINVAL if there is none.
    pub fn delete(&mut self, id: i32) -> Result<(), Errno> {
        self.timers.remove(&id).map(|_| ()).ok_or(Errno::EINVAL)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.timers.clear();
    }

    /// Those that are set.
    pub fn armed(&self) -> impl Iterator<Item = &PosixTimer> {
        self.timers.values().filter(|timer| timer.timer.deadline_ns != 0)
    }

    /// Has those ring whose deadline `now` has come to; `is_waiting` says whether a signal was sent and not yet taken.
    pub fn fire(
        &mut self,
        now: impl Fn(&PosixTimer) -> u64,
        is_waiting: impl Fn(&Notify, u32, i32) -> bool,
    ) -> Vec<Ring> {
        let mut rings = Vec::new();
        for (&id, timer) in &mut self.timers {
            let now_ns = now(timer);
            let times = timer.timer.fire_often(now_ns);
            if times == 0 {
                continue;
            }
            let Wish { notify, signal, value, .. } = &timer.wish;
            if is_waiting(notify, *signal, id) {
                timer.overrun = timer.overrun.saturating_add(times);
            } else {
                timer.overrun = times - 1;
            }
            if matches!(notify, Notify::Nobody) {
                continue;
            }
            let overrun = times.saturating_sub(1).min(i32::MAX as u64);
            let number = u64::from(id.cast_unsigned());
            let info = Info {
                signal: *signal,
                code: CODE,
                detail: number | overrun << 32,
                value: value.unwrap_or(number),
            };
            rings.push(Ring { notify: notify.clone(), info });
        }
        rings
    }
}

/// Whether a timer's signal is among those that wait.
#[must_use]
pub fn is_waiting(pending: &Pending, signal: u32, id: i32) -> bool {
    pending.iter().any(|info| is_of(info, signal, id))
}

/// Whether two signals are of one timer.
#[must_use]
pub fn is_same(info: &Info, other: &Info) -> bool {
    (info.code, info.signal, info.detail & 0xffff_ffff)
        == (other.code, other.signal, other.detail & 0xffff_ffff)
}

fn is_of(info: &Info, signal: u32, id: i32) -> bool {
    info.code == CODE && info.signal == signal && info.detail & 0xffff_ffff == u64::from(id.cast_unsigned())
}
