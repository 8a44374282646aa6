//! Memory balloon (virtio 1.2 section 5.5), for the sake of free page reporting: the guest names memory that it does
//! not use, and the host takes it back.
//!
//! ```text
//! queue 0  inflate            page numbers: the host may have these pages
//! queue 1  deflate            page numbers: the guest uses them again
//! queue 2, 3                  statistics, free page hints: not offered, so they do not exist
//! queue 4  reporting          ranges of free memory; they are zero when the buffer comes back
//! ```
//!
//! The host never asks for pages: the target size stays zero. What a buffer of the reporting queue held is gone once the buffer
//! is used, and its used length says so: all of its bytes, which are zero now, or none if the host kept them. A driver that
//! knows this need not clear them. (The specification leaves contents open.)
//!
//! The guest chooses what it loses, so nothing here protects it from itself. The host is protected by
//! [`MemoryReclaimer`]: only whole pages of guest RAM are ever taken.

use std::io::{self, Read as _};
use std::sync::Arc;

use event_manager::EventOps;

use super::chain::{ChainError, check_length, with_reader};
use super::device::{ActivateError, ActivationContext, Attachment, VirtioDevice, read_config_bytes};
use super::device_type;
use super::ring::{Chain, Ring, Rings};
use super::worker::{Backend, Turn, Worker};
use crate::core::{DeviceThreadHandle, index};

const INFLATE: usize = 0;
const REPORTING: usize = 4;
const QUEUE_SIZES: [u16; 5] = [16, 16, 0, 0, 32];

/// VIRTIO_BALLOON_F_PAGE_REPORTING
const FEATURE_PAGE_REPORTING: u64 = 1 << 5;

/// Offset in the configuration of `actual`, the one field that the driver writes.
const ACTUAL: u64 = 4;
/// Bytes of a page in this device, whatever the guest's own pages are.
const PAGE: u64 = 4096;
/// Most pages named in one buffer of the inflate queue.
const MOST_PAGES: usize = 1024;

/// Takes guest memory back.
pub trait MemoryReclaimer: Send + Sync {
    /// Gives the memory behind the guest-physical range back to the host; on success the guest finds zeros there.
    ///
    /// Called on a device thread, with ranges as the guest named them.
    ///
    /// # Errors
    /// The range is not made of whole pages of guest RAM (`InvalidInput`), or the host refused.
    fn reclaim(&self, start: u64, len: u64) -> io::Result<()>;
}

/// The balloon.
pub struct Balloon {
    worker: Worker<Host>,
    actual: [u8; 4],
}

impl Balloon {
    /// A balloon that works on `thread` and gives memory to `reclaimer`.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(reclaimer: Arc<dyn MemoryReclaimer>, thread: DeviceThreadHandle) -> io::Result<Self> {
        Ok(Self { worker: Worker::new(Host { reclaimer }, thread)?, actual: [0; 4] })
    }
}

impl VirtioDevice for Balloon {
    fn device_type(&self) -> u16 {
        device_type::BALLOON
    }

    fn name(&self) -> &'static str {
        "virtio-balloon"
    }

    fn features(&self) -> u64 {
        FEATURE_PAGE_REPORTING
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut config = [0; 8];
        config[index(ACTUAL)..].copy_from_slice(&self.actual);
        read_config_bytes(&config, offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if offset == ACTUAL
            && let Ok(actual) = data.try_into()
        {
            self.actual = actual;
        }
    }

    fn attach(&mut self, attachment: Attachment) -> io::Result<()> {
        self.worker.attach(attachment.kicks)
    }

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        Ok(self.worker.start(context.rings)?)
    }

    fn reset(&mut self) {
        self.actual = [0; 4];
        self.worker.stop();
    }
}

struct Host {
    reclaimer: Arc<dyn MemoryReclaimer>,
}

impl Backend for Host {
    fn kicked(&mut self, queue: usize, rings: &mut Rings, _operations: &mut EventOps) -> Turn {
        let Some(ring) = rings.get(queue) else { return Turn::Done };
        ring.disarm();
        // One buffer a turn: taking memory back takes time, and others share the thread.
        if let Some(chain) = ring.pop() {
            self.serve(queue, &chain, ring);
        }
        ring.notify();
        if ring.arm() { Turn::More } else { Turn::Done }
    }

    fn woken(&mut self, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        let mut turn = Turn::Done;
        for queue in 0..QUEUE_SIZES.len() {
            if self.kicked(queue, rings, operations) == Turn::More {
                turn = Turn::More;
            }
        }
        turn
    }
}

impl Host {
    fn serve(&self, queue: usize, chain: &Chain, ring: &mut Ring) {
        let head = chain.head_index();
        let result = match queue {
            REPORTING => self.take_reported(chain),
            INFLATE => self.take_pages(chain).map(|()| 0),
            // Deflated pages come back by themselves when the guest touches them.
            _ => Ok(0),
        };
        match result {
            Ok(written) => ring.push(head, written),
            Err(error) => ring.reject(head, error.describe()),
        }
    }

    /// Takes all ranges of the chain back. Tells how many bytes are zero now: all, or none if the host refused some.
    fn take_reported(&self, chain: &Chain) -> Result<u32, ChainError> {
        check_length(chain)?;
        let mut total = 0_u32;
        for range in chain.clone() {
            if !range.is_write_only() {
                return Err(ChainError::TooShort);
            }
            total = total.checked_add(range.len()).ok_or(ChainError::TooLarge)?;
            match self.reclaimer.reclaim(range.addr().0, u64::from(range.len())) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(ChainError::Outside),
                Err(error) => {
                    log::warn!("virtio-balloon: the host keeps guest memory: {error}");
                    return Ok(0);
                }
            }
        }
        Ok(total)
    }

    /// Takes the pages back whose numbers are in the chain, neighbours together.
    fn take_pages(&self, chain: &Chain) -> Result<(), ChainError> {
        let mut bytes = [0; 4 * MOST_PAGES];
        let len = with_reader(chain, 0, |reader| {
            let len = reader.available_bytes();
            let target = bytes.get_mut(..len).ok_or(ChainError::TooLarge)?;
            reader.read_exact(target).map_err(|_| ChainError::TooShort)?;
            Ok(len)
        })??;
        let (numbers, []) = bytes[..len].as_chunks::<4>() else { return Err(ChainError::TooShort) };
        let mut numbers = numbers.iter().map(|number| u64::from(u32::from_le_bytes(*number))).peekable();
        while let Some(first) = numbers.next() {
            let mut count = 1;
            while numbers.next_if_eq(&(first + count)).is_some() {
                count += 1;
            }
            self.reclaimer.reclaim(first * PAGE, count * PAGE).map_err(|_| ChainError::Outside)?;
        }
        Ok(())
    }
}
