//! Timers that are files (`timerfd`): reading tells how often they have expired since they were last read.
//!
//! A timer runs on the monotonic clock whatever clock it was made for; a time of day is translated when it is set. It
//! costs nothing while nobody looks: expirations are counted when somebody does.
//!
//! ```text
//!        next            next + period   …
//! ───────┼───────┼───────┼──────>  now: every line that was passed is one expiration
//! ```

use super::inode::{File, poll};
use crate::io::Destination;
use crate::wait::WaitQueue;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::clock::{monotonic_ns, realtime_ns};
use septum_guest_hal::sync::Mutex;

/// What `timerfd_create` counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// CLOCK_REALTIME
    Realtime,
    /// CLOCK_MONOTONIC, CLOCK_BOOTTIME
    Monotonic,
}

/// `struct itimerspec`, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Between expirations; 0: only one.
    pub period: u64,
    /// Until the first (or, absolute, when); 0: off.
    pub value: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Next expiration on the monotonic clock; 0: none.
    next: u64,
    period: u64,
    /// Expirations that nobody read.
    unread: u64,
    /// Expirations ever.
    total: u64,
}

impl State {
    /// Counts what has expired until `now`.
    fn advance(&mut self, now: u64) {
        if self.next == 0 || now < self.next {
            return;
        }
        let count = (now - self.next).checked_div(self.period).map_or(1, |more| more.saturating_add(1));
        self.next = match self.period {
            0 => 0,
            period => self.next.saturating_add(period.saturating_mul(count)),
        };
        self.unread = self.unread.saturating_add(count);
        self.total = self.total.wrapping_add(count);
    }

    fn setting(&self, now: u64) -> Setting {
        let value = if self.next == 0 { 0 } else { self.next.saturating_sub(now).max(1) };
        Setting { period: self.period, value }
    }
}

/// A timer.
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    state: Mutex<State>,
    /// Woken when it is set.
    queue: WaitQueue,
}

impl Timer {
    /// A timer that is off.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::new(State::default()), queue: WaitQueue::new() }
    }

    /// What is left.
    pub fn get(&self) -> Setting {
        let now = monotonic_ns();
        let mut state = self.state.lock();
        state.advance(now);
        state.setting(now)
    }

    /// Sets it, forgetting what has expired; returns what was left.
    pub fn set(&self, setting: Setting, is_absolute: bool) -> Setting {
        let now = monotonic_ns();
        let next = match (setting.value, is_absolute, self.clock) {
            (0, ..) => 0,
            (value, true, Clock::Monotonic) => value,
            // A time of day before the start of the monotonic clock has passed, like its start.
            (value, true, Clock::Realtime) => now.saturating_add(value).saturating_sub(realtime_ns()).max(1),
            (value, false, _) => now.saturating_add(value),
        };
        let mut state = self.state.lock();
        state.advance(now);
        let before = state.setting(now);
        *state = State { next, period: setting.period, unread: 0, total: state.total.wrapping_add(1) };
        drop(state);
        self.queue.wake_all();
        before
    }

    fn now<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        state.advance(monotonic_ns());
        look(&mut state)
    }
}

impl File for Timer {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        match self.now(|state| core::mem::take(&mut state.unread)) {
            0 => Err(Errno::EAGAIN),
            count => to.put(&count.to_le_bytes()),
        }
    }

    fn poll(&self) -> u16 {
        if self.now(|state| state.unread) > 0 { poll::IN } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn deadline_ns(&self) -> Option<u64> {
        Some(self.now(|state| state.next)).filter(|&next| next > 0)
    }

    fn edge(&self) -> u64 {
        self.now(|state| state.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::KernelDestination;

    #[test]
    fn expirations_are_counted_on_a_grid() {
        let mut state = State { next: 100, period: 10, ..State::default() };
        state.advance(99);
        assert_eq!((state.unread, state.setting(99)), (0, Setting { period: 10, value: 1 }));
        state.advance(135);
        assert_eq!((state.unread, state.next), (4, 140));
        let mut single = State { next: 100, ..State::default() };
        single.advance(1000);
        single.advance(2000);
        assert_eq!((single.unread, single.setting(2000)), (1, Setting::default()));
    }

    #[test]
    fn a_timer_rings_when_its_time_has_come() {
        let timer = Timer::new(Clock::Monotonic);
        let mut bytes = [0; 8];
        let mut read = || timer.read_at(0, &mut KernelDestination(&mut bytes));
        assert_eq!((read(), timer.poll(), timer.deadline_ns()), (Err(Errno::EAGAIN), 0, None));
        assert_eq!(timer.set(Setting { period: 0, value: 1 }, true), Setting::default());
        assert_eq!((timer.poll(), read(), read()), (poll::IN, Ok(8), Err(Errno::EAGAIN)));
        timer.set(Setting { period: 0, value: u64::MAX }, false);
        assert!(timer.deadline_ns().is_some() && timer.poll() == 0);
        timer.set(Setting { period: 5, value: 0 }, false);
        assert_eq!(timer.get(), Setting { period: 5, value: 0 });
        let day = Timer::new(Clock::Realtime);
        day.set(Setting { period: 0, value: realtime_ns() + 1_000_000_000_000 }, true);
        assert!((990_000_000_000..=1_000_000_000_000).contains(&day.get().value));
    }
}
