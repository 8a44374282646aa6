//! A virtio PCI device: configuration space, transport registers and rings, around a [`Model`].
//!
//! ```text
//! BAR 0 at its place in the PCI window
//! +0x0000 common configuration   +0x2000 device configuration   +0x3000 MSI-X table   +0x4000 doorbells, 4 bytes each
//! ```

use super::memory::Memory;

/// What a device does with a request.
pub enum Answer {
    /// Returns it with these bytes in the writable part.
    Reply(Vec<u8>),
    /// Returns it, and says that so many bytes were written, without touching them.
    Claim(usize),
    /// Keeps it for now: asks again when the machine runs.
    Later,
}

/// The behaviour of a device.
pub trait Model: Send {
    fn device_type(&self) -> u16;
    fn features(&self) -> u64;
    fn queue_sizes(&self) -> Vec<u16>;
    /// A request on `queue`: the bytes to read, and how many may be written.
    fn request(&mut self, queue: u16, output: &[u8], capacity: usize) -> Answer;
    /// For tests that look inside.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
    /// As [`request`](Self::request), for models that want to see segments.
    fn saw_segments(&mut self, queue: u16, readable: usize, writable: usize) {
        let _ = (queue, readable, writable);
    }
}

/// A queue as the driver set it up.
#[derive(Clone, Default)]
pub struct QueueState {
    pub size: u16,
    pub vector: u16,
    pub is_enabled: bool,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
    next_available: u16,
    next_used: u16,
}

pub struct FakeDevice {
    pub config: Vec<u8>,
    pub queues: Vec<QueueState>,
    pub model: Box<dyn Model>,
    pub accesses: usize,
    pub notifications: usize,
    pub interrupts: usize,
    pub table: [u8; 16],
    pub driver_features: u64,
    pub status: u8,
    sizes: Vec<u16>,
    device_select: u64,
    driver_select: u64,
    queue_select: u64,
}

const CAPABILITIES: usize = 0x40;

impl FakeDevice {
    pub fn new(model: Box<dyn Model>, base: u64) -> Self {
        let mut config = vec![0; 4096];
        config[0..2].copy_from_slice(&0x1af4u16.to_le_bytes());
        config[2..4].copy_from_slice(&(0x1040 + model.device_type()).to_le_bytes());
        config[0x10..0x18].copy_from_slice(&(base | 0b100).to_le_bytes());
        config[0x34] = u8::try_from(CAPABILITIES).unwrap();
        let mut at = CAPABILITIES;
        let structures = [(1u8, 0u32), (2, 0x4000), (3, 0x1000), (4, 0x2000), (0xff, 0x3000)];
        for (index, (kind, offset)) in structures.into_iter().enumerate() {
            let next = if index + 1 < structures.len() { u8::try_from(at + 24).unwrap() } else { 0 };
            if kind == 0xff {
                config[at..at + 4].copy_from_slice(&[0x11, next, 0, 0]);
                config[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
            } else {
                config[at..at + 4].copy_from_slice(&[0x09, next, 24, kind]);
                config[at + 8..at + 12].copy_from_slice(&offset.to_le_bytes());
                config[at + 16..at + 20].copy_from_slice(&4u32.to_le_bytes());
            }
            at += 24;
        }
        let sizes = model.queue_sizes();
        let queues = sizes.iter().map(|&size| QueueState { size, vector: 0xffff, ..QueueState::default() });
        Self {
            config,
            queues: queues.collect(),
            accesses: 0,
            notifications: 0,
            interrupts: 0,
            table: [0; 16],
            driver_features: 0,
            status: 0,
            sizes,
            model,
            device_select: 0,
            driver_select: 0,
            queue_select: 0,
        }
    }

    fn queue(&mut self) -> Option<&mut QueueState> {
        self.queues.get_mut(usize::try_from(self.queue_select).unwrap())
    }

    pub fn read(&mut self, offset: u64) -> u64 {
        let features = self.model.features() | 1 << 32;
        let select = self.queue_select;
        let queue = self.queue().cloned().unwrap_or_default();
        match offset {
            0x04 => features >> (32 * self.device_select) & 0xffff_ffff,
            0x12 => self.queues.len() as u64,
            0x14 => u64::from(self.status),
            0x18 => u64::from(queue.size),
            0x1c => u64::from(queue.is_enabled),
            0x1e => select,
            _ => 0,
        }
    }

    /// Returns the queue that was notified.
    pub fn write(&mut self, offset: u64, width: usize, value: u64) -> Option<u16> {
        let low = |old: u64| old & !0xffff_ffff | value;
        let half = u16::try_from(value & 0xffff).unwrap();
        match offset {
            0x00 => self.device_select = value,
            0x08 => self.driver_select = value,
            0x0c => self.driver_features |= value << (32 * self.driver_select),
            0x14 => self.status = u8::try_from(value).unwrap(),
            0x16 => self.queue_select = value,
            0x3000..0x3010 => {
                let at = usize::try_from(offset - 0x3000).unwrap();
                self.table[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            0x4000.. => {
                self.notifications += 1;
                assert_eq!((offset - 0x4000) / 4, value, "doorbell of another queue");
                return Some(half);
            }
            _ => {
                let limit =
                    usize::try_from(self.queue_select).ok().and_then(|at| self.sizes.get(at)).copied();
                let queue = self.queue()?;
                match offset {
                    0x18 => {
                        assert!(limit.is_some_and(|limit| half <= limit) && half.is_power_of_two());
                        queue.size = half;
                    }
                    0x1a => queue.vector = half,
                    0x1c => queue.is_enabled = value == 1,
                    0x20 => queue.descriptors = low(queue.descriptors),
                    0x28 => queue.available = low(queue.available),
                    0x30 => queue.used = low(queue.used),
                    _ => panic!("write to register {offset:#x}"),
                }
            }
        }
        None
    }

    /// Serves what the driver has put into the ring of a queue. False if nothing was served.
    pub fn serve(&mut self, number: u16, memory: &Memory) -> bool {
        let index = usize::from(number);
        if self.status & 4 == 0 || !self.queues[index].is_enabled {
            return false;
        }
        let mut has_served = false;
        while memory.read_u16(self.queues[index].available + 2) != self.queues[index].next_available {
            let queue = self.queues[index].clone();
            let slot = u64::from(queue.next_available % queue.size);
            let head = memory.read_u16(queue.available + 4 + 2 * slot);
            let (readable, writable) = chain(&queue, head, memory);
            let output: Vec<u8> = readable.iter().flat_map(|&(at, len)| memory.read(at, len)).collect();
            let capacity = writable.iter().map(|&(_, len)| len).sum();
            self.model.saw_segments(number, readable.len(), writable.len());
            let (bytes, len) = match self.model.request(number, &output, capacity) {
                Answer::Reply(bytes) => {
                    let len = bytes.len();
                    (bytes, len)
                }
                Answer::Claim(len) => (Vec::new(), len),
                Answer::Later => break,
            };
            assert!(bytes.len() <= capacity, "the model writes too much");
            let mut rest = &bytes[..];
            for (at, len) in writable {
                let (part, others) = rest.split_at(len.min(rest.len()));
                memory.write(at, part);
                rest = others;
            }
            self.queues[index].next_available = queue.next_available.wrapping_add(1);
            self.finish(number, u32::from(head), u32::try_from(len).unwrap(), memory);
            has_served = true;
        }
        has_served
    }

    /// Adds an entry, which may be nonsense, to the used ring.
    pub fn finish(&mut self, number: u16, head: u32, len: u32, memory: &Memory) {
        let queue = &mut self.queues[usize::from(number)];
        let slot = u64::from(queue.next_used % queue.size);
        memory.write(queue.used + 4 + 8 * slot, &head.to_le_bytes());
        memory.write(queue.used + 8 + 8 * slot, &len.to_le_bytes());
        queue.next_used = queue.next_used.wrapping_add(1);
        memory.write_u16(queue.used + 2, queue.next_used);
        if memory.read_u16(queue.available) & 1 == 0 && queue.vector == 0 {
            self.interrupts += 1;
        }
    }
}

type Pieces = Vec<(u64, usize)>;

fn chain(queue: &QueueState, head: u16, memory: &Memory) -> (Pieces, Pieces) {
    let (mut readable, mut writable) = (Vec::new(), Vec::new());
    let mut at = head;
    loop {
        assert!(at < queue.size, "descriptor beyond the queue");
        let bytes = memory.read(queue.descriptors + 16 * u64::from(at), 16);
        let address = u64::from_le_bytes(bytes[0..8].try_into().unwrap());
        let len = usize::try_from(u32::from_le_bytes(bytes[8..12].try_into().unwrap())).unwrap();
        let flags = u16::from_le_bytes([bytes[12], bytes[13]]);
        if flags & 2 == 0 {
            assert!(writable.is_empty(), "readable after writable");
            readable.push((address, len));
        } else {
            writable.push((address, len));
        }
        if flags & 1 == 0 {
            return (readable, writable);
        }
        assert!(readable.len() + writable.len() <= usize::from(queue.size), "chain has a loop");
        at = u16::from_le_bytes([bytes[14], bytes[15]]);
    }
}
