//! The virtio PCI transport (virtio 1.2 section 4.1): finding a device's registers, and bringing it up.
//!
//! ```text
//! probe -> negotiate (ACKNOWLEDGE, DRIVER, features, FEATURES_OK) -> queue, queue, ... -> start (DRIVER_OK)
//! ready ----- what was agreed ----------------------- what is set up ----------------- nothing
//! ```
//!
//! Every register access is an exit, so the host does all of this ahead for the devices that every partition uses
//! ([`ready`](super::ready)); drivers do not see the difference.
//!
//! All queues of a device share one MSI-X vector: waiters look at their own queue when it fires. Devices are fresh when the kernel
//! starts, so they are not reset, and registers whose value is zero after reset are not written. Queues that a driver does not
//! need are not set up.

use super::queue::Queue;
use super::ready::Ready;
use crate::pci::{Capability, Function};
use crate::platform::{Line, Region, Registers};
use septum_abi::linux::Errno;
use septum_abi::ready::RingLayout;
use septum_guest_hal::address::PhysAddr;

/// Vendor of all virtio devices.
const VENDOR: u16 = 0x1af4;
/// Device number of the device with type 0.
const FIRST_DEVICE: u16 = 0x1040;

/// Features of every kind of device.
pub mod feature {
    /// The device follows virtio 1.0 or later (VIRTIO_F_VERSION_1).
    pub const VERSION_1: u64 = 1 << 32;
}

/// Device types (virtio 1.2 section 5).
pub mod device_type {
    /// Block device.
    pub const BLOCK: u16 = 2;
    /// Console.
    pub const CONSOLE: u16 = 3;
    /// Entropy source.
    pub const ENTROPY: u16 = 4;
    /// Memory balloon.
    pub const BALLOON: u16 = 5;
    /// Sockets.
    pub const SOCKET: u16 = 19;
    /// File system.
    pub const FILE_SYSTEM: u16 = 26;
}

mod capability {
    pub const VENDOR_SPECIFIC: u8 = 0x09;
    pub const MSIX: u8 = 0x11;
    pub const COMMON: u8 = 1;
    pub const NOTIFY: u8 = 2;
    pub const DEVICE: u8 = 4;
    pub const SHARED_MEMORY: u8 = 8;
}

/// Common configuration, section 4.1.4.3.
mod common {
    pub const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub const DEVICE_FEATURE: usize = 0x04;
    pub const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub const DRIVER_FEATURE: usize = 0x0c;
    pub const DEVICE_STATUS: usize = 0x14;
    pub const QUEUE_SELECT: usize = 0x16;
    pub const QUEUE_SIZE: usize = 0x18;
    pub const QUEUE_MSIX_VECTOR: usize = 0x1a;
    pub const QUEUE_ENABLE: usize = 0x1c;
    pub const QUEUE_NOTIFY_OFF: usize = 0x1e;
    pub const QUEUE_DESC: usize = 0x20;
    pub const QUEUE_DRIVER: usize = 0x28;
    pub const QUEUE_DEVICE: usize = 0x30;
    pub const SIZE: usize = 0x38;
}

mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
}

mod msix {
    pub const ENTRY_SIZE: usize = 16;
    pub const ADDRESS_LOW: usize = 0;
    pub const ADDRESS_HIGH: usize = 4;
    pub const DATA: usize = 8;
    pub const CONTROL: usize = 12;
    pub const ENABLE: u16 = 1 << 15;
}

/// Why a device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// A structure that every device has is missing, or lies outside of the device memory.
    Structure,
    /// It does not do virtio 1.0, or lacks a feature that the driver cannot do without.
    Features,
    /// There is no such queue.
    Queue,
    /// Memory or interrupt vectors ran out.
    Resources,
    /// The device answers what it should not.
    Protocol(Errno),
}

/// The way to a virtio device.
pub enum Transport {
    /// Through its registers.
    Probed(Probed),
    /// The host has been there.
    Ready(Ready),
}

impl Transport {
    /// Finds the registers of a function that is a virtio device, and sends its interrupts to a line of its own.
    pub fn probe(function: &Function) -> Result<Self, TransportError> {
        Probed::find(function).map(Self::Probed)
    }

    /// Agrees on features: those of `wanted` that the device has. Errs if one of `required` is missing.
    pub fn negotiate(&self, wanted: u64, required: u64) -> Result<u64, TransportError> {
        match self {
            Self::Probed(device) => device.negotiate(wanted, required),
            Self::Ready(device) => device.negotiate(wanted, required),
        }
    }

    /// Sets queue `index` up with up to `size` descriptors (a power of two).
    pub fn queue(&self, index: u16, size: u16) -> Result<Queue, TransportError> {
        match self {
            Self::Probed(device) => device.queue(index, size),
            Self::Ready(device) => device.queue(index, size),
        }
    }

    /// Lets the device work: its queues are set up.
    pub fn start(&self) {
        match self {
            Self::Probed(device) => device.start(),
            Self::Ready(_) => {}
        }
    }
}

/// A virtio device on the PCI bus, and its registers.
pub struct Probed {
    common: Registers,
    notify: PhysAddr,
    notify_multiplier: u32,
    line: Line,
}

/// The virtio device type of a function, if it is a virtio device.
#[must_use]
pub fn type_of(function: &Function) -> Option<u16> {
    if function.vendor != VENDOR { None } else { function.device.checked_sub(FIRST_DEVICE) }
}

/// The address of BARs, each read once.
struct Bars<'a> {
    function: &'a Function,
    last: Option<(usize, PhysAddr)>,
}

impl Bars<'_> {
    fn address(&mut self, index: u32, offset: u32) -> Option<PhysAddr> {
        let index = usize::try_from(index).ok()?;
        let base = match self.last {
            Some((known, base)) if known == index => base,
            _ => self.function.bar(index)?,
        };
        self.last = Some((index, base));
        Some(PhysAddr(base.0.checked_add(u64::from(offset))?))
    }
}

impl Probed {
    fn find(function: &Function) -> Result<Self, TransportError> {
        let line = Line::allocate().ok_or(TransportError::Resources)?;
        let mut bars = Bars { function, last: None };
        let (mut common, mut notify, mut msix) = (None, None, None);
        for capability in function.capabilities() {
            let at = capability.offset;
            match (capability.id, capability.extra.to_le_bytes()[1]) {
                (capability::VENDOR_SPECIFIC, kind @ (capability::COMMON | capability::NOTIFY)) => {
                    let address = bars.address(function.read(at + 4) & 0xff, function.read(at + 8));
                    match kind {
                        capability::COMMON if common.is_none() => common = address,
                        capability::NOTIFY if notify.is_none() => {
                            notify = address.zip(Some(function.read(at + 16)))
                        }
                        _ => {}
                    }
                }
                (capability::MSIX, _) => msix = Some(capability),
                _ => {}
            }
            if common.is_some() && notify.is_some() && msix.is_some() {
                break;
            }
        }
        let common = common.and_then(|address| Registers::map(address, common::SIZE));
        let (notify, notify_multiplier) = notify.ok_or(TransportError::Structure)?;
        enable_interrupts(&mut bars, &msix.ok_or(TransportError::Structure)?, &line)?;
        let common = common.ok_or(TransportError::Structure)?;
        Ok(Self { common, notify, notify_multiplier, line })
    }

    fn negotiate(&self, wanted: u64, required: u64) -> Result<u64, TransportError> {
        let common = &self.common;
        common.write_u8(common::DEVICE_STATUS, status::ACKNOWLEDGE | status::DRIVER);
        common.write_u32(common::DEVICE_FEATURE_SELECT, 0);
        let low = common.read_u32(common::DEVICE_FEATURE);
        common.write_u32(common::DEVICE_FEATURE_SELECT, 1);
        let high = common.read_u32(common::DEVICE_FEATURE);
        let offered = u64::from(high) << 32 | u64::from(low);
        let required = required | feature::VERSION_1;
        let features = offered & (wanted | required);
        if features & required != required {
            return Err(TransportError::Features);
        }
        let bytes = features.to_le_bytes();
        for (select, half) in [(0, &bytes[..4]), (1, &bytes[4..])] {
            common.write_u32(common::DRIVER_FEATURE_SELECT, select);
            let half = half.try_into().map_or(0, u32::from_le_bytes);
            common.write_u32(common::DRIVER_FEATURE, half);
        }
        let agreed = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        common.write_u8(common::DEVICE_STATUS, agreed);
        if common.read_u8(common::DEVICE_STATUS) & status::FEATURES_OK == 0 {
            return Err(TransportError::Features);
        }
        Ok(features)
    }

    fn queue(&self, index: u16, size: u16) -> Result<Queue, TransportError> {
        let common = &self.common;
        common.write_u16(common::QUEUE_SELECT, index);
        let limit = common.read_u16(common::QUEUE_SIZE);
        if limit == 0 || !size.is_power_of_two() {
            return Err(TransportError::Queue);
        }
        // Without the packed ring, the limit is a power of two as well.
        let size = if limit.is_power_of_two() { size.min(limit) } else { 1 };
        if size != limit {
            common.write_u16(common::QUEUE_SIZE, size);
        }
        common.write_u16(common::QUEUE_MSIX_VECTOR, 0);
        let layout = RingLayout::of(size);
        let region = Region::allocate(layout.len).ok_or(TransportError::Resources)?;
        let start = region.address().0;
        self.write_address(common::QUEUE_DESC, start);
        self.write_address(common::QUEUE_DRIVER, start + layout.available as u64);
        self.write_address(common::QUEUE_DEVICE, start + layout.used as u64);
        let position =
            u64::from(common.read_u16(common::QUEUE_NOTIFY_OFF)) * u64::from(self.notify_multiplier);
        let doorbell =
            Registers::map(PhysAddr(self.notify.0 + position), 2).ok_or(TransportError::Structure)?;
        common.write_u16(common::QUEUE_ENABLE, 1);
        Ok(Queue::new(index, size, region, doorbell, self.line.clone()))
    }

    /// Writes a 64-bit register, of which the upper half is zero after reset.
    fn write_address(&self, register: usize, address: u64) {
        let bytes = address.to_le_bytes();
        let half = |range: core::ops::Range<usize>| bytes[range].try_into().map_or(0, u32::from_le_bytes);
        self.common.write_u32(register, half(0..4));
        let high = half(4..8);
        if high != 0 {
            self.common.write_u32(register + 4, high);
        }
    }

    fn start(&self) {
        let all = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;
        self.common.write_u8(common::DEVICE_STATUS, all);
    }
}

/// The first `len` bytes of a device's own configuration (section 4.1.4.6), if it has any.
#[must_use]
pub fn device_configuration(function: &Function, len: usize) -> Option<Registers> {
    let found = function.capabilities().find(|capability| {
        let [_, kind] = capability.extra.to_le_bytes();
        (capability.id, kind) == (capability::VENDOR_SPECIFIC, capability::DEVICE)
    })?;
    let mut bars = Bars { function, last: None };
    let address = bars.address(function.read(found.offset + 4) & 0xff, function.read(found.offset + 8))?;
    Registers::map(address, len)
}

/// Memory that a device shares with the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedMemory {
    /// Where it begins.
    pub start: PhysAddr,
    /// Its bytes.
    pub len: u64,
}

/// Shared memory region 0 of a device (section 4.1.4.7), if it has one.
#[must_use]
pub fn shared_memory(function: &Function) -> Option<SharedMemory> {
    let found = function.capabilities().find(|capability| {
        let [_, kind] = capability.extra.to_le_bytes();
        (capability.id, kind) == (capability::VENDOR_SPECIFIC, capability::SHARED_MEMORY)
    })?;
    let word = |offset: usize| u64::from(function.read(found.offset + offset));
    // BAR, id | offset | length | upper half of the offset | of the length
    let place = function.read(found.offset + 4).to_le_bytes();
    let [bar, 0, ..] = place else { return None };
    let start = function.bar(usize::from(bar))?.0.checked_add(word(16) << 32 | word(8))?;
    Some(SharedMemory { start: PhysAddr(start), len: word(20) << 32 | word(12) })
}

/// Sends vector 0 to `line` and turns MSI-X on.
fn enable_interrupts(
    bars: &mut Bars<'_>,
    capability: &Capability,
    line: &Line,
) -> Result<(), TransportError> {
    let place = bars.function.read(capability.offset + 4);
    let table =
        bars.address(place & 7, place & !7).and_then(|address| Registers::map(address, msix::ENTRY_SIZE));
    let table = table.ok_or(TransportError::Structure)?;
    let (address, data) = line.message();
    let bytes = address.to_le_bytes();
    table.write_u32(msix::ADDRESS_LOW, bytes[..4].try_into().map_or(0, u32::from_le_bytes));
    table.write_u32(msix::ADDRESS_HIGH, bytes[4..].try_into().map_or(0, u32::from_le_bytes));
    table.write_u32(msix::DATA, data);
    table.write_u32(msix::CONTROL, 0);
    bars.function.write_u16(capability.offset + 2, msix::ENABLE);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci;
    use crate::testing::{self, Answer, Model};
    use septum_abi::layout::{ECAM_BASE, LAPIC_BASE};

    struct Nothing;

    impl Model for Nothing {
        fn device_type(&self) -> u16 {
            4
        }
        fn features(&self) -> u64 {
            0b1010
        }
        fn queue_sizes(&self) -> Vec<u16> {
            vec![16, 256]
        }
        fn request(&mut self, _queue: u16, _output: &[u8], _capacity: usize) -> Answer {
            Answer::Reply(Vec::new())
        }
        fn as_any(&mut self) -> &mut dyn std::any::Any {
            self
        }
    }

    #[test]
    fn a_device_is_found_and_brought_up_with_few_accesses() {
        let machine = testing::machine(vec![Box::new(Nothing), Box::new(Nothing)]);
        let found: Vec<_> = pci::functions(ECAM_BASE, machine.pci_devices()).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(type_of(&found[1]), Some(device_type::ENTROPY));
        let transport = Transport::probe(&found[0]).unwrap();
        assert_eq!(transport.negotiate(0b0110, 0), Ok(feature::VERSION_1 | 0b0010));
        let queue = transport.queue(1, 64).unwrap();
        assert_eq!(queue.size(), 64);
        assert_eq!(transport.queue(2, 64).err(), Some(TransportError::Queue));
        transport.start();
        machine.with_device(0, |device, _| {
            assert_eq!(device.status, 15);
            assert_eq!(device.driver_features, feature::VERSION_1 | 0b0010);
            assert_eq!(device.table[..8], LAPIC_BASE.to_le_bytes());
            assert_eq!(device.table[8..], [0x40, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!((device.queues[1].size, device.queues[1].vector), (64, 0));
            assert!(device.queues[1].is_enabled && !device.queues[0].is_enabled);
        });
        assert!(machine.accesses() < 60, "{}", machine.accesses());
    }

    #[test]
    fn a_missing_feature_is_an_error() {
        let machine = testing::machine(vec![Box::new(Nothing)]);
        let function = pci::functions(ECAM_BASE, machine.pci_devices()).next().unwrap();
        let transport = Transport::probe(&function).unwrap();
        assert_eq!(transport.negotiate(0, 1), Err(TransportError::Features));
    }

    #[test]
    fn broken_capabilities_are_an_error() {
        let machine = testing::machine(vec![Box::new(Nothing)]);
        machine.with_device(0, |device, _| device.config[0x41] = 0x40);
        let function = pci::functions(ECAM_BASE, machine.pci_devices()).next().unwrap();
        assert_eq!(Transport::probe(&function).err(), Some(TransportError::Structure));
    }
}
