//! Common configuration: a pure model of the registers through which a driver brings a device up
//! (virtio 1.2 sections 2.1, 2.2, 3.1 and 4.1.4.3).
//!
//! ```text
//! 0x00 device_feature_select  0x04 device_feature     0x08 driver_feature_select  0x0c driver_feature
//! 0x10 config_msix_vector     0x12 num_queues         0x14 device_status          0x15 config_generation
//! 0x16 queue_select           0x18 queue_size         0x1a queue_msix_vector      0x1c queue_enable
//! 0x1e queue_notify_off       0x20 queue_desc         0x28 queue_driver           0x30 queue_device
//! 0x38 queue_notify_data      0x3a queue_reset
//! ```
//!
//! The status only moves forward, and each bit has its condition; a write that breaks one changes nothing:
//!
//! ```text
//! 0 ─► ACKNOWLEDGE ─► DRIVER ─► FEATURES_OK ─► DRIVER_OK        any ─► FAILED        any ─(write 0)─► 0
//!                                │ features ⊆ offered,   │ rings become the device's
//!                                │ VERSION_1 among them
//! ```
//!
//! Registers may be accessed in their own width, as the specification asks, and also several at a time: an access
//! that covers whole registers works on each, in ascending order. That saves a guest exits.

use super::super::interrupt::NO_VECTOR;
use super::super::ring::RingAddresses;

/// The device and driver speak virtio 1.0 or later.
pub const FEATURE_VERSION_1: u64 = 1 << 32;
/// Descriptors may point to tables of descriptors.
pub const FEATURE_INDIRECT_DESCRIPTORS: u64 = 1 << 28;
/// Notifications are suppressed by index.
pub const FEATURE_EVENT_INDEX: u64 = 1 << 29;

/// Device status bits (section 2.1).
pub mod status {
    /// The guest noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The guest has a driver.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// The features are agreed.
    pub const FEATURES_OK: u8 = 8;
    /// The device is stuck until reset.
    pub const DEVICE_NEEDS_RESET: u8 = 64;
    /// The driver gave up.
    pub const FAILED: u8 = 128;
}

const SIZE: usize = 0x40;

/// Registers as (offset, width); 64-bit registers appear as their halves.
const REGISTERS: [(usize, usize, Register); 21] = [
    (0x00, 4, Register::DeviceFeatureSelect),
    (0x04, 4, Register::ReadOnly),
    (0x08, 4, Register::DriverFeatureSelect),
    (0x0c, 4, Register::DriverFeature),
    (0x10, 2, Register::ConfigVector),
    (0x12, 2, Register::ReadOnly),
    (0x14, 1, Register::Status),
    (0x15, 1, Register::ReadOnly),
    (0x16, 2, Register::QueueSelect),
    (0x18, 2, Register::QueueSize),
    (0x1a, 2, Register::QueueVector),
    (0x1c, 2, Register::QueueEnable),
    (0x1e, 2, Register::ReadOnly),
    (0x20, 4, Register::Descriptors(Half::Low)),
    (0x24, 4, Register::Descriptors(Half::High)),
    (0x28, 4, Register::Available(Half::Low)),
    (0x2c, 4, Register::Available(Half::High)),
    (0x30, 4, Register::Used(Half::Low)),
    (0x34, 4, Register::Used(Half::High)),
    (0x38, 2, Register::ReadOnly),
    (0x3a, 2, Register::ReadOnly),
];

#[derive(Clone, Copy, Debug)]
enum Half {
    Low,
    High,
}

#[derive(Clone, Copy, Debug)]
enum Register {
    ReadOnly,
    DeviceFeatureSelect,
    DriverFeatureSelect,
    DriverFeature,
    ConfigVector,
    Status,
    QueueSelect,
    QueueSize,
    QueueVector,
    QueueEnable,
    Descriptors(Half),
    Available(Half),
    Used(Half),
}

/// What the transport has to do after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The driver reset the device.
    Reset,
    /// The driver is ready: the device starts.
    Activate,
    /// Configuration changes use this vector.
    ConfigVector(u16),
    /// This queue uses this vector.
    QueueVector(u16, u16),
    /// The driver did what it may not do; nothing changed.
    Refused(&'static str),
}

#[derive(Clone, Debug)]
struct QueueRegisters {
    max_size: u16,
    size: u16,
    vector: u16,
    is_enabled: bool,
    descriptors: u64,
    available: u64,
    used: u64,
}

impl QueueRegisters {
    fn new(max_size: u16) -> Self {
        let vector = NO_VECTOR;
        Self { max_size, size: max_size, vector, is_enabled: false, descriptors: 0, available: 0, used: 0 }
    }
}

/// The registers.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    offered: u64,
    accepted: u64,
    device_feature_select: u32,
    driver_feature_select: u32,
    config_vector: u16,
    status: u8,
    queue_select: u16,
    queues: Vec<QueueRegisters>,
}

impl CommonConfig {
    /// Registers of a device that offers these features (the transport's own included) and queues.
    #[must_use]
    pub fn new(offered: u64, queue_max_sizes: &[u16]) -> Self {
        Self {
            offered,
            accepted: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            queue_select: 0,
            queues: queue_max_sizes.iter().copied().map(QueueRegisters::new).collect(),
        }
    }

    /// Features that both sides agreed on.
    #[must_use]
    pub fn features(&self) -> u64 {
        self.accepted
    }

    /// Whether the driver is ready.
    #[must_use]
    pub fn is_driver_ready(&self) -> bool {
        self.status & status::DRIVER_OK != 0
    }

    /// What the driver configured for each queue; `None` for queues that it did not enable.
    pub(crate) fn rings(&self) -> impl Iterator<Item = Option<RingAddresses>> {
        self.queues.iter().map(|queue| {
            queue.is_enabled.then_some(RingAddresses {
                size: queue.size,
                descriptors: queue.descriptors,
                available: queue.available,
                used: queue.used,
            })
        })
    }

    /// Back to the state after power-on.
    pub fn reset(&mut self) {
        let sizes: Vec<u16> = self.queues.iter().map(|queue| queue.max_size).collect();
        *self = Self::new(self.offered, &sizes);
    }

    /// Reads registers. `is_stuck` says whether to show `DEVICE_NEEDS_RESET`.
    pub fn read(&self, offset: usize, data: &mut [u8], is_stuck: bool) {
        let image = self.image(is_stuck);
        for (position, byte) in data.iter_mut().enumerate() {
            *byte = image.get(offset.saturating_add(position)).copied().unwrap_or(0);
        }
    }

    /// Writes every register that the access covers, calling `on_effect` for what follows from each.
    pub fn write(&mut self, offset: usize, data: &[u8], mut on_effect: impl FnMut(&mut Self, Effect)) {
        let mut has_covered = false;
        for (at, width, register) in REGISTERS {
            let covered = at.checked_sub(offset).and_then(|start| data.get(start..start.checked_add(width)?));
            let Some(bytes) = covered else { continue };
            has_covered = true;
            let mut value = [0; 4];
            value[..width].copy_from_slice(bytes);
            if let Some(effect) = self.write_register(register, u32::from_le_bytes(value)) {
                on_effect(self, effect);
            }
        }
        if !has_covered {
            on_effect(self, Effect::Refused("common configuration written in part of a register"));
        }
    }

    fn image(&self, is_stuck: bool) -> [u8; SIZE] {
        let device_feature = match self.device_feature_select {
            0 => self.offered & 0xffff_ffff,
            1 => self.offered >> 32,
            _ => 0,
        };
        let driver_feature = match self.driver_feature_select {
            0 => self.accepted & 0xffff_ffff,
            1 => self.accepted >> 32,
            _ => 0,
        };
        let stuck = if is_stuck { status::DEVICE_NEEDS_RESET } else { 0 };
        let queue_count = u16::try_from(self.queues.len()).unwrap_or(u16::MAX);
        let mut image = [0; SIZE];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x00, &self.device_feature_select.to_le_bytes());
        put(0x04, &device_feature.to_le_bytes()[..4]);
        put(0x08, &self.driver_feature_select.to_le_bytes());
        put(0x0c, &driver_feature.to_le_bytes()[..4]);
        put(0x10, &self.config_vector.to_le_bytes());
        put(0x12, &queue_count.to_le_bytes());
        put(0x14, &[self.status | stuck]);
        put(0x16, &self.queue_select.to_le_bytes());
        // A queue that does not exist shows size 0, and no vector.
        match self.queues.get(usize::from(self.queue_select)) {
            None => put(0x1a, &NO_VECTOR.to_le_bytes()),
            Some(queue) => {
                // So does one whose number is left out.
                put(0x18, &queue.size.to_le_bytes());
                put(0x1a, &queue.vector.to_le_bytes());
                put(0x1c, &u16::from(queue.is_enabled).to_le_bytes());
                put(0x1e, &self.queue_select.to_le_bytes());
                put(0x20, &queue.descriptors.to_le_bytes());
                put(0x28, &queue.available.to_le_bytes());
                put(0x30, &queue.used.to_le_bytes());
            }
        }
        image
    }

    fn write_register(&mut self, register: Register, value: u32) -> Option<Effect> {
        let [low, high, ..] = value.to_le_bytes();
        let word = u16::from_le_bytes([low, high]);
        match register {
            Register::ReadOnly => None,
            Register::DeviceFeatureSelect => {
                self.device_feature_select = value;
                None
            }
            Register::DriverFeatureSelect => {
                self.driver_feature_select = value;
                None
            }
            Register::DriverFeature => self.write_features(value),
            Register::ConfigVector => {
                self.config_vector = self.existing_vector(word);
                Some(Effect::ConfigVector(self.config_vector))
            }
            Register::Status => self.write_status(low),
            Register::QueueSelect => {
                self.queue_select = word;
                None
            }
            Register::QueueVector => {
                let vector = self.existing_vector(word);
                self.queues.get_mut(usize::from(self.queue_select))?.vector = vector;
                Some(Effect::QueueVector(self.queue_select, vector))
            }
            _ => self.write_queue(register, value, word),
        }
    }

    /// The registers that a queue keeps while it is enabled.
    fn write_queue(&mut self, register: Register, value: u32, word: u16) -> Option<Effect> {
        if self.is_driver_ready() {
            return Some(Effect::Refused("queue changed while the device is in use"));
        }
        let queue = self.queues.get_mut(usize::from(self.queue_select))?;
        if queue.is_enabled {
            return Some(Effect::Refused("enabled queue changed"));
        }
        match register {
            Register::QueueSize if word.is_power_of_two() && word <= queue.max_size => queue.size = word,
            Register::QueueSize => return Some(Effect::Refused("queue size not on offer")),
            Register::QueueEnable if word == 1 && queue.max_size > 0 => queue.is_enabled = true,
            Register::QueueEnable => return Some(Effect::Refused("queue disabled")),
            Register::Descriptors(half) => set_half(&mut queue.descriptors, half, value),
            Register::Available(half) => set_half(&mut queue.available, half, value),
            Register::Used(half) => set_half(&mut queue.used, half, value),
            _ => {}
        }
        None
    }

    fn write_features(&mut self, value: u32) -> Option<Effect> {
        if self.status & status::FEATURES_OK != 0 {
            return Some(Effect::Refused("features changed after they were agreed"));
        }
        let value = u64::from(value);
        match self.driver_feature_select {
            0 => self.accepted = self.accepted & !0xffff_ffff | value,
            1 => self.accepted = self.accepted & 0xffff_ffff | value << 32,
            // Bits that do not exist: setting none of them is no fault.
            _ if value == 0 => {}
            _ => return Some(Effect::Refused("feature bits beyond 63")),
        }
        None
    }

    fn write_status(&mut self, value: u8) -> Option<Effect> {
        if value == 0 {
            self.reset();
            return Some(Effect::Reset);
        }
        let value = value & !status::DEVICE_NEEDS_RESET;
        let added = value & !self.status;
        if self.status & !value != 0 {
            return Some(Effect::Refused("status bits cleared without reset"));
        }
        let needed_before = |bit, needed| added & bit != 0 && value & needed != needed;
        if needed_before(status::DRIVER, status::ACKNOWLEDGE)
            || needed_before(status::FEATURES_OK, status::DRIVER)
            || needed_before(status::DRIVER_OK, status::FEATURES_OK)
        {
            return Some(Effect::Refused("status bits out of order"));
        }
        if added & status::FEATURES_OK != 0
            && (self.accepted & !self.offered != 0 || self.accepted & FEATURE_VERSION_1 == 0)
        {
            // The driver sees the refusal when it reads the status back; everything but this bit holds.
            self.status |= value & (status::ACKNOWLEDGE | status::DRIVER | status::FAILED);
            return Some(Effect::Refused("features not on offer"));
        }
        self.status = value;
        let starts = added & status::DRIVER_OK != 0 && value & status::FAILED == 0;
        starts.then_some(Effect::Activate)
    }

    /// A vector that the device does not have reads back as none (section 4.1.5.1.2).
    fn existing_vector(&self, vector: u16) -> u16 {
        if usize::from(vector) <= self.queues.len() { vector } else { NO_VECTOR }
    }
}

fn set_half(address: &mut u64, half: Half, value: u32) {
    let value = u64::from(value);
    *address = match half {
        Half::Low => *address & !0xffff_ffff | value,
        Half::High => *address & 0xffff_ffff | value << 32,
    };
}
