//! A virtio device as a PCI function.
//!
//! Two locks: `config` for configuration space and the doorbells that follow the BAR, `device` for the common
//! configuration and the device behind it. Neither is taken while the other is held, except through the PCI
//! configuration access window, which copies what it needs before it lets go of `config`. Doorbell writes and the ISR
//! take neither lock.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::super::device::{ActivationContext, Attachment, Doorkeeper, VirtioDevice};
use super::super::interrupt::VirtioInterrupt;
use super::super::ring::{Ring, Rings};
use super::super::{chain, device_type};
use super::capabilities::{self, Capabilities, window};
use super::common::{
    CommonConfig, Effect, FEATURE_EVENT_INDEX, FEATURE_INDIRECT_DESCRIPTORS, FEATURE_VERSION_1,
};
use super::doorbells::{self, Bell, Doorbells};
use super::layout::{self, Place};
use crate::core::{Fault, GuestMemory, HostServices, Misbehaviour, Traffic, index, lock};
use crate::pci::{ConfigSpace, Identity, PciError, PciFunction};

/// Vendor of virtio devices.
const VENDOR: u16 = 0x1af4;
/// PCI device number of virtio device type 0.
const DEVICE_BASE: u16 = 0x1040;
/// `decoded` while the BAR is not decoded.
const NOT_DECODED: u64 = u64::MAX;

struct Config {
    space: ConfigSpace,
    capabilities: Capabilities,
    doorbells: Doorbells,
}

struct Device {
    common: CommonConfig,
    device: Box<dyn VirtioDevice>,
    is_active: bool,
}

/// The adapter between the bus and a [`VirtioDevice`].
pub struct VirtioPciFunction {
    config: Mutex<Config>,
    device: Mutex<Device>,
    /// Start of the BAR while it is decoded.
    decoded: AtomicU64,
    window: Range<u64>,
    bells: Vec<Bell>,
    doorkeeper: Option<Arc<dyn Doorkeeper>>,
    interrupt: VirtioInterrupt,
    memory: GuestMemory,
    misbehaviour: Arc<Misbehaviour>,
    traffic: Arc<Traffic>,
}

impl VirtioPciFunction {
    /// Puts `device` behind registers whose BAR `allocate` places in `window`.
    ///
    /// # Errors
    /// Too many or too large queues, no room for the BAR, or the host refuses.
    pub fn new(
        mut device: Box<dyn VirtioDevice>,
        services: &HostServices,
        window: Range<u64>,
        allocate: impl FnOnce(u64) -> Result<u64, PciError>,
    ) -> Result<Self, PciError> {
        let sizes = device.queue_max_sizes();
        let is_offerable =
            |size: &u16| *size == 0 || size.is_power_of_two() && usize::from(*size) <= chain::MAX_DESCRIPTORS;
        let queues = u16::try_from(sizes.len()).ok().filter(|queues| *queues <= layout::MAX_QUEUES);
        let queues = queues.filter(|_| sizes.iter().all(is_offerable)).ok_or(PciError::TooLarge)?;
        let offered =
            device.features() | FEATURE_VERSION_1 | FEATURE_EVENT_INDEX | FEATURE_INDIRECT_DESCRIPTORS;
        let common = CommonConfig::new(offered, sizes);
        let base = allocate(layout::BAR_SIZE)?;
        let mut space = ConfigSpace::new(&identity(device.device_type()));
        space = space.with_memory_bar(layout::BAR, layout::BAR_SIZE, base);
        let shared = device.shared_memory();
        let shared_length = shared.as_ref().map(|shared| shared.end - shared.start);
        if let (Some(shared), Some(length)) = (shared, shared_length) {
            space = space.with_memory_bar(layout::SHARED_MEMORY_BAR, length, shared.start);
        }
        let capabilities =
            capabilities::add(&mut space, queues, shared_length).map_err(|_| PciError::TooLarge)?;
        let (bells, events) = doorbells::bells(queues)?;
        let doorbells = Doorbells::new(Arc::clone(&services.kicks), &events, base);
        let interrupt = VirtioInterrupt::new(Arc::clone(&services.msi), queues);
        let misbehaviour = Arc::new(Misbehaviour::new(device.name()));
        let traffic = Arc::new(Traffic::new(device.name()));
        device.attach(Attachment {
            kicks: events,
            interrupt: interrupt.clone(),
            misbehaviour: Arc::clone(&misbehaviour),
        })?;
        let doorkeeper = device.doorkeeper();
        Ok(Self {
            config: Mutex::new(Config { space, capabilities, doorbells }),
            device: Mutex::new(Device { common, device, is_active: false }),
            decoded: AtomicU64::new(base),
            window,
            bells,
            doorkeeper,
            interrupt,
            memory: services.memory.clone(),
            misbehaviour,
            traffic,
        })
    }

    /// Counters of this device.
    #[must_use]
    pub fn misbehaviour(&self) -> Arc<Misbehaviour> {
        Arc::clone(&self.misbehaviour)
    }

    /// What goes through this device.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Where the BAR is, while it is decoded.
    pub(super) fn base(&self) -> Option<u64> {
        let base = self.decoded.load(Ordering::Acquire);
        (base != NOT_DECODED).then_some(base)
    }

    /// Offset of the MSI-X capability in configuration space.
    pub(super) fn msix_capability(&self) -> usize {
        lock(&self.config).capabilities.msix
    }

    /// After configuration space was written: lets doorbells, decoding and interrupts follow.
    fn follow_config(&self, config: &mut Config) {
        let bar = config.space.decoded_bar(layout::BAR);
        let bar = bar.filter(|bar| self.window.start <= bar.start && bar.end <= self.window.end);
        let start = bar.map(|bar| bar.start);
        self.decoded.store(start.unwrap_or(NOT_DECODED), Ordering::Release);
        config.doorbells.move_to(start);
        let control = config.space.word(config.capabilities.msix + 2);
        let is_bus_master = config.space.is_bus_master();
        self.interrupt.with_table(|table| ((), table.set_control(control, is_bus_master)));
    }

    fn common_write(&self, offset: u64, data: &[u8]) {
        let mut device = lock(&self.device);
        let Device { common, device, is_active } = &mut *device;
        common.write(index(offset), data, |common, effect| match effect {
            Effect::Refused(what) => self.misbehaviour.count(Fault::Register, what),
            Effect::ConfigVector(vector) => self.interrupt.set_config_vector(vector),
            Effect::QueueVector(queue, vector) => {
                self.interrupt.set_queue_vector(usize::from(queue), vector);
            }
            Effect::Reset => {
                if std::mem::take(is_active) {
                    device.reset();
                }
                self.interrupt.reset();
            }
            Effect::Activate => *is_active = self.activate(common, device.as_mut()),
        });
    }

    fn activate(&self, common: &CommonConfig, device: &mut dyn VirtioDevice) -> bool {
        let has_event_index = common.features() & FEATURE_EVENT_INDEX != 0;
        let mut rings = Vec::new();
        for (number, addresses) in common.rings().enumerate() {
            let Some(addresses) = addresses else {
                rings.push(None);
                continue;
            };
            let (memory, interrupt) = (self.memory.clone(), self.interrupt.clone());
            let counters = (Arc::clone(&self.misbehaviour), Arc::clone(&self.traffic));
            let ring = Ring::new(number, addresses, has_event_index, memory, interrupt, counters);
            if ring.is_none() {
                self.misbehaviour.count(Fault::Ring, "queue outside guest memory");
                self.interrupt.needs_reset();
                return false;
            }
            rings.push(ring);
        }
        let context = ActivationContext { features: common.features(), rings: Rings::new(rings) };
        match device.activate(context) {
            Ok(()) => true,
            Err(error) => {
                log::warn!("{}: {error}", self.misbehaviour.device());
                self.interrupt.needs_reset();
                false
            }
        }
    }

    fn notify(&self, queue: u64) {
        let bell = self.bells.get(index(queue));
        if let (Some(bell), Some(keeper)) = (bell, &self.doorkeeper)
            && keeper.keeps(index(queue))
        {
            if !keeper.rung(index(queue)) {
                bell.signal();
            }
            return;
        }
        match bell {
            Some(bell) if bell.ring() => lock(&self.config).doorbells.set_busy(index(queue)),
            Some(_) => {}
            None => self.misbehaviour.count(Fault::Register, "doorbell of a queue that does not exist"),
        }
    }

    /// The access that the PCI configuration access capability describes, if it is a legal one.
    fn window_access(config: &Config) -> Option<(u64, usize)> {
        let mut bytes = [0; 12];
        config.space.read(config.capabilities.window + window::BAR, &mut bytes);
        let [bar, _, _, _, o0, o1, o2, o3, l0, l1, l2, l3] = bytes;
        let offset = u32::from_le_bytes([o0, o1, o2, o3]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let is_legal = usize::from(bar) == layout::BAR
            && matches!(length, 1 | 2 | 4)
            && offset.is_multiple_of(length)
            && u64::from(offset) + u64::from(length) <= layout::BAR_SIZE;
        is_legal.then_some((u64::from(offset), index(length)))
    }
}

impl PciFunction for VirtioPciFunction {
    fn config_read(&self, register: usize, data: &mut [u8]) {
        let mut config = lock(&self.config);
        let data_at = config.capabilities.window + window::DATA;
        if touches(register, data.len(), data_at)
            && let Some((offset, length)) = Self::window_access(&config)
        {
            drop(config);
            let mut value = [0; 4];
            self.memory_read(layout::BAR, offset, &mut value[..length]);
            config = lock(&self.config);
            config.space.write(data_at, &value);
        }
        config.space.read(register, data);
    }

    fn config_write(&self, register: usize, data: &[u8]) {
        let mut config = lock(&self.config);
        config.space.write(register, data);
        self.follow_config(&mut config);
        let data_at = config.capabilities.window + window::DATA;
        if touches(register, data.len(), data_at)
            && let Some((offset, length)) = Self::window_access(&config)
        {
            let mut value = [0; 4];
            config.space.read(data_at, &mut value);
            drop(config);
            self.memory_write(layout::BAR, offset, &value[..length]);
        }
    }

    fn claim(&self, address: u64) -> Option<(usize, u64)> {
        let offset = address.checked_sub(self.decoded.load(Ordering::Acquire))?;
        (offset < layout::BAR_SIZE).then_some((layout::BAR, offset))
    }

    fn memory_read(&self, _bar: usize, offset: u64, data: &mut [u8]) {
        data.fill(0);
        match Place::of(offset) {
            Place::Common(at) => {
                let is_stuck = self.interrupt.is_reset_needed();
                lock(&self.device).common.read(index(at), data, is_stuck);
            }
            Place::Isr(0) => {
                if let Some(first) = data.first_mut() {
                    *first = self.interrupt.take_isr();
                }
            }
            Place::Device(at) => lock(&self.device).device.read_config(at, data),
            Place::MsixTable(at) => {
                self.interrupt.with_table(|table| (table.read_table(at, data), Vec::new()));
            }
            Place::MsixPending(at) => {
                self.interrupt.with_table(|table| (table.read_pending(at, data), Vec::new()));
            }
            Place::Isr(_) | Place::Notify(_) | Place::Nowhere => {}
        }
    }

    fn memory_write(&self, _bar: usize, offset: u64, data: &[u8]) {
        match Place::of(offset) {
            Place::Common(at) => self.common_write(at, data),
            Place::Device(at) => lock(&self.device).device.write_config(at, data),
            Place::MsixTable(at) => {
                let is_known = self.interrupt.with_table(|table| match table.write_table(at, data) {
                    Some(released) => (true, released),
                    None => (false, Vec::new()),
                });
                if !is_known {
                    self.misbehaviour.count(Fault::Register, "strange access to the MSI-X table");
                }
            }
            Place::Notify(queue) => self.notify(queue),
            Place::Isr(_) | Place::MsixPending(_) | Place::Nowhere => {
                self.misbehaviour.count(Fault::Register, "write to a read-only register");
            }
        }
    }
}

/// Whether an access of `length` bytes at `register` touches the four bytes at `at`.
fn touches(register: usize, length: usize, at: usize) -> bool {
    register < at + 4 && at < register.saturating_add(length)
}

fn identity(device_type: u16) -> Identity {
    Identity {
        vendor: VENDOR,
        device: DEVICE_BASE.wrapping_add(device_type),
        revision: 1,
        class: match device_type {
            device_type::CONSOLE => 0x07_80_00,
            device_type::FILE_SYSTEM => 0x01_80_00,
            device_type::BALLOON => 0x05_80_00,
            _ => 0xff_00_00,
        },
        subsystem_vendor: VENDOR,
        subsystem: DEVICE_BASE.wrapping_add(device_type),
    }
}
