//! Every interleaving of a few threads through the protocols of parking, locking and flushing.
//!
//! The modules under test are compiled here once more, with loom's atomics for the CPU's.
#![allow(dead_code, reason = "each protocol is used in part")]
#![allow(unsafe_code, reason = "loom checks the accesses that the lock makes safe")]

mod atomic {
    pub use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

#[path = "../src/park/parker.rs"]
mod parker;
#[path = "../src/sync/raw.rs"]
mod raw;
#[path = "../src/shootdown/view.rs"]
mod view;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use loom::thread;
use parker::{HALTED, IN_PROGRAM, NOTIFIED, Parker, RUNNING};
use raw::{CONTENDED, FREE, HELD, RawLock, Waiting};
use view::View;

/// A vCPU: its parker, and an interrupt line that ends a halt.
struct Cpu {
    parker: Parker,
    interrupts: AtomicU32,
    /// 1 while it is not halted, as others count it.
    awake: AtomicU32,
    thread: loom::sync::Mutex<Option<thread::Thread>>,
}

impl Cpu {
    fn new() -> Self {
        Self {
            parker: Parker { state: AtomicU32::new(RUNNING) },
            interrupts: AtomicU32::new(0),
            awake: AtomicU32::new(1),
            thread: loom::sync::Mutex::new(None),
        }
    }

    fn interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::SeqCst);
        if let Some(thread) = &*self.thread.lock().expect("no holder panics") {
            thread.unpark();
        }
    }

    fn begin(&self) {
        *self.thread.lock().expect("no holder panics") = Some(thread::current());
    }

    /// Until an interrupt, which may be there already.
    fn halt(&self) {
        while self.interrupts.swap(0, Ordering::SeqCst) == 0 {
            thread::park();
        }
    }

    fn park(&self) -> bool {
        // One look; that there may be more changes nothing.
        if !self.parker.is_notified() {
            if !self.parker.leave_kernel(HALTED) {
                return true;
            }
            self.awake.fetch_sub(1, Ordering::Relaxed);
            self.halt();
        }
        let state = self.parker.resume();
        if state == HALTED {
            self.awake.fetch_add(1, Ordering::Relaxed);
        }
        state == NOTIFIED
    }

    fn unpark(&self) {
        let was = self.parker.notify();
        if was == HALTED {
            self.awake.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(was, HALTED | IN_PROGRAM) {
            self.interrupt();
        }
    }
}

#[test]
fn a_wake_up_is_not_lost() {
    loom::model(|| {
        let cpu = Arc::new(Cpu::new());
        let flag = Arc::new(AtomicU32::new(0));
        let waker = {
            let (cpu, flag) = (Arc::clone(&cpu), Arc::clone(&flag));
            thread::spawn(move || {
                flag.store(1, Ordering::Relaxed);
                cpu.unpark();
            })
        };
        cpu.begin();
        while flag.load(Ordering::Relaxed) == 0 {
            cpu.park();
        }
        waker.join().unwrap();
        assert_eq!(cpu.awake.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_device_and_a_waker_count_a_vcpu_awake_once() {
    loom::model(|| {
        let cpu = Arc::new(Cpu::new());
        let flag = Arc::new(AtomicU32::new(0));
        let is_done = Arc::new(AtomicU32::new(0));
        cpu.begin();
        let waker = {
            let (cpu, flag, is_done) = (Arc::clone(&cpu), Arc::clone(&flag), Arc::clone(&is_done));
            thread::spawn(move || {
                // A device's interrupt ends a halt without a notification.
                cpu.interrupt();
                flag.store(1, Ordering::Relaxed);
                cpu.unpark();
                is_done.store(1, Ordering::Release);
            })
        };
        while flag.load(Ordering::Relaxed) == 0 {
            cpu.park();
        }
        // Loom cannot unpark a thread that joins another.
        while is_done.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        waker.join().unwrap();
        assert_eq!(cpu.awake.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_signal_stops_a_program_that_is_being_entered() {
    loom::model(|| {
        let cpu = Arc::new(Cpu::new());
        let signal = Arc::new(AtomicU32::new(0));
        let sender = {
            let (cpu, signal) = (Arc::clone(&cpu), Arc::clone(&signal));
            thread::spawn(move || {
                signal.store(1, Ordering::Relaxed);
                cpu.unpark();
            })
        };
        cpu.begin();
        // The thread's loop: signals first, then the program, which only an interrupt stops.
        while signal.load(Ordering::Relaxed) == 0 {
            if cpu.parker.leave_kernel(IN_PROGRAM) {
                cpu.halt();
                cpu.parker.resume();
            }
        }
        sender.join().unwrap();
    });
}

/// Two vCPUs and what each waits for.
struct Two {
    cpus: [Cpu; 2],
    locks: [AtomicUsize; 2],
}

struct Own<'a>(&'a Two, usize);

impl Waiting for Own<'_> {
    fn begin(&self, lock: usize) {
        self.0.locks[self.1].store(lock, Ordering::SeqCst);
    }
    fn wait(&self) {
        self.0.cpus[self.1].park();
    }
    fn end(&self) {
        self.0.locks[self.1].store(0, Ordering::SeqCst);
    }
    fn wake_one(&self, lock: usize) {
        for (slot, cpu) in self.0.locks.iter().zip(&self.0.cpus) {
            if slot.load(Ordering::SeqCst) == lock {
                return cpu.unpark();
            }
        }
    }
}

struct Guarded {
    two: Two,
    lock: RawLock,
    value: UnsafeCell<u32>,
}

fn add(guarded: &Guarded, cpu: usize, tries_first: bool) {
    let own = Own(&guarded.two, cpu);
    guarded.two.cpus[cpu].begin();
    if !(tries_first && guarded.lock.try_lock()) {
        guarded.lock.lock_waiting(&own);
    }
    guarded.value.with_mut(|value| {
        // SAFETY: the lock is held; loom checks that nobody else is here.
        unsafe { *value += 1 };
    });
    guarded.lock.unlock(&own);
}

fn lock_model(tries_first: [bool; 2]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let guarded = Arc::new(Guarded {
            two: Two { cpus: [Cpu::new(), Cpu::new()], locks: [AtomicUsize::new(0), AtomicUsize::new(0)] },
            lock: RawLock { state: AtomicU32::new(FREE) },
            value: UnsafeCell::new(0),
        });
        let other = Arc::clone(&guarded);
        let thread = thread::spawn(move || add(&other, 1, tries_first[1]));
        add(&guarded, 0, tries_first[0]);
        thread.join().expect("it ends well");
        // SAFETY: both are done.
        guarded.value.with(|value| assert_eq!(unsafe { *value }, 2));
        assert_ne!(guarded.lock.state.load(Ordering::SeqCst), HELD);
        assert_ne!(guarded.lock.state.load(Ordering::SeqCst), CONTENDED);
    });
}

#[test]
fn a_lock_excludes_and_wakes_who_halted() {
    lock_model([true, true]);
}

#[test]
fn a_lock_excludes_two_that_wait_at_once() {
    lock_model([false, false]);
}

#[test]
fn a_notified_cpu_is_not_interrupted_twice() {
    loom::model(|| {
        let cpu = Cpu::new();
        assert_eq!(cpu.parker.notify(), RUNNING);
        assert_eq!(cpu.parker.notify(), NOTIFIED);
        assert_eq!(cpu.parker.state.load(Ordering::SeqCst), NOTIFIED);
        assert!(!cpu.parker.leave_kernel(HALTED));
        assert!(cpu.parker.leave_kernel(HALTED));
        assert_eq!(cpu.parker.notify(), HALTED);
    });
}

/// One vCPU takes a page away and gives its frame to somebody else, while the other touches the page twice, interrupted in between.
#[test]
fn a_frame_is_not_reused_while_another_vcpu_remembers_it() {
    loom::model(|| {
        let mapped = Arc::new(AtomicU32::new(1));
        let reused = Arc::new(AtomicU32::new(0));
        let round = Arc::new(AtomicU32::new(0));
        let view = || {
            Arc::new(View { touching: AtomicU32::new(0), seen: AtomicU32::new(0), space: AtomicU32::new(7) })
        };
        let (first, second) = (view(), view());
        let toucher = {
            let (mapped, reused, round, first) =
                (Arc::clone(&mapped), Arc::clone(&reused), Arc::clone(&round), Arc::clone(&first));
            thread::spawn(move || {
                // It remembers the page from before.
                let remembers = std::cell::Cell::new(true);
                for _ in 0..2 {
                    first.begin(&round, || remembers.set(mapped.load(Ordering::Acquire) == 1));
                    assert!(!(remembers.get() && reused.load(Ordering::Relaxed) == 1));
                    first.end();
                }
            })
        };
        mapped.store(0, Ordering::Release);
        let own = second.announce(7, &round, || ());
        while first.lags(7, own) {
            thread::yield_now();
        }
        reused.store(1, Ordering::Relaxed);
        toucher.join().expect("it ends well");
    });
}

/// One vCPU goes to an address space and touches a page there, while another takes that page away and gives its frame to somebody else.
#[test]
fn a_vcpu_that_comes_to_a_space_is_seen_there_or_sees_the_change() {
    loom::model(|| {
        let mapped = Arc::new(AtomicU32::new(1));
        let reused = Arc::new(AtomicU32::new(0));
        let round = Arc::new(AtomicU32::new(0));
        let view = |space| {
            Arc::new(View {
                touching: AtomicU32::new(0),
                seen: AtomicU32::new(0),
                space: AtomicU32::new(space),
            })
        };
        let (comer, other) = (view(1), view(2));
        let toucher = {
            let (mapped, reused, round, comer) =
                (Arc::clone(&mapped), Arc::clone(&reused), Arc::clone(&round), Arc::clone(&comer));
            thread::spawn(move || {
                let remembers = std::cell::Cell::new(false);
                let look = || remembers.set(mapped.load(Ordering::Acquire) == 1);
                comer.enter(7, &round, look);
                comer.begin(&round, look);
                assert!(!(remembers.get() && reused.load(Ordering::Relaxed) == 1));
                comer.end();
            })
        };
        mapped.store(0, Ordering::Release);
        let own = other.announce(7, &round, || ());
        while comer.lags(7, own) {
            thread::yield_now();
        }
        reused.store(1, Ordering::Relaxed);
        toucher.join().expect("it ends well");
    });
}
