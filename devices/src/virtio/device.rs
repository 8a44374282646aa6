//! The trait between the transport and a device.
//!
//! ```text
//!             attach (once, host)
//!   made ───────────────────────► inactive ──activate──► active
//!                                     ▲                     │
//!                                     └───────reset─────────┘
//! ```
//!
//! The transport calls every method with its own lock held, so calls never overlap.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

use super::interrupt::VirtioInterrupt;
use super::ring::Rings;
use crate::core::{Misbehaviour, index};

/// What a device keeps from the time it is put on the bus.
pub struct Attachment {
    /// One doorbell a queue, in queue order: becomes readable when the driver notifies. Stays the same for ever.
    pub kicks: Vec<Arc<EventFd>>,
    /// Where the device interrupts.
    pub interrupt: VirtioInterrupt,
    /// Where the device counts what the guest does wrong.
    pub misbehaviour: Arc<Misbehaviour>,
}

/// What a driver set up before it said `DRIVER_OK`.
pub struct ActivationContext {
    /// Feature bits that both sides accepted.
    pub features: u64,
    /// The queues that the driver enabled.
    pub rings: Rings,
}

/// A device refuses to start.
#[derive(Debug, Error)]
pub enum ActivateError {
    /// The driver left out a queue that the device cannot do without.
    #[error("queue {0} is missing")]
    MissingQueue(usize),
    /// The host failed.
    #[error("the device cannot start")]
    Host(#[from] io::Error),
}

/// Takes doorbells where they are rung, instead of an event.
///
/// Called on vCPU threads, several at once, without any of the transport's locks.
pub trait Doorkeeper: Send + Sync {
    /// Whether the doorbell of `queue` comes here. Always the same.
    fn keeps(&self, queue: usize) -> bool;

    /// The driver rang. False: the event is to ring, too.
    fn rung(&self, queue: usize) -> bool;
}

/// A virtio device, without its transport.
pub trait VirtioDevice: Send {
    /// Number of the device type (virtio 1.2 chapter 5).
    fn device_type(&self) -> u16;

    /// Name for logs and counters.
    fn name(&self) -> &'static str;

    /// Feature bits 0 to 23 and 50 to 127 that the device offers; the transport adds its own.
    fn features(&self) -> u64 {
        0
    }

    /// The largest size of each queue, in queue order: powers of two, at most 1024; 0 for a number without a queue.
    fn queue_max_sizes(&self) -> &[u16];

    /// Reads the device-specific configuration; bytes that do not exist read as zero.
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let _ = offset;
        data.fill(0);
    }

    /// Writes the device-specific configuration.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let _ = (offset, data);
    }

    /// Guest-physical memory that the device shares with the driver (virtio 1.2 section 2.10), as region 0: a power of two of
    /// bytes, aligned to it. The device has put it there; it does not move.
    fn shared_memory(&self) -> Option<Range<u64>> {
        None
    }

    /// Who takes this device's doorbells on the threads of the vCPUs that ring them, if anybody does. Asked once, after
    /// [`attach`](Self::attach).
    fn doorkeeper(&self) -> Option<Arc<dyn Doorkeeper>> {
        None
    }

    /// Called once, when the device is put on the bus, before any other call that follows the guest.
    ///
    /// # Errors
    /// The device cannot be set up on the host.
    fn attach(&mut self, attachment: Attachment) -> io::Result<()>;

    /// Called on the vCPU that set `DRIVER_OK`, when the device is inactive. Must not wait for anything slow.
    ///
    /// # Errors
    /// The device stays inactive and the driver is told by `DEVICE_NEEDS_RESET`.
    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError>;

    /// Called when the driver resets the device. On return the device no longer touches the rings or their buffers.
    fn reset(&mut self);
}

/// Serves [`VirtioDevice::read_config`] from the bytes of a configuration structure.
pub fn read_config_bytes(config: &[u8], offset: u64, data: &mut [u8]) {
    let start = index(offset);
    for (position, byte) in data.iter_mut().enumerate() {
        *byte = config.get(start.saturating_add(position)).copied().unwrap_or(0);
    }
}
