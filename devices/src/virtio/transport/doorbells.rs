//! Doorbells of a device: one event a queue, registered with the machine at the address that the BAR gives it.
//!
//! The registration follows the BAR. Where it fails, or is not wanted, a guest write arrives as an ordinary BAR write
//! and rings the same event.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::layout;
use crate::core::{KickRegistrar, index};

struct Doorbell {
    event: Arc<EventFd>,
    /// Where it is registered.
    address: Option<u64>,
}

pub(super) struct Doorbells {
    registrar: Arc<dyn KickRegistrar>,
    bells: Vec<Doorbell>,
}

impl Doorbells {
    pub(super) fn new(registrar: Arc<dyn KickRegistrar>, queues: u16) -> io::Result<Self> {
        let make = |_| Ok(Doorbell { event: Arc::new(EventFd::new(EFD_NONBLOCK)?), address: None });
        Ok(Self { registrar, bells: (0..queues).map(make).collect::<io::Result<_>>()? })
    }

    pub(super) fn events(&self) -> Vec<Arc<EventFd>> {
        self.bells.iter().map(|bell| Arc::clone(&bell.event)).collect()
    }

    /// Follows the BAR to `base`, or off the bus.
    pub(super) fn move_to(&mut self, base: Option<u64>) {
        let offsets = (layout::NOTIFY..).step_by(index(layout::NOTIFY_MULTIPLIER));
        for (bell, offset) in self.bells.iter_mut().zip(offsets) {
            let target = base.and_then(|base| base.checked_add(offset));
            if bell.address == target {
                continue;
            }
            if let Some(old) = bell.address.take()
                && let Err(error) = self.registrar.unregister(&bell.event, old)
            {
                log::warn!("doorbell at {old:#x} could not be removed: {error}");
            }
            if let Some(new) = target {
                match self.registrar.register(&bell.event, new) {
                    Ok(()) => bell.address = Some(new),
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
