//! Making every vCPU forget translations that are no longer right (a TLB shootdown).
//!
//! Whoever takes pages or rights away forgets them itself, announces a round, and then waits for those vCPUs only that are
//! [touching](view) and have not caught up; an interrupt makes them stop. vCPUs that halt, or work in the kernel, cost
//! nothing: they catch up when they next touch. The waiting one may hold the lock of the address space: none that it waits
//! for needs a lock to stop touching.
//!
//! With a single vCPU all of this is one load.

mod atomic {
    pub use core::sync::atomic::{AtomicU32, Ordering, fence};
}
mod view;

use crate::park::MAX_VCPUS;
use crate::vcpu;
use core::sync::atomic::{AtomicU32, Ordering};
use view::View;

/// Looks at a vCPU between two interrupts to it.
const PATIENCE: u32 = 100_000;

static VIEWS: [View; MAX_VCPUS] =
    [const { View { touching: AtomicU32::new(0), seen: AtomicU32::new(0) } }; MAX_VCPUS];
/// The newest round.
static ROUND: AtomicU32 = AtomicU32::new(0);
/// At least one past the highest number of a vCPU there is.
static COUNT: AtomicU32 = AtomicU32::new(1);

fn view(number: u32) -> &'static View {
    // Numbers are below that.
    &VIEWS[number as usize % MAX_VCPUS]
}

fn is_alone() -> bool {
    COUNT.load(Ordering::Relaxed) == 1
}

/// One more vCPU will begin; called by the one that asks for it, which is in the kernel. If it was the only one, nobody is touching
/// unseen, and from now on nobody will.
#[cfg(target_os = "none")]
pub(crate) fn expect_another() {
    COUNT.fetch_add(1, Ordering::AcqRel);
}

/// Runs `work`, in which the program's memory is used through its page tables.
pub(crate) fn touching<T>(forget: impl FnOnce(), work: impl FnOnce() -> T) -> T {
    if is_alone() {
        return work();
    }
    let own = view(vcpu::current());
    own.begin(&ROUND, forget);
    let result = work();
    own.end();
    result
}

/// This vCPU has forgotten; returns when no other one uses what it remembers from before. `forget` makes this one forget everything.
pub(crate) fn everywhere(forget: impl FnOnce()) {
    if is_alone() {
        return;
    }
    let number = vcpu::current();
    let round = view(number).announce(&ROUND, forget);
    for other in (0..COUNT.load(Ordering::Acquire).min(MAX_VCPUS as u32)).filter(|other| *other != number) {
        let mut looks = 0;
        while view(other).lags(round) {
            if looks % PATIENCE == 0 {
                vcpu::interrupt(other);
            }
            looks += 1;
            core::hint::spin_loop();
        }
    }
}
