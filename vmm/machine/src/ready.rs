//! Devices that are up before the guest runs: see [`septum_abi::ready`].

use septum_abi::layout::{LAPIC_BASE, PAGE_SIZE, READY_RINGS};
use septum_abi::ready::{DEVICES, FIRST_VECTOR, QUEUES, ReadyDevice, ReadyQueue, RingLayout, WISHES, Wish};
use septum_devices::pci::{PciBus, PciError};
use septum_devices::virtio::{QueueSetup, Setup, VirtioDevice};

/// Puts devices on the bus, ready, and keeps the record that the guest gets.
pub struct Readiness {
    /// For the boot page.
    pub devices: [ReadyDevice; DEVICES],
    /// First address that no ring uses.
    free: u64,
}

const _: () = assert!(DEVICES == WISHES.len());
const _: () = assert!(rings_end() <= READY_RINGS.end);

/// Where the rings of a queue end that begin at `start`.
const fn ring_end(start: u64, size: u16) -> u64 {
    (start + RingLayout::of(size).len as u64).next_multiple_of(PAGE_SIZE as u64)
}

/// Where the rings of all wishes end.
const fn rings_end() -> u64 {
    let mut end = READY_RINGS.start;
    let mut device = 0;
    while device < WISHES.len() {
        let mut queue = 0;
        while queue < WISHES[device].queues.len() {
            end = ring_end(end, WISHES[device].queues[queue].1);
            queue += 1;
        }
        device += 1;
    }
    end
}

impl Readiness {
    /// Without devices.
    pub fn new() -> Self {
        Self { devices: Default::default(), free: READY_RINGS.start }
    }

    /// Adds `device`, brought up as the guest's driver wants it.
    ///
    /// # Errors
    /// As [`PciBus::add_ready_virtio`], and if nobody wishes for such a device.
    pub fn add(&mut self, pci: &PciBus, device: Box<dyn VirtioDevice>) -> Result<(), PciError> {
        let place = WISHES.iter().position(|wish| wish.kind == device.device_type());
        let place = place.ok_or(PciError::Setup)?;
        let Wish { kind, features, queues } = WISHES[place];
        let queues: Vec<QueueSetup> = queues.iter().map(|&(index, size)| self.place(index, size)).collect();
        let vector = (FIRST_VECTOR..).nth(place).ok_or(PciError::Setup)?;
        let setup = Setup { features, queues: &queues, message: (LAPIC_BASE, vector) };
        let (address, up) = pci.add_ready_virtio(device, &setup)?;
        let mut records = [ReadyQueue::default(); QUEUES];
        for ((record, queue), doorbell) in records.iter_mut().zip(&queues).zip(up.doorbells) {
            let QueueSetup { index, size, rings: [rings, ..] } = *queue;
            *record = ReadyQueue { index, size, reserved: 0, rings, doorbell };
        }
        self.devices[place] = ReadyDevice {
            kind: u32::from(kind),
            number: u32::from(address.device()),
            features: up.features,
            queues: records,
        };
        Ok(())
    }

    fn place(&mut self, index: u16, size: u16) -> QueueSetup {
        let start = self.free;
        self.free = ring_end(start, size);
        let RingLayout { available, used, .. } = RingLayout::of(size);
        QueueSetup { index, size, rings: [start, start + available as u64, start + used as u64] }
    }
}
