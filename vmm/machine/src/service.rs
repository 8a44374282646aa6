//! What the host wants of a guest kernel that runs: wishes wait here until the service vCPU comes for them.
//!
//! ```text
//!   wish ──► queue ──► NEXT of the service vCPU, which waits here, in its thread ──► the guest does it ──► NEXT ──► when_done
//! ```
//!
//! The vCPU is started when the first wish comes, by the guest ([`septum_abi::service`]). Wishes come from the thread that waits for
//! the machine's end, calls from vCPUs, any of them: a guest that has several wait only keeps its own threads from working.

use crate::guest::{read, write_bytes};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use septum_abi::layout::{LAPIC_BASE, PAGE_SHIFT, REPORT};
use septum_abi::report::GuestReport;
use septum_abi::service::{CALL, Call, VECTOR, event, operation};
use septum_hypervisor::Vm;
use septum_memory::{GuestRam, Plain};
use std::collections::VecDeque;
use std::io;
use std::mem::offset_of;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that the guest kernel is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Send this signal to the first program. The same one twice while it waits is one, as on Linux.
    Signal(u32),
}

/// What is called each time that the guest has dealt with all wishes.
pub struct WhenDone(pub Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for WhenDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WhenDone")
    }
}

/// See above.
#[derive(Debug)]
pub struct Service {
    state: Mutex<State>,
    /// Rung when there is a wish.
    bell: OwnedFd,
    when_done: WhenDone,
}

#[derive(Debug, Default)]
struct State {
    wishes: VecDeque<Wish>,
    /// Something was taken, and the guest has not come again since.
    is_working: bool,
    /// The guest was told that a service vCPU is wanted.
    is_wanted: bool,
}

impl Service {
    /// Without wishes.
    ///
    /// # Errors
    /// The host has no more descriptors.
    pub fn new(when_done: WhenDone) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: Mutex::default(), bell, when_done })
    }

    /// Wants something of the guest.
    pub fn want(&self, wish: Wish, ram: &GuestRam, vm: &Vm) {
        let mut state = self.lock();
        if !state.wishes.contains(&wish) {
            state.wishes.push_back(wish);
        }
        let is_first = !std::mem::replace(&mut state.is_wanted, true);
        drop(state);
        // An event that is rung already wakes all the same.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        if is_first {
            let place = REPORT + u64::try_from(offset_of!(GuestReport, service_wanted)).unwrap_or(0);
            // The report is RAM. If KVM does not interrupt, the guest looks at the next interrupt.
            let _ = write_bytes(ram, place, &1_u32.to_le_bytes());
            let _ = vm.signal_msi(LAPIC_BASE, VECTOR);
        }
    }

    /// Whether a service vCPU is wanted.
    pub fn is_wanted(&self) -> bool {
        self.lock().is_wanted
    }

    /// Serves a call of the guest, which wrote `number` to the command port. Returns early when `stop` is set and the thread gets a signal.
    pub fn call(&self, number: u32, ram: &GuestRam, stop: &AtomicBool) {
        let page = u64::from(number & !CALL) << PAGE_SHIFT;
        let Ok(Plain(call)) = read::<Plain<Call>>(ram, page) else { return };
        if call.operation != operation::NEXT {
            return answer(ram, page, event::NONE, 0);
        }
        match self.next(stop) {
            Some(Wish::Signal(signal)) => answer(ram, page, event::SIGNAL, signal),
            None => answer(ram, page, event::NONE, 0),
        }
    }

    /// The next wish; `None` if the machine ends.
    fn next(&self, stop: &AtomicBool) -> Option<Wish> {
        loop {
            if stop.load(Ordering::Acquire) {
                return None;
            }
            let mut state = self.lock();
            let wish = state.wishes.pop_front();
            let is_done = std::mem::replace(&mut state.is_working, wish.is_some()) && wish.is_none();
            drop(state);
            if is_done {
                (self.when_done.0)();
            }
            if wish.is_some() {
                return wish;
            }
            // A signal ends it too.
            let _ = poll(&mut [PollFd::new(&self.bell, PollFlags::IN)], None);
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(ram: &GuestRam, page: u64, event: u32, number: u32) {
    let at = page + u64::try_from(offset_of!(Call, event)).unwrap_or(0);
    // It could be read.
    let _ = write_bytes(ram, at, &[event.to_le_bytes(), number.to_le_bytes()].concat());
}
