//! Sleeping until something happens.
//!
//! A thread is a vCPU, so a thread that waits halts its vCPU. It looks at what it waits for, and if that has not come about
//! it halts until the next interrupt and looks again. Two things interrupt it: a device, and another vCPU that changed something
//! and went through the [`WaitQueue`] on which the sleeper is listed.
//!
//! No wake-up is lost: the sleeper lists itself *before* it looks, the waker changes *before* it reads the list, and an interrupt that
//! arrives between looking and halting ends the halt at once (the kernel runs with interrupts off; see `septum_guest_hal::interrupt`).
//! In tests on a host, threads of the host take the vCPUs' part.

use crate::net::outside::{self, Carrier};
use crate::process::task::Task;
use crate::process::vcpus::current_task;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;
use septum_guest_hal::{park, vcpu};

/// Threads that wait for one thing.
#[derive(Debug, Default)]
pub struct WaitQueue {
    /// Length of `sleepers`, so that waking nobody costs one load.
    count: AtomicUsize,
    sleepers: Mutex<Vec<u32>>,
    /// How often everyone was woken.
    generation: AtomicU64,
}

impl WaitQueue {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: AtomicUsize::new(0), sleepers: Mutex::new(Vec::new()), generation: AtomicU64::new(0) }
    }

    /// Waits until `condition` gives something. EINTR if a signal came first.
    pub fn wait_until<T>(&self, condition: impl FnMut() -> Option<T>) -> Result<T, Errno> {
        wait_for_any(&[self], None, condition).and_then(|found| found.ok_or(Errno::EINTR))
    }

    /// How often everyone was woken: whether something happened between two moments.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Makes everyone who waits look again.
    pub fn wake_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        for &cpu in self.sleepers.lock().iter() {
            park::unpark(cpu);
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn sleepers(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn enter(&self, cpu: u32) {
        let mut sleepers = self.sleepers.lock();
        sleepers.push(cpu);
        self.count.store(sleepers.len(), Ordering::SeqCst);
    }

    fn leave(&self, cpu: u32) {
        let mut sleepers = self.sleepers.lock();
        if let Some(index) = sleepers.iter().position(|&sleeper| sleeper == cpu) {
            sleepers.swap_remove(index);
        }
        self.count.store(sleepers.len(), Ordering::SeqCst);
    }
}

/// Waits on several queues, and for devices, until `condition` gives something. `Ok(None)` when the deadline
/// (monotonic clock, ns) has passed, EINTR if a signal came first. The condition is asked before either.
pub fn wait_for_any<T>(
    queues: &[&WaitQueue],
    deadline_ns: Option<u64>,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<Option<T>, Errno> {
    if let Some(value) = condition() {
        return Ok(Some(value));
    }
    let cpu = vcpu::current();
    queues.iter().for_each(|queue| queue.enter(cpu));
    park::listen_to_devices(true);
    let result = match outside::carrier() {
        None => wait_listed(deadline_ns, condition),
        Some(carrier) => wait_for_carrier(carrier, deadline_ns, condition),
    };
    park::listen_to_devices(false);
    queues.iter().for_each(|queue| queue.leave(cpu));
    result
}

/// For how long a waiter looks for what has come from outside before it has the device interrupt it, when something has just come.
const LOOK_NS: u64 = 40_000;

/// Waits, and takes in what comes from outside the partition: it may be what is waited for.
fn wait_for_carrier<T>(
    carrier: &dyn Carrier,
    deadline_ns: Option<u64>,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<Option<T>, Errno> {
    let mut look = || {
        carrier.look();
        condition()
    };
    if carrier.is_busy() {
        let end = monotonic_ns().saturating_add(LOOK_NS).min(deadline_ns.unwrap_or(u64::MAX));
        while monotonic_ns() < end {
            if let Some(value) = look() {
                return Ok(Some(value));
            }
            core::hint::spin_loop();
        }
    }
    let is_up = carrier.set_waiting(true);
    let result = wait_listed(deadline_ns, look);
    if is_up {
        carrier.set_waiting(false);
    }
    result
}

/// As [`wait_for_any`], for those that are listed somewhere else: whoever makes the condition true unparks this vCPU.
pub fn wait_listed<T>(
    deadline_ns: Option<u64>,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<Option<T>, Errno> {
    let task = current_task();
    loop {
        if let Some(value) = condition() {
            return Ok(Some(value));
        }
        if deadline_ns.is_some_and(|deadline| monotonic_ns() >= deadline) {
            return Ok(None);
        }
        let Some(task) = &task else {
            park::park(deadline_ns);
            continue;
        };
        task.process.check_timers();
        if task.process.stop.is_wanted() && !task.process.must_leave(task) {
            task.process.halt_while_stopped(task);
            continue;
        }
        if task.is_interrupted() {
            return Err(Errno::EINTR);
        }
        let alarm = task.process.timers.deadline_ns();
        task.set_waiting(monotonic_ns(), true);
        park::park([alarm, deadline_ns].into_iter().flatten().min());
        task.set_waiting(monotonic_ns(), false);
    }
}

/// Waits on queues until `condition` gives something, whatever signals come. `None` if `task`, which is the caller's, must end.
pub fn wait_to_the_end<T>(
    queues: &[&WaitQueue],
    task: &Task,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let cpu = vcpu::current();
    queues.iter().for_each(|queue| queue.enter(cpu));
    task.set_waiting(monotonic_ns(), true);
    let result = loop {
        let found = condition();
        if found.is_some() || task.process.must_leave(task) {
            break found;
        }
        park::park(None);
    };
    task.set_waiting(monotonic_ns(), false);
    queues.iter().for_each(|queue| queue.leave(cpu));
    result
}

/// Waits on a queue until `condition` gives something, whatever signals come, and even if `task`, which is the caller's, must end.
pub fn wait_in_any_case<T>(queue: &WaitQueue, task: &Task, mut condition: impl FnMut() -> Option<T>) -> T {
    let cpu = vcpu::current();
    queue.enter(cpu);
    task.set_waiting(monotonic_ns(), true);
    let result = loop {
        if let Some(found) = condition() {
            break found;
        }
        park::park(None);
    };
    task.set_waiting(monotonic_ns(), false);
    queue.leave(cpu);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicBool;

    #[test]
    fn a_waiter_sees_what_another_thread_did() {
        let (queue, flag) = (WaitQueue::new(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.wait_until(|| flag.load(Ordering::SeqCst).then_some(7)));
            flag.store(true, Ordering::SeqCst);
            queue.wake_all();
            assert_eq!(waiter.join().unwrap(), Ok(7));
        });
        assert_eq!(queue.count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_deadline_ends_a_wait() {
        let deadline = monotonic_ns() + 1_000_000;
        assert_eq!(wait_for_any::<()>(&[], Some(deadline), || None), Ok(None));
        assert!(monotonic_ns() >= deadline);
    }
}
