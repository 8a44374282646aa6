//! Entropy device (virtio 1.2 section 5.4): fills buffers with the host's random bytes.

use std::io;

use event_manager::EventOps;
use rustix::rand::{GetRandomFlags, getrandom};

use super::chain::{ChainError, with_writer};
use super::device::{ActivateError, ActivationContext, Attachment, VirtioDevice};
use super::device_type;
use super::ring::{Chain, Rings};
use super::worker::{Backend, Turn, Worker};
use crate::core::DeviceThreadHandle;

const QUEUE: usize = 0;
const QUEUE_SIZES: [u16; 1] = [64];

/// Most bytes given for one buffer. A driver may get fewer than it asked for (section 5.4.6), and asks again.
const MOST_BYTES: usize = 4096;

/// The entropy device.
pub struct Entropy {
    worker: Worker<Source>,
}

impl Entropy {
    /// An entropy device that works on `thread`.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(thread: DeviceThreadHandle) -> io::Result<Self> {
        Ok(Self { worker: Worker::new(Source, thread)? })
    }
}

impl VirtioDevice for Entropy {
    fn device_type(&self) -> u16 {
        device_type::ENTROPY
    }

    fn name(&self) -> &'static str {
        "virtio-entropy"
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
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

struct Source;

impl Backend for Source {
    fn kicked(&mut self, _queue: usize, rings: &mut Rings, _operations: &mut EventOps) -> Turn {
        let Some(ring) = rings.get(QUEUE) else { return Turn::Done };
        ring.disarm();
        // At most one ring full a turn: others share the thread.
        for _ in 0..ring.size() {
            let Some(chain) = ring.pop() else { break };
            let head = chain.head_index();
            match fill(&chain) {
                Ok(written) => ring.push(head, written),
                Err(error) => ring.reject(head, error.describe()),
            }
        }
        ring.notify();
        if ring.arm() { Turn::More } else { Turn::Done }
    }

    fn woken(&mut self, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        self.kicked(QUEUE, rings, operations)
    }
}

fn fill(chain: &Chain) -> Result<u32, ChainError> {
    let mut bytes = [0; MOST_BYTES];
    with_writer(chain, |writer| {
        let wanted = writer.available_bytes().min(MOST_BYTES);
        let Some(bytes) = bytes.get_mut(..wanted).filter(|bytes| !bytes.is_empty()) else {
            return Err(ChainError::TooShort);
        };
        let Ok(length) = getrandom(&mut *bytes, GetRandomFlags::empty()) else { return Ok(0) };
        std::io::Write::write_all(writer, &bytes[..length]).map_err(|_| ChainError::TooShort)?;
        u32::try_from(length).map_err(|_| ChainError::TooLarge)
    })?
}
