//! Bringing a device up for the guest, through the registers that a driver would use (virtio 1.2 section 3.1.1).
//!
//! For a guest, each of these accesses is an exit; here they are function calls. Nothing about the device is special
//! afterwards: a driver that resets it and begins anew finds it as any other.

use super::common::{FEATURE_VERSION_1, status};
use super::function::VirtioPciFunction;
use super::layout;
use crate::pci::PciFunction as _;

const DRIVER_FEATURE_SELECT: u64 = 0x08;
const DRIVER_FEATURE: u64 = 0x0c;
const DEVICE_STATUS: u64 = 0x14;
const QUEUE_SELECT: u64 = 0x16;
const QUEUE_SIZE: u64 = 0x18;
const QUEUE_MSIX_VECTOR: u64 = 0x1a;
const QUEUE_ENABLE: u64 = 0x1c;
const QUEUE_ADDRESSES: [u64; 3] = [0x20, 0x28, 0x30];
const MSIX_CONTROL: usize = 2;
const MSIX_ENABLE: u16 = 1 << 15;

/// A queue as its driver wants it.
#[derive(Clone, Copy, Debug)]
pub struct QueueSetup {
    /// Its number.
    pub index: u16,
    /// Its descriptors.
    pub size: u16,
    /// Guest-physical addresses of descriptor table, available ring and used ring.
    pub rings: [u64; 3],
}

/// A device as its driver wants it.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Features besides VIRTIO_F_VERSION_1.
    pub features: u64,
    /// The queues that it uses.
    pub queues: &'a [QueueSetup],
    /// Address and data of the interrupt that all of them signal.
    pub message: (u64, u32),
}

/// A device that is up.
#[derive(Clone, Debug)]
pub struct Up {
    /// The features that were agreed on.
    pub features: u64,
    /// The doorbell of each queue of the setup.
    pub doorbells: Vec<u64>,
}

impl VirtioPciFunction {
    /// Brings the device up, which nobody has used yet.
    ///
    /// `None` if it does not agree: a feature or a queue that it does not have, rings outside of memory.
    #[must_use]
    pub fn bring_up(&self, setup: &Setup<'_>) -> Option<Up> {
        let features = setup.features | FEATURE_VERSION_1;
        let base = self.base()?;
        let halves = |value: u64| [value & 0xffff_ffff, value >> 32].map(|half| half.to_le_bytes());
        let write =
            |register: u64, data: &[u8]| self.memory_write(layout::BAR, layout::COMMON + register, data);
        let write_wide = |register: u64, value: u64| {
            let [low, high] = halves(value);
            write(register, &low[..4]);
            write(register + 4, &high[..4]);
        };
        let set_status = |wanted: u8| {
            write(DEVICE_STATUS, &[wanted]);
            let mut found = [0];
            self.memory_read(layout::BAR, layout::COMMON + DEVICE_STATUS, &mut found);
            (found == [wanted]).then_some(())
        };
        let [low, high] = halves(setup.message.0);
        for (offset, word) in
            (0..).step_by(4).zip([&low[..4], &high[..4], &setup.message.1.to_le_bytes(), &[0; 4]])
        {
            self.memory_write(layout::BAR, layout::MSIX_TABLE + offset, word);
        }
        self.config_write(self.msix_capability() + MSIX_CONTROL, &MSIX_ENABLE.to_le_bytes());

        set_status(status::ACKNOWLEDGE)?;
        set_status(status::ACKNOWLEDGE | status::DRIVER)?;
        for (select, half) in (0_u32..).zip(halves(features)) {
            write(DRIVER_FEATURE_SELECT, &select.to_le_bytes());
            write(DRIVER_FEATURE, &half[..4]);
        }
        let agreed = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        set_status(agreed)?;
        let mut doorbells = Vec::with_capacity(setup.queues.len());
        for queue in setup.queues {
            write(QUEUE_SELECT, &queue.index.to_le_bytes());
            write(QUEUE_SIZE, &queue.size.to_le_bytes());
            write(QUEUE_MSIX_VECTOR, &[0, 0]);
            QUEUE_ADDRESSES
                .iter()
                .zip(queue.rings)
                .for_each(|(register, address)| write_wide(*register, address));
            write(QUEUE_ENABLE, &[1, 0]);
            doorbells
                .push(base + layout::NOTIFY + u64::from(queue.index) * u64::from(layout::NOTIFY_MULTIPLIER));
        }
        set_status(agreed | status::DRIVER_OK)?;
        Some(Up { features, doorbells })
    }
}
