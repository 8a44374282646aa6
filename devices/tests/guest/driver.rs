//! A virtio driver: finds a device's registers through its capabilities and brings it up, as virtio 1.2 section 3.1
//! and 4.1 say.

use crate::machine::Machine;
use crate::virtqueue::Virtqueue;

pub const VERSION_1: u64 = 1 << 32;
pub const EVENT_INDEX: u64 = 1 << 29;
pub const INDIRECT_DESCRIPTORS: u64 = 1 << 28;

pub const ACKNOWLEDGE: u8 = 1;
pub const DRIVER: u8 = 2;
pub const DRIVER_OK: u8 = 4;
pub const FEATURES_OK: u8 = 8;
pub const NEEDS_RESET: u8 = 64;

/// Interrupt data of vector `n` is this plus `n`.
pub const VECTOR_DATA: u32 = 0x40;

pub struct Driver<'a> {
    pub machine: &'a Machine,
    pub device: u8,
    /// Guest-physical addresses of the structures.
    pub common: u64,
    pub notify: u64,
    pub isr: u64,
    pub config: u64,
    pub msix_table: u64,
    pub msix_pending: u64,
    /// Offsets of capabilities in configuration space.
    pub msix_capability: u64,
    pub window_capability: u64,
    multiplier: u32,
    features: u64,
}

impl<'a> Driver<'a> {
    /// Finds the device with this virtio type on the bus.
    pub fn probe(machine: &'a Machine, device_type: u32) -> Self {
        let identity = 0x1af4 | (0x1040 + device_type) << 16;
        let device = (0..32).find(|device| machine.config_read32(*device, 0) == identity).expect("device");
        let mut driver = Self {
            machine,
            device,
            common: 0,
            notify: 0,
            isr: 0,
            config: 0,
            msix_table: 0,
            msix_pending: 0,
            msix_capability: 0,
            window_capability: 0,
            multiplier: 0,
            features: 0,
        };
        assert_eq!(driver.config32(0x08) & 0xff, 1, "revision");
        assert_ne!(driver.config32(0x04) >> 16 & 0x10, 0, "capability list");
        let mut at = u64::from(driver.config32(0x34) & 0xff);
        while at != 0 {
            driver.learn(at);
            at = u64::from(driver.config32(at) >> 8 & 0xff);
        }
        driver
    }

    pub fn config32(&self, register: u64) -> u32 {
        self.machine.config_read32(self.device, register)
    }

    fn bar(&self, number: u32) -> u64 {
        let at = 0x10 + 4 * u64::from(number);
        let low = self.config32(at);
        assert_eq!(low & 0b111, 0b100, "64-bit memory BAR");
        u64::from(self.config32(at + 4)) << 32 | u64::from(low & !0xf)
    }

    fn learn(&mut self, at: u64) {
        let header = self.config32(at);
        match header & 0xff {
            0x11 => {
                self.msix_capability = at;
                let (table, pending) = (self.config32(at + 4), self.config32(at + 8));
                self.msix_table = self.bar(table & 7) + u64::from(table & !7);
                self.msix_pending = self.bar(pending & 7) + u64::from(pending & !7);
            }
            0x09 => {
                let bar = self.config32(at + 4) & 0xff;
                let offset = u64::from(self.config32(at + 8));
                match header >> 24 {
                    1 => self.common = self.bar(bar) + offset,
                    2 => {
                        self.notify = self.bar(bar) + offset;
                        self.multiplier = self.config32(at + 16);
                    }
                    3 => self.isr = self.bar(bar) + offset,
                    4 => self.config = self.bar(bar) + offset,
                    5 => self.window_capability = at,
                    8 => assert!(bar != 0 && self.bar(bar) > 0 && header >> 16 & 0xff == 24),
                    other => panic!("capability type {other}"),
                }
            }
            other => panic!("capability {other:#x}"),
        }
    }

    pub fn write8(&self, offset: u64, value: u8) {
        self.machine.write(self.common + offset, &[value]);
    }

    pub fn write16(&self, offset: u64, value: u16) {
        self.machine.write(self.common + offset, &value.to_le_bytes());
    }

    pub fn write32(&self, offset: u64, value: u32) {
        self.machine.write(self.common + offset, &value.to_le_bytes());
    }

    pub fn read8(&self, offset: u64) -> u8 {
        self.machine.read::<1>(self.common + offset)[0]
    }

    pub fn read16(&self, offset: u64) -> u16 {
        u16::from_le_bytes(self.machine.read(self.common + offset))
    }

    pub fn read32(&self, offset: u64) -> u32 {
        u32::from_le_bytes(self.machine.read(self.common + offset))
    }

    pub fn status(&self) -> u8 {
        self.read8(0x14)
    }

    pub fn add_status(&self, bits: u8) {
        self.write8(0x14, self.status() | bits);
    }

    pub fn offered_features(&self) -> u64 {
        self.write32(0x00, 0);
        let low = self.read32(0x04);
        self.write32(0x00, 1);
        u64::from(self.read32(0x04)) << 32 | u64::from(low)
    }

    pub fn accept_features(&mut self, features: u64) {
        self.write32(0x08, 0);
        self.write32(0x0c, features as u32);
        self.write32(0x08, 1);
        self.write32(0x0c, (features >> 32) as u32);
        self.features = features;
    }

    /// Reset and feature negotiation, then MSI-X: steps 1 to 6 of section 3.1.1.
    pub fn begin(&mut self, wanted: u64) {
        self.write8(0x14, 0);
        assert_eq!(self.status(), 0);
        self.add_status(ACKNOWLEDGE);
        self.add_status(DRIVER);
        let features = self.offered_features() & (wanted | VERSION_1);
        self.accept_features(features);
        self.add_status(FEATURES_OK);
        assert_eq!(self.status(), ACKNOWLEDGE | DRIVER | FEATURES_OK);
        self.enable_msix();
    }

    pub fn enable_msix(&self) {
        let control = self.config32(self.msix_capability) >> 16;
        for vector in 0..=(control & 0x7ff) {
            let entry = self.msix_table + 16 * u64::from(vector);
            self.machine.write(entry, &0xfee0_0000_u64.to_le_bytes());
            self.machine.write(entry + 8, &(VECTOR_DATA + vector).to_le_bytes());
            self.machine.write(entry + 12, &0_u32.to_le_bytes());
        }
        self.set_msix_control(0x8000);
        self.write16(0x10, 0);
        assert_eq!(self.read16(0x10), 0);
    }

    pub fn set_msix_control(&self, control: u16) {
        self.machine.config_write(self.device, self.msix_capability + 2, &control.to_le_bytes());
    }

    /// Whether the device has a queue of this number.
    pub fn queue_exists(&self, number: u16) -> bool {
        self.write16(0x16, number);
        self.read16(0x18) != 0
    }

    /// Sets one queue up, at most `limit` entries large, with vector `number + 1`.
    pub fn queue(&self, number: u16, limit: u16) -> Virtqueue<'a> {
        let pages = self.machine.allocate(Virtqueue::BYTES);
        self.queue_at(number, limit, pages)
    }

    /// As `queue`, with the rings at this address.
    pub fn queue_at(&self, number: u16, limit: u16, address: u64) -> Virtqueue<'a> {
        self.write16(0x16, number);
        let size = self.read16(0x18).min(limit);
        assert_ne!(size, 0, "queue {number} does not exist");
        self.write16(0x18, size);
        self.write16(0x1a, number + 1);
        assert_eq!(self.read16(0x1a), number + 1);
        let doorbell = self.notify + u64::from(self.read16(0x1e)) * u64::from(self.multiplier);
        let has_event_index = self.features & EVENT_INDEX != 0;
        let queue = Virtqueue::new(self.machine, number, size, address, doorbell, has_event_index);
        for (offset, address) in [(0x20, queue.descriptors), (0x28, queue.available), (0x30, queue.used)] {
            self.write32(offset, address as u32);
            self.write32(offset + 4, (address >> 32) as u32);
        }
        self.write16(0x1c, 1);
        assert_eq!(self.read16(0x1c), 1);
        queue
    }

    pub fn finish(&self) {
        self.add_status(DRIVER_OK);
        assert_eq!(self.status(), ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// Interrupt data of queue `number`.
    pub fn vector_of(number: u16) -> u32 {
        VECTOR_DATA + 1 + u32::from(number)
    }
}
