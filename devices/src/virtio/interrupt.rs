//! Interrupts of one virtio device: from "queue 3 has news" to an MSI-X message.
//!
//! The transport tells which vector each queue uses and keeps the MSI-X table up to date; devices only signal. Both
//! hold the same [`VirtioInterrupt`]. A signal takes one uncontended lock and sends outside it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};

use crate::core::{MsiSender, lock};
use crate::pci::msix::{Delivery, Message, Table};

/// "No vector" in a vector register (virtio 1.2 section 4.1.5.1.2).
pub const NO_VECTOR: u16 = 0xffff;

/// ISR status: a queue has news (section 4.1.4.5).
const ISR_QUEUE: u8 = 1;
/// ISR status: the configuration changed.
const ISR_CONFIG: u8 = 2;

struct Shared {
    msi: Arc<dyn MsiSender>,
    table: Mutex<Table>,
    config_vector: AtomicU16,
    queue_vectors: Vec<AtomicU16>,
    isr: AtomicU8,
    needs_reset: AtomicBool,
}

/// Handle through which a device interrupts its driver.
#[derive(Clone)]
pub struct VirtioInterrupt {
    shared: Arc<Shared>,
}

impl VirtioInterrupt {
    /// Interrupts of a device with `queues` queues: one vector a queue and one for the configuration.
    pub(crate) fn new(msi: Arc<dyn MsiSender>, queues: u16) -> Self {
        let queue_vectors = (0..queues).map(|_| AtomicU16::new(NO_VECTOR)).collect();
        let shared = Shared {
            msi,
            table: Mutex::new(Table::new(queues.saturating_add(1))),
            config_vector: AtomicU16::new(NO_VECTOR),
            queue_vectors,
            isr: AtomicU8::new(0),
            needs_reset: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Tells the driver that queue `queue` has used buffers.
    pub fn signal_queue(&self, queue: usize) {
        if let Some(vector) = self.shared.queue_vectors.get(queue) {
            self.raise(vector.load(Ordering::Acquire), ISR_QUEUE);
        }
    }

    /// Tells the driver that the device configuration, or the device status, changed.
    pub fn signal_config(&self) {
        self.raise(self.shared.config_vector.load(Ordering::Acquire), ISR_CONFIG);
    }

    /// Says that the device cannot go on until the driver resets it (status bit `DEVICE_NEEDS_RESET`).
    pub fn needs_reset(&self) {
        if !self.shared.needs_reset.swap(true, Ordering::AcqRel) {
            self.signal_config();
        }
    }

    pub(crate) fn is_reset_needed(&self) -> bool {
        self.shared.needs_reset.load(Ordering::Acquire)
    }

    pub(crate) fn set_config_vector(&self, vector: u16) {
        self.shared.config_vector.store(vector, Ordering::Release);
    }

    pub(crate) fn set_queue_vector(&self, queue: usize, vector: u16) {
        if let Some(slot) = self.shared.queue_vectors.get(queue) {
            slot.store(vector, Ordering::Release);
        }
    }

    /// Device reset: no vectors, nothing to report. The MSI-X table belongs to PCI and stays.
    pub(crate) fn reset(&self) {
        self.set_config_vector(NO_VECTOR);
        for vector in &self.shared.queue_vectors {
            vector.store(NO_VECTOR, Ordering::Release);
        }
        self.shared.isr.store(0, Ordering::Release);
        self.shared.needs_reset.store(false, Ordering::Release);
    }

    /// Reads the ISR status, which clears it.
    pub(crate) fn take_isr(&self) -> u8 {
        self.shared.isr.swap(0, Ordering::AcqRel)
    }

    /// Works on the MSI-X table and sends what that released.
    pub(crate) fn with_table<T>(&self, work: impl FnOnce(&mut Table) -> (T, Vec<Message>)) -> T {
        let (result, released) = work(&mut lock(&self.shared.table));
        for message in released {
            self.send(message);
        }
        result
    }

    fn raise(&self, vector: u16, isr: u8) {
        let delivery = lock(&self.shared.table).trigger(vector);
        match delivery {
            Delivery::Now(message) => self.send(message),
            Delivery::Pending => {}
            Delivery::Lost => {
                self.shared.isr.fetch_or(isr, Ordering::AcqRel);
            }
        }
    }

    fn send(&self, message: Message) {
        if let Err(error) = self.shared.msi.signal(message.address, message.data) {
            log::debug!("interrupt to {:#x} was not delivered: {error}", message.address);
        }
    }
}
