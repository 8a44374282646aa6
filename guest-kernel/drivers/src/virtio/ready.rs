//! A virtio device that the host has brought up: see [`septum_abi::ready`].

use super::queue::Queue;
use super::transport::{TransportError, feature};
use crate::platform::{Line, Region, Registers};
use septum_abi::ready::{ReadyDevice, RingLayout};
use septum_guest_hal::address::PhysAddr;

/// A device whose features are agreed and whose queues are set up.
pub struct Ready {
    device: ReadyDevice,
    line: Line,
}

impl Ready {
    /// The ready device in place `place` of the boot page, `None` if there is none.
    #[must_use]
    pub fn at(place: usize, device: &ReadyDevice) -> Option<Self> {
        if device.kind == 0 {
            return None;
        }
        Some(Self { device: *device, line: Line::ready(place)? })
    }

    pub(super) fn negotiate(&self, wanted: u64, required: u64) -> Result<u64, TransportError> {
        let required = required | feature::VERSION_1;
        let features = self.device.features & (wanted | required);
        if features & required == required { Ok(features) } else { Err(TransportError::Features) }
    }

    pub(super) fn queue(&self, index: u16, size: u16) -> Result<Queue, TransportError> {
        let queue = self.device.queues.iter().find(|queue| queue.size != 0 && queue.index == index);
        let queue = queue.filter(|queue| queue.size == size).ok_or(TransportError::Queue)?;
        let region = Region::ready(PhysAddr(queue.rings), RingLayout::of(size).len);
        let region = region.ok_or(TransportError::Structure)?;
        let doorbell = Registers::map(PhysAddr(queue.doorbell), 2).ok_or(TransportError::Structure)?;
        Ok(Queue::new(index, size, region, doorbell, self.line.clone()))
    }
}
