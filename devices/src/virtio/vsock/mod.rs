//! Socket device (virtio 1.2 section 5.10): connections between the guest and whatever the host has behind it.
//!
//! ```text
//!   queue 1 (from the guest) ──► Switch ──► HostSide: opens, writes        the proxy, a Unix socket
//!   queue 0 (to the guest)  ◄── Connection ◄── reads, news
//! ```
//!
//! * [`host`]: what the device needs of whoever is behind it;
//! * [`connection`]: how far a connection is, what may be sent on it, and what waits to be passed on;
//! * [`switch`]: packets of all connections, both ways.
//!
//! Data is copied once, by the host's kernel: from guest memory into a descriptor, or from a descriptor into guest memory. Only what a
//! descriptor does not take at once is kept here, as much as the guest was allowed to send. Queue 2 (events) is for migration, and not used.

mod connection;
mod host;
mod switch;

use std::io;

pub use host::{FromGuest, HostSide, News, Opened, Refused, Request, StreamId, ToGuest};

use self::switch::Switch;
use super::device::{ActivateError, ActivationContext, Attachment, VirtioDevice, read_config_bytes};
use super::device_type;
use super::worker::Worker;
use crate::core::DeviceThreadHandle;
use septum_abi::vsock::{FEATURE_SEQPACKET, GUEST_CID};

/// Queues: to the guest, from the guest, events.
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const QUEUE_SIZES: [u16; 3] = [1024, 1024, 16];

/// The socket device.
pub struct Vsock {
    worker: Worker<Switch>,
}

impl Vsock {
    /// A device in front of `host`, which works on `thread`. The thread should have nothing else to do.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(host: Box<dyn HostSide>, thread: DeviceThreadHandle) -> io::Result<Self> {
        Ok(Self { worker: Worker::new(Switch::new(host)?, thread)? })
    }
}

impl VirtioDevice for Vsock {
    fn device_type(&self) -> u16 {
        device_type::SOCKET
    }

    fn name(&self) -> &'static str {
        "virtio-vsock"
    }

    fn features(&self) -> u64 {
        FEATURE_SEQPACKET
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(&GUEST_CID.to_le_bytes(), offset, data);
    }

    fn attach(&mut self, attachment: Attachment) -> io::Result<()> {
        self.worker.attach(attachment.kicks)
    }

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        Ok(self.worker.start(context.rings)?)
    }

    fn reset(&mut self) {
        self.worker.stop();
    }
}
