//! The driver's side of a split virtqueue.

use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use crate::machine::{Machine, PATIENCE};

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// A range of guest memory in a chain.
#[derive(Clone, Copy)]
pub struct Range {
    pub address: u64,
    pub length: u32,
    pub is_writable: bool,
}

pub fn readable(address: u64, length: usize) -> Range {
    Range { address, length: u32::try_from(length).unwrap(), is_writable: false }
}

pub fn writable(address: u64, length: usize) -> Range {
    Range { is_writable: true, ..readable(address, length) }
}

pub struct Virtqueue<'a> {
    machine: &'a Machine,
    pub number: u16,
    pub size: u16,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
    pub doorbell: u64,
    has_event_index: bool,
    next_descriptor: u16,
    added: u16,
    kicked: u16,
    seen: u16,
}

impl<'a> Virtqueue<'a> {
    /// Guest memory that a queue of up to 256 entries takes: a page for each ring.
    pub const BYTES: usize = 0x3000;

    /// A queue whose rings lie at `address`.
    pub fn new(
        machine: &'a Machine,
        number: u16,
        size: u16,
        address: u64,
        doorbell: u64,
        has_event_index: bool,
    ) -> Self {
        let zeros = [0; Self::BYTES];
        machine.memory.memory().write_slice(&zeros, GuestAddress(address)).unwrap();
        Self {
            machine,
            number,
            size,
            descriptors: address,
            available: address + 0x1000,
            used: address + 0x2000,
            doorbell,
            has_event_index,
            next_descriptor: 0,
            added: 0,
            kicked: 0,
            seen: 0,
        }
    }

    /// Makes a chain available, without telling the device. Tests never have more descriptors in flight than fit.
    pub fn add(&mut self, ranges: &[Range]) -> u16 {
        let head = self.next_descriptor;
        for (position, range) in ranges.iter().enumerate() {
            let has_next = position + 1 < ranges.len();
            let flags = if range.is_writable { WRITE } else { 0 } | if has_next { NEXT } else { 0 };
            let next = (self.next_descriptor + 1) % self.size;
            self.write_descriptor(self.next_descriptor, range.address, range.length, flags, next);
            self.next_descriptor = next;
        }
        self.make_available(head);
        head
    }

    pub fn write_descriptor(&self, index: u16, address: u64, length: u32, flags: u16, next: u16) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.store(self.descriptors + 16 * u64::from(index), &bytes);
    }

    pub fn make_available(&mut self, head: u16) {
        let slot = u64::from(self.added % self.size);
        self.store(self.available + 4 + 2 * slot, &head.to_le_bytes());
        self.added = self.added.wrapping_add(1);
        fence(Ordering::SeqCst);
        self.store(self.available + 2, &self.added.to_le_bytes());
    }

    pub fn set_available_index(&self, index: u16) {
        self.store(self.available + 2, &index.to_le_bytes());
    }

    /// Tells the device, if it wants to be told. Returns whether it did.
    pub fn kick(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let is_wanted = if self.has_event_index {
            let event = self.word(self.used + 4 + 8 * u64::from(self.size));
            self.added.wrapping_sub(event).wrapping_sub(1) < self.added.wrapping_sub(self.kicked)
        } else {
            self.word(self.used) & 1 == 0
        };
        self.kicked = self.added;
        if is_wanted {
            self.force_kick();
        }
        is_wanted
    }

    pub fn force_kick(&self) {
        self.machine.write(self.doorbell, &self.number.to_le_bytes());
    }

    pub fn set_interrupt_suppression(&self, is_suppressed: bool) {
        self.store(self.available, &u16::from(is_suppressed).to_le_bytes());
    }

    /// The next buffer that the device gave back: head and bytes written.
    pub fn take_used(&mut self) -> Option<(u16, u32)> {
        let index = self.word(self.used + 2);
        fence(Ordering::SeqCst);
        if index == self.seen {
            return None;
        }
        let entry = self.machine.load(self.used + 4 + 8 * u64::from(self.seen % self.size), 8);
        self.seen = self.seen.wrapping_add(1);
        if self.has_event_index {
            self.store(self.available + 4 + 2 * u64::from(self.size), &self.seen.to_le_bytes());
        }
        let head = u16::try_from(u32::from_le_bytes(entry[0..4].try_into().unwrap())).unwrap();
        Some((head, u32::from_le_bytes(entry[4..8].try_into().unwrap())))
    }

    pub fn wait_used(&mut self) -> (u16, u32) {
        let start = Instant::now();
        loop {
            if let Some(used) = self.take_used() {
                return used;
            }
            assert!(start.elapsed() < PATIENCE, "queue {} gives nothing back", self.number);
            std::thread::yield_now();
        }
    }

    /// Adds, kicks and waits for one chain; returns the bytes written.
    pub fn request(&mut self, ranges: &[Range]) -> u32 {
        let head = self.add(ranges);
        self.kick();
        let (used, length) = self.wait_used();
        assert_eq!(used, head);
        length
    }

    fn word(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.machine.load(address, 2).try_into().unwrap())
    }

    fn store(&self, address: u64, bytes: &[u8]) {
        self.machine.memory.memory().write_slice(bytes, GuestAddress(address)).unwrap();
    }
}
