//! Timers that send signals: those of `alarm` and `setitimer`, of `timer_create`, and the limit on CPU time (RLIMIT_CPU).
//!
//! ITIMER_REAL, and whatever counts time, follows the monotonic clock. Some vCPU's own timer rings for it: that of the thread which set it, then of those that saw it
//! ring. A thread that leaves hands it on to another. One whose period is shorter than what a signal costs would leave the program no time at all: when
//! periods were missed, the next ring comes [no sooner](Timers::rest_ns) than after half the time since the last.
//!
//! ITIMER_VIRTUAL, ITIMER_PROF, the limit and whatever else counts CPU time follow the process's CPU time, which nobody counts continuously. It grows at most as
//! fast as there are threads, so what is left, divided by them, says when it is worth [to look](Timers::cpu_look_ns) again. Every thread's vCPU
//! rings then that runs the program; those that wait do not.

use super::End;
use super::Process;
use super::limits::{CPU_TIME, INFINITY};
use super::posix_timer::{self, Notify, PosixTimers, Ring};
use super::signal::Info;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::signal;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::park;
use septum_guest_hal::sync::Mutex;

const NS: u64 = 1_000_000_000;
/// CPU time is looked at no more often than that, ns.
const SHORTEST_LOOK_NS: u64 = 1_000_000;
/// How long the program has at least, and at most, before it is interrupted again if it is too slow for its timers, ns.
const SHORTEST_REST_NS: u64 = 50_000;
const LONGEST_REST_NS: u64 = 10_000_000;

/// Which timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// ITIMER_REAL: time.
    Real,
    /// ITIMER_VIRTUAL: CPU time of the program; here all of it is.
    Virtual,
    /// ITIMER_PROF: CPU time.
    Profiling,
}

impl Which {
    /// All of them; their places are their numbers.
    const ALL: [Self; 3] = [Self::Real, Self::Virtual, Self::Profiling];

    /// From the number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    fn signal(self) -> u32 {
        match self {
            Self::Real => signal::SIGALRM,
            Self::Virtual => signal::SIGVTALRM,
            Self::Profiling => signal::SIGPROF,
        }
    }
}

/// The timers of a process.
#[derive(Default)]
pub struct Timers {
    set: Mutex<Set>,
    /// When something rings that counts time (monotonic clock), to be read without the lock; 0: never.
    deadline_ns: AtomicU64,
    /// When to look at the CPU time (monotonic clock); 0: never.
    cpu_look_ns: AtomicU64,
    /// When something rang last that counts time.
    rang_ns: AtomicU64,
}

#[derive(Default)]
struct Set {
    timers: [IntervalTimer; 3],
    posix: PosixTimers,
    /// CPU time at which the limit says something; 0: never.
    limit_ns: u64,
}

impl Set {
    /// When something is due that counts time; 0: never.
    fn deadline_ns(&self) -> u64 {
        let posix = self.posix.armed().filter(|timer| timer.counts_time());
        let posix = posix.map(|timer| timer.timer.deadline_ns);
        let real = Some(self.timers[0].deadline_ns).filter(|deadline| *deadline != 0);
        posix.chain(real).min().unwrap_or(0)
    }

    /// Whether something that counts time has missed a period.
    fn is_behind(&self, now: u64) -> bool {
        let posix = self.posix.armed().filter(|timer| timer.counts_time()).map(|timer| timer.timer);
        let mut timers = posix.chain([self.timers[0]]);
        timers.any(|IntervalTimer { deadline_ns, period_ns }| {
            deadline_ns != 0 && period_ns != 0 && now.saturating_sub(deadline_ns) >= period_ns
        })
    }

    /// CPU time until something is due, if the process has used so much; `None`: never.
    fn cpu_left_ns(&self, process_ns: u64) -> Option<u64> {
        let [_, user, all] = &self.timers;
        let deadlines = [user.deadline_ns, all.deadline_ns, self.limit_ns];
        let own = deadlines.into_iter().filter(|deadline| *deadline != 0);
        let own = own.map(|deadline| deadline.saturating_sub(process_ns));
        let posix = self.posix.armed().filter(|timer| !timer.counts_time());
        let posix = posix.map(|timer| timer.timer.deadline_ns.saturating_sub(timer.now_ns(0, process_ns)));
        own.chain(posix).min()
    }
}

impl Timers {
    /// When something rings next that counts time.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        Some(self.deadline_ns.load(Ordering::Relaxed)).filter(|deadline| *deadline != 0)
    }

    fn cpu_look_ns(&self) -> Option<u64> {
        Some(self.cpu_look_ns.load(Ordering::Relaxed)).filter(|look| *look != 0)
    }

    /// How long the program is left alone that something rings for `now`, though periods were missed. What lies behind a ring takes no longer than
    /// the time since the last one.
    fn rest_ns(&self, now: u64) -> u64 {
        let since = now.saturating_sub(self.rang_ns.load(Ordering::Relaxed));
        (since / 2).clamp(SHORTEST_REST_NS, LONGEST_REST_NS)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Set) -> T) -> T {
        let mut set = self.set.lock();
        let result = change(&mut set);
        self.deadline_ns.store(set.deadline_ns(), Ordering::Relaxed);
        // Looked at first, and then seldom.
        self.cpu_look_ns.store(u64::from(set.cpu_left_ns(0).is_some()), Ordering::Relaxed);
        result
    }
}

impl Process {
    /// What a timer counts by, ns.
    fn timer_clock_ns(&self, which: Which) -> u64 {
        if which == Which::Real { monotonic_ns() } else { self.ran_ns() }
    }

    /// A timer: what is left, and its period.
    #[must_use]
    pub fn timer(&self, which: Which) -> (u64, u64) {
        let now = self.timer_clock_ns(which);
        let timer = self.timers.set.lock().timers[which as usize];
        (timer.remaining(now), timer.period_ns)
    }

    /// Has a timer fire `after_ns` from now (0: never) and then every `period_ns`; returns what was left and its period.
    pub fn set_timer(&self, which: Which, after_ns: u64, period_ns: u64) -> (u64, u64) {
        let now = self.timer_clock_ns(which);
        let deadline_ns = if after_ns == 0 { 0 } else { now.saturating_add(after_ns).max(1) };
        let timer = IntervalTimer { deadline_ns, period_ns };
        let previous = self.timers.change(|set| core::mem::replace(&mut set.timers[which as usize], timer));
        self.timers_changed();
        (previous.remaining(now), previous.period_ns)
    }

    /// The limit on CPU time is another, or the process has just begun.
    pub fn watch_cpu_limit(&self) {
        let (soft, hard) = self.limits.lock().0[CPU_TIME];
        let seconds = soft.min(hard);
        // As on Linux, no time at all is a second.
        let limit_ns = if seconds == INFINITY { 0 } else { seconds.max(1).saturating_mul(NS) };
        self.timers.change(|set| set.limit_ns = limit_ns);
        self.timers_changed();
    }

    fn timers_changed(&self) {
        if let Some(deadline) = self.timers.deadline_ns() {
            park::arm(deadline);
        }
        if self.timers.cpu_look_ns().is_some() {
            self.tasks().iter().for_each(|task| task.alert());
        }
    }

    /// Sends the signals of timers whose time has come.
    #[inline]
    pub fn check_timers(&self) {
        if self.timers.deadline_ns().is_some() {
            self.check_alarm();
        }
        if self.timers.cpu_look_ns().is_some() {
            self.check_cpu_time();
        }
    }

    #[inline(never)]
    fn check_alarm(&self) {
        let Some(deadline) = self.timers.deadline_ns() else { return };
        let now = monotonic_ns();
        if now < deadline {
            return;
        }
        let (is_behind, rings, posix) = self.timers.change(|set| {
            let is_behind = set.is_behind(now);
            let rings = set.timers[0].fire(now);
            // Those that count CPU time are not asked here: to them no time has passed.
            let posix = set.posix.fire(
                |timer| if timer.counts_time() { now } else { 0 },
                |notify, signal, id| self.is_ringing(notify, signal, id),
            );
            (is_behind, rings, posix)
        });
        if is_behind {
            let rested = now.saturating_add(self.timers.rest_ns(now));
            // Nothing else is due sooner that is not late as well.
            let _ = self.timers.deadline_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (next != 0 && next < rested).then_some(rested)
            });
        }
        self.timers.rang_ns.store(now, Ordering::Relaxed);
        if rings {
            self.send(Info::from_kernel(signal::SIGALRM));
        }
        self.ring(posix);
        if let Some(next) = self.timers.deadline_ns() {
            park::arm(next);
        }
    }

    /// Looks at the CPU time if it may have come to a timer's; this vCPU rings when it may the next time.
    #[inline(never)]
    fn check_cpu_time(&self) {
        let Some(look) = self.timers.cpu_look_ns() else { return };
        let now = monotonic_ns();
        if now < look {
            return park::arm(look);
        }
        let ran = self.ran_ns();
        let (rings, posix, is_at_limit, next_look) = {
            let mut set = self.timers.set.lock();
            let rings = [Which::Virtual, Which::Profiling].map(|which| set.timers[which as usize].fire(ran));
            let is_at_limit = set.limit_ns != 0 && ran >= set.limit_ns;
            if is_at_limit {
                set.limit_ns = set.limit_ns.saturating_add(NS);
            }
            let posix = set
                .posix
                .fire(|timer| timer.now_ns(0, ran), |notify, signal, id| self.is_ringing(notify, signal, id));
            let left = set.cpu_left_ns(ran);
            let threads = u64::try_from(self.thread_count()).unwrap_or(1).max(1);
            let look = left.map_or(0, |left| now.saturating_add((left / threads).max(SHORTEST_LOOK_NS)));
            self.timers.cpu_look_ns.store(look, Ordering::Relaxed);
            (rings, posix, is_at_limit, look)
        };
        for (which, rings) in [Which::Virtual, Which::Profiling].into_iter().zip(rings) {
            if rings {
                self.send(Info::from_kernel(which.signal()));
            }
        }
        self.ring(posix);
        if is_at_limit {
            self.at_cpu_limit(ran);
        }
        if next_look != 0 {
            park::arm(next_look);
        }
    }

    /// Whether the signal of a timer has been sent and not been taken.
    fn is_ringing(&self, notify: &Notify, signal: u32, id: i32) -> bool {
        match notify {
            Notify::Nobody => false,
            Notify::Process => posix_timer::is_waiting(&self.pending.lock(), signal, id),
            Notify::Thread(task) => task
                .upgrade()
                .is_some_and(|task| posix_timer::is_waiting(&task.signals.lock().pending, signal, id)),
        }
    }

    fn ring(&self, rings: Vec<Ring>) {
        for Ring { notify, info } in rings {
            match notify {
                Notify::Nobody => {}
                Notify::Process => self.send(info),
                Notify::Thread(task) => {
                    if let Some(task) = task.upgrade() {
                        task.send(info);
                    }
                }
            }
        }
    }

    /// Changes its timers of `timer_create`.
    pub fn change_posix_timers<T>(&self, change: impl FnOnce(&mut PosixTimers) -> T) -> T {
        let result = self.timers.change(|set| change(&mut set.posix));
        self.timers_changed();
        result
    }

    /// SIGXCPU every second from the soft limit on; the hard one kills.
    fn at_cpu_limit(&self, ran_ns: u64) {
        let (_, hard) = self.limits.lock().0[CPU_TIME];
        if hard != INFINITY && ran_ns >= hard.max(1).saturating_mul(NS) {
            self.finish(End::Killed(signal::SIGKILL));
        } else {
            self.send(Info::from_kernel(signal::SIGXCPU));
        }
    }

    /// The same, and this vCPU's timer rings for them from now on.
    pub fn keep_timers(&self) {
        self.check_timers();
        if let Some(deadline) = self.timers.deadline_ns() {
            park::arm(deadline);
        }
    }

    /// If this vCPU's timer has rung for something else meanwhile, it rings for these again.
    #[inline]
    pub fn keep_rung_timer(&self) {
        if let Some(deadline) = self.timers.deadline_ns() {
            park::keep_armed(deadline);
        }
    }

    /// There is one thread more, on this vCPU: CPU time grows faster.
    pub(super) fn keep_timers_of_new_thread(&self) {
        if self.timers.cpu_look_ns().is_some() {
            self.timers.cpu_look_ns.store(1, Ordering::Relaxed);
        }
        self.keep_timers();
    }

    /// Another thread's vCPU keeps ITIMER_REAL.
    pub(super) fn hand_timers_on(&self) {
        if self.timers.deadline_ns().is_some()
            && let Some(task) = self.tasks().first()
        {
            task.alert();
        }
    }
}

/// Deadline and period on a timer's clock, ns; zero means none.
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
        self.fire_often(now_ns) > 0
    }

    /// How often it has fired since it was set for this time; if it has, it is set for the next time.
    pub fn fire_often(&mut self, now_ns: u64) -> u64 {
        if self.deadline_ns == 0 || now_ns < self.deadline_ns {
            return 0;
        }
        let mut times = 1;
        self.deadline_ns = match self.period_ns {
            0 => 0,
            period => {
                times = 1 + (now_ns - self.deadline_ns) / period;
                self.deadline_ns.saturating_add(period.saturating_mul(times))
            }
        };
        times
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

    #[test]
    fn the_first_deadline_of_cpu_time_counts_and_time_itself_does_not() {
        let mut set = Set::default();
        assert_eq!((set.cpu_left_ns(0), set.deadline_ns()), (None, 0));
        set.timers[0].deadline_ns = 1;
        assert_eq!((set.cpu_left_ns(0), set.deadline_ns()), (None, 1));
        set.timers[2].deadline_ns = 30;
        set.limit_ns = 20;
        assert_eq!(set.cpu_left_ns(5), Some(15));
        set.timers[1].deadline_ns = 10;
        assert_eq!((set.cpu_left_ns(4), set.cpu_left_ns(40)), (Some(6), Some(0)));
    }
}
