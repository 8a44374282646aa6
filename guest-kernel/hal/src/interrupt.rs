//! Interrupt lines, and waiting for one.
//!
//! The kernel runs with interrupts off and turns them on only while it halts, so an interrupt is never taken in
//! the middle of something: a wait checks its condition, and if it does not hold, `sti; hlt` sleeps until the next interrupt
//! (one that arrived in between ends the `hlt` at once). Handlers in the kernel only acknowledge; whoever waits looks for
//! itself.

use crate::{park, vcpu};
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::layout::LAPIC_BASE;
use septum_abi::ready::{DEVICES, FIRST_VECTOR};

/// First vector for devices that drivers bring up; those below belong to exceptions, the timer and ready devices.
const FIRST: u32 = FIRST_VECTOR + DEVICES as u32;
/// One past the last vector for devices.
const END: u32 = 240;
/// Vector of the local APIC timer.
pub const TIMER: u8 = 32;

/// Vector by which vCPUs wake each other.
pub const WAKE: u8 = septum_abi::service::VECTOR as u8;

/// Interrupts taken, by vector. Those of devices are all taken by the first vCPU, whose stub adds without a lock: of vectors that several vCPUs take
/// at once, some may be missing here.
pub(crate) static COUNTS: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];

/// A vector was signalled while the program ran.
#[cfg(target_os = "none")]
pub(crate) fn count_one(vector: u64) {
    if let Some(count) = usize::try_from(vector).ok().and_then(|vector| COUNTS.get(vector)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted(vector: u32) -> u32 {
    COUNTS.get(vector as usize).map_or(0, |count| count.load(Ordering::Acquire))
}

static NEXT: AtomicU32 = AtomicU32::new(FIRST);

/// An interrupt vector that a device can be told to signal.
#[derive(Clone, Debug)]
pub struct Line {
    vector: u32,
}

impl Line {
    /// A vector of its own; `None` when they are used up.
    #[must_use]
    pub fn allocate() -> Option<Self> {
        let vector = NEXT.fetch_add(1, Ordering::Relaxed);
        (vector < END).then_some(Self { vector })
    }

    /// The vector of the ready device in a place of the boot page.
    #[must_use]
    pub fn ready(place: usize) -> Option<Self> {
        let place = u32::try_from(place).ok().filter(|_| place < DEVICES)?;
        Some(Self { vector: FIRST_VECTOR + place })
    }

    /// What a device writes where to signal it: address and data of a message-signalled interrupt
    /// (Intel SDM vol. 3A §11.11), edge-triggered, to the first vCPU.
    #[must_use]
    pub fn message(&self) -> (u64, u32) {
        (LAPIC_BASE, self.vector)
    }

    /// How often it was signalled. Counted in ring-0 mode only.
    #[must_use]
    pub fn count(&self) -> u32 {
        counted(self.vector)
    }

    /// Waits until `condition` gives something, halting in between.
    pub fn wait_until<T>(&self, condition: impl FnMut() -> Option<T>) -> T {
        wait_until(condition)
    }
}

/// Waits until `condition` gives something. It is asked again after every interrupt of a device.
pub fn wait_until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    if let Some(value) = condition() {
        return value;
    }
    park::listen_to_devices(true);
    let mut was_unparked = false;
    let value = loop {
        if let Some(value) = condition() {
            break value;
        }
        was_unparked |= park::park(None);
    };
    park::listen_to_devices(false);
    if was_unparked {
        // It may have been for what waits further out.
        park::unpark(vcpu::current());
    }
    value
}

/// Waits until `condition`, which is given the number of this vCPU, gives something. It is asked again when somebody unparks this vCPU: a driver
/// that [looks](park::look_when_interrupted) after interrupts.
pub fn wait_by_name<T>(mut condition: impl FnMut(u32) -> Option<T>) -> T {
    let own = vcpu::current();
    park::expect_devices(true);
    let mut was_unparked = false;
    let value = loop {
        if let Some(value) = condition(own) {
            break value;
        }
        was_unparked |= park::park(None);
    };
    park::expect_devices(false);
    if was_unparked {
        // It may have been for what waits further out.
        park::unpark(own);
    }
    value
}
