//! Doorbells of a device: one event a queue.
//!
//! ```text
//! quiet ──(rung BUSY times)──► busy: registered with the machine at the address that the BAR gives it
//! ```
//!
//! A doorbell is first a register like others: writing it is an exit, and the vCPU's thread rings the event. One that is
//! used a lot is registered, so that the machine rings it without an exit. Not all from the start: registering costs the
//! host's kernel more than many exits do, some versions of it not before the machine's end, which then waits for
//! milliseconds; and most queues of most partitions are never or rarely used.
//!
//! The registration follows the BAR. Where it fails, the exits stay, and also where the device answers doorbells on the vCPU's own thread
//! ([`Doorkeeper`](super::super::device::Doorkeeper)).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::layout;
use crate::core::{KickRegistrar, index};

/// After so many rings a queue counts as busy.
pub(super) const BUSY: u32 = 64;

/// What rings when a doorbell is written.
pub(super) struct Bell {
    event: Arc<EventFd>,
    /// How often it was rung by an exit.
    rings: AtomicU32,
}

impl Bell {
    /// Rings.
    pub(super) fn signal(&self) {
        // A full counter means that it rings already.
        drop(self.event.write(1));
    }

    /// Rings, and counts. True if the queue has become busy with that.
    pub(super) fn ring(&self) -> bool {
        self.signal();
        self.rings.fetch_add(1, Ordering::Relaxed) + 1 == BUSY
    }
}

/// A bell for each of `queues` queues, and their events.
pub(super) fn bells(queues: u16) -> io::Result<(Vec<Bell>, Vec<Arc<EventFd>>)> {
    let events: Vec<_> =
        (0..queues).map(|_| EventFd::new(EFD_NONBLOCK).map(Arc::new)).collect::<io::Result<_>>()?;
    let bells = events.iter().map(|event| Bell { event: Arc::clone(event), rings: AtomicU32::new(0) });
    Ok((bells.collect(), events))
}

struct Doorbell {
    event: Arc<EventFd>,
    is_busy: bool,
    /// Where it is registered.
    address: Option<u64>,
}

/// The registrations.
pub(super) struct Doorbells {
    registrar: Arc<dyn KickRegistrar>,
    base: Option<u64>,
    doorbells: Vec<Doorbell>,
}

impl Doorbells {
    /// None registered yet; the BAR is at `base`.
    pub(super) fn new(registrar: Arc<dyn KickRegistrar>, events: &[Arc<EventFd>], base: u64) -> Self {
        let doorbell =
            |event: &Arc<EventFd>| Doorbell { event: Arc::clone(event), is_busy: false, address: None };
        Self { registrar, base: Some(base), doorbells: events.iter().map(doorbell).collect() }
    }

    /// Queue `queue` is busy.
    pub(super) fn set_busy(&mut self, queue: usize) {
        if let Some(doorbell) = self.doorbells.get_mut(queue) {
            doorbell.is_busy = true;
        }
        self.move_to(self.base);
    }

    /// Follows the BAR to `base`, or off the bus.
    pub(super) fn move_to(&mut self, base: Option<u64>) {
        self.base = base;
        let offsets = (layout::NOTIFY..).step_by(index(layout::NOTIFY_MULTIPLIER));
        for (doorbell, offset) in self.doorbells.iter_mut().zip(offsets) {
            let target = base.filter(|_| doorbell.is_busy).and_then(|base| base.checked_add(offset));
            if doorbell.address == target {
                continue;
            }
            if let Some(old) = doorbell.address.take()
                && let Err(error) = self.registrar.unregister(&doorbell.event, old)
            {
                log::warn!("doorbell at {old:#x} could not be removed: {error}");
            }
            if let Some(new) = target {
                match self.registrar.register(&doorbell.event, new) {
                    Ok(()) => doorbell.address = Some(new),
                    Err(error) => log::debug!("doorbell at {new:#x} is slow: {error}"),
                }
            }
        }
    }
}

impl Drop for Doorbells {
    fn drop(&mut self) {
        self.move_to(None);
    }
}
