//! One active virtqueue, as devices use it.
//!
//! Wraps `virtio_queue::Queue` with what every device needs around it: memory, the interrupt with its suppression
//! (`VIRTQ_AVAIL_F_NO_INTERRUPT` and event index), and one answer to nonsense. A ring whose indices make no sense is
//! *broken*: it yields nothing more, the driver is told once through `DEVICE_NEEDS_RESET`, and only a reset helps.

use std::num::Wrapping;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemory as _};

use super::interrupt::VirtioInterrupt;
use crate::core::{Fault, GuestMemory, GuestMemoryGuard, Misbehaviour, Traffic};

/// Bytes of the used ring before its elements, and of one (virtio 1.2 section 2.7.8); `avail_event` follows them.
const USED_HEADER: u64 = 4;
const USED_ELEMENT: u64 = 8;

/// A buffer that the driver made available.
pub type Chain = DescriptorChain<GuestMemoryGuard>;

/// What the driver wrote into the registers of one queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingAddresses {
    pub size: u16,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
}

/// An active virtqueue.
pub struct Ring {
    queue: Queue,
    number: usize,
    memory: GuestMemory,
    interrupt: VirtioInterrupt,
    misbehaviour: Arc<Misbehaviour>,
    traffic: Arc<Traffic>,
    /// Buffers were given back that the driver has not been interrupted about.
    has_news: bool,
    is_broken: bool,
}

impl Ring {
    /// The ring at these addresses; `None` if they cannot be a ring in guest memory.
    pub(crate) fn new(
        number: usize,
        addresses: RingAddresses,
        has_event_index: bool,
        memory: GuestMemory,
        interrupt: VirtioInterrupt,
        (misbehaviour, traffic): (Arc<Misbehaviour>, Arc<Traffic>),
    ) -> Option<Self> {
        let RingAddresses { size, descriptors, available, used } = addresses;
        let entries = u64::from(size);
        let guard = memory.memory();
        let fits = |start: u64, length: u64| {
            usize::try_from(length).is_ok_and(|length| guard.check_range(GuestAddress(start), length))
        };
        // Sizes of virtio 1.2 section 2.7. The available ring may not lie at zero: virtio_queue takes that for "unset".
        let is_sane = fits(descriptors, 16 * entries)
            && fits(available, 6 + 2 * entries)
            && fits(used, 6 + 8 * entries)
            && available != 0;
        drop(guard);
        let mut queue = Queue::new(size).ok().filter(|_| is_sane)?;
        queue.try_set_desc_table_address(GuestAddress(descriptors)).ok()?;
        queue.try_set_avail_ring_address(GuestAddress(available)).ok()?;
        queue.try_set_used_ring_address(GuestAddress(used)).ok()?;
        queue.set_event_idx(has_event_index);
        queue.set_ready(true);
        Some(Self {
            queue,
            number,
            memory,
            interrupt,
            misbehaviour,
            traffic,
            has_news: false,
            is_broken: false,
        })
    }

    /// Takes the next buffer.
    pub fn pop(&mut self) -> Option<Chain> {
        if self.is_broken {
            return None;
        }
        let size = self.queue.size();
        let next = self.queue.iter(self.memory.memory()).map(|mut available| available.next());
        match next {
            Ok(Some(chain)) if chain.head_index() < size => {
                self.traffic.taken(readable_bytes(&chain));
                return Some(chain);
            }
            Ok(None) => {}
            Ok(Some(_)) => self.break_down("available descriptor index beyond the queue"),
            Err(_) => self.break_down("available index too far ahead"),
        }
        None
    }

    /// Gives a buffer back, with `written` bytes of its device-writable part filled.
    pub fn push(&mut self, head: u16, written: u32) {
        if self.is_broken {
            return;
        }
        self.has_news = true;
        self.traffic.given(written);
        if self.queue.add_used(&*self.memory.memory(), head, written).is_err() {
            self.break_down("used ring is not writable");
        }
    }

    /// Gives back a buffer that does not parse, and counts it.
    pub fn reject(&mut self, head: u16, what: &str) {
        self.misbehaviour.count(Fault::Chain, what);
        self.push(head, 0);
    }

    /// Interrupts the driver about the buffers given back since the last call, if it wants to be interrupted.
    pub fn notify(&mut self) {
        if self.is_broken || !std::mem::take(&mut self.has_news) {
            return;
        }
        let guard = self.memory.memory();
        let is_wanted = if self.queue.event_idx_enabled() {
            self.queue.needs_notification(&*guard).unwrap_or(true)
        } else {
            // The used index must be visible before the flag is looked at.
            std::sync::atomic::fence(Ordering::SeqCst);
            let flags =
                guard.load::<u16>(GuestAddress(self.queue.avail_ring()), Ordering::Relaxed).unwrap_or(0);
            u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0
        };
        if is_wanted {
            self.interrupt.signal_queue(self.number);
        }
    }

    /// Asks the driver for a notification when it makes the next buffer available. True if buffers are available
    /// already: then that notification may not come, and the caller looks again.
    pub fn arm(&mut self) -> bool {
        if self.is_broken {
            return false;
        }
        match self.queue.enable_notification(&*self.memory.memory()) {
            Ok(has_more) => has_more,
            Err(_) => {
                self.break_down("used ring is not writable");
                false
            }
        }
    }

    /// Tells the driver that notifications are not needed for now.
    pub fn disarm(&mut self) {
        if self.is_broken {
            return;
        }
        let guard = self.memory.memory();
        let result = if self.queue.event_idx_enabled() {
            // The buffer for which a notification was asked may not have come yet: one is asked for that has. (`disable_notification` leaves the next one to be
            // notified of, which takes longer than anybody watches where exits are slow.)
            let passed = self.queue.next_avail().wrapping_sub(1);
            let event = self.queue.used_ring() + USED_HEADER + USED_ELEMENT * u64::from(self.queue.size());
            guard.store(passed.to_le(), GuestAddress(event), Ordering::Relaxed).map_err(drop)
        } else {
            self.queue.disable_notification(&*guard).map_err(drop)
        };
        drop(guard);
        if result.is_err() {
            self.break_down("used ring is not writable");
        }
    }

    /// Whether buffers are available, without asking for a notification.
    pub fn has_available(&self) -> bool {
        let index = self.queue.avail_idx(&*self.memory.memory(), Ordering::Acquire);
        !self.is_broken && index.is_ok_and(|index| index != Wrapping(self.queue.next_avail()))
    }

    /// How many buffers are available, without asking for a notification.
    pub fn available(&self) -> u16 {
        let index = self.queue.avail_idx(&*self.memory.memory(), Ordering::Acquire);
        match index {
            Ok(index) if !self.is_broken => (index - Wrapping(self.queue.next_avail())).0,
            _ => 0,
        }
    }

    /// A snapshot of guest memory.
    pub fn memory(&self) -> GuestMemoryGuard {
        self.memory.memory()
    }

    /// Watches the ring for up to `limit` without sleeping; true as soon as buffers are available.
    pub fn spin(&self, limit: Duration) -> bool {
        let start = Instant::now();
        loop {
            if self.has_available() {
                return true;
            }
            if self.is_broken || start.elapsed() >= limit {
                return false;
            }
            for _ in 0..16 {
                std::hint::spin_loop();
            }
        }
    }

    /// Entries of the ring: also the most descriptors that a chain may have.
    pub fn size(&self) -> u16 {
        self.queue.size()
    }

    /// Where to count what the guest does wrong.
    pub fn misbehaviour(&self) -> &Misbehaviour {
        &self.misbehaviour
    }

    fn break_down(&mut self, what: &str) {
        self.is_broken = true;
        self.misbehaviour.count(Fault::Ring, what);
        self.interrupt.needs_reset();
    }
}

/// Bytes of a buffer that the guest filled; they come before those that the device fills (virtio 1.2 section 2.7.4.2).
fn readable_bytes(chain: &Chain) -> u64 {
    let readable = chain.clone().take_while(|descriptor| !descriptor.is_write_only());
    readable.map(|descriptor| u64::from(descriptor.len())).sum()
}

/// The rings of a device, by queue number. Queues that the driver did not enable are absent.
#[derive(Default)]
pub struct Rings {
    rings: Vec<Option<Ring>>,
}

impl Rings {
    pub(crate) fn new(rings: Vec<Option<Ring>>) -> Self {
        Self { rings }
    }

    /// Takes the ring of this queue out, for a device that keeps it elsewhere.
    pub fn take(&mut self, queue: usize) -> Option<Ring> {
        self.rings.get_mut(queue)?.take()
    }

    /// The ring of this queue, if the driver enabled it.
    pub fn get(&mut self, queue: usize) -> Option<&mut Ring> {
        self.rings.get_mut(queue)?.as_mut()
    }
}
