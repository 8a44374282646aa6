//! Making every vCPU forget translations that are no longer right (a TLB shootdown).
//!
//! Whoever takes pages or rights away forgets them itself, announces a round, and then waits for those vCPUs only that are
//! [touching](view) and have not caught up; an interrupt makes them stop. vCPUs that halt, or work in the kernel, cost
//! nothing: they catch up when they next touch. Nor do those that are in another address space, each of which has its own
//! rounds; spaces are told apart by a few bits of where their page table is, and two that share them only catch up more often. The waiting one may hold the lock of the address space: none that it waits
//! for needs a lock to stop touching.
//!
//! With a single vCPU all of this is one load.

mod atomic {
    pub use core::sync::atomic::{AtomicU32, Ordering, fence};
}
mod view;

use crate::address::PhysAddr;
use crate::park::MAX_VCPUS;
use crate::vcpu;
use core::sync::atomic::{AtomicU32, Ordering};
use view::View;

/// Looks at a vCPU between two interrupts to it.
const PATIENCE: u32 = 100_000;

static VIEWS: [View; MAX_VCPUS] =
    [const { View { touching: AtomicU32::new(0), seen: AtomicU32::new(0), space: AtomicU32::new(0) } };
        MAX_VCPUS];
/// The newest round of each address space.
static ROUNDS: [AtomicU32; SPACES] = [const { AtomicU32::new(0) }; SPACES];
/// Spaces that are told apart.
const SPACES: usize = 512;
/// At least one past the highest number of a vCPU there is.
static COUNT: AtomicU32 = AtomicU32::new(1);

fn view(number: u32) -> &'static View {
    // Numbers are below that.
    &VIEWS[number as usize % MAX_VCPUS]
}

fn round_of(space: u32) -> &'static AtomicU32 {
    &ROUNDS[space as usize % SPACES]
}

/// The space of the page table whose root is at `root`.
pub(crate) fn space_of(root: PhysAddr) -> u32 {
    (root.0 / septum_abi::layout::PAGE_SIZE as u64) as u32 % SPACES as u32
}

/// This vCPU goes to another address space: `load` loads its tables.
pub(crate) fn enter(space: u32, load: impl FnOnce()) {
    view(vcpu::current()).enter(space, round_of(space), load);
}

/// Whether this vCPU is in that space.
pub(crate) fn is_here(space: u32) -> bool {
    view(vcpu::current()).space.load(Ordering::Relaxed) == space
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
    own.begin(round_of(own.space.load(Ordering::Relaxed)), forget);
    let result = work();
    own.end();
    result
}

/// Pages of `space` were taken away, and this vCPU has forgotten them; returns when no other one uses what it remembers from before. `forget`
/// makes this one forget everything.
pub(crate) fn everywhere(space: u32, forget: impl FnOnce()) {
    if is_alone() {
        return;
    }
    let number = vcpu::current();
    let round = view(number).announce(space, round_of(space), forget);
    for other in (0..COUNT.load(Ordering::Acquire).min(MAX_VCPUS as u32)).filter(|other| *other != number) {
        let mut looks = 0;
        while view(other).lags(space, round) {
            if looks % PATIENCE == 0 {
                vcpu::interrupt(other);
            }
            looks += 1;
            core::hint::spin_loop();
        }
    }
}
