//! Block devices (virtio 1.2 section 5.2).
//!
//! A disk is brought up when it is first opened. Each request has a slot of memory for its header and its status; the data is
//! the program's own pages.
//!
//! ```text
//! slot: +0 type u32, reserved u32, sector u64 | +16 range { sector u64, sectors u32, flags u32 } | +32 status u8 | +64
//! ```

mod help;

use self::help::Help;
use super::queue::{Queue, Segment, SubmitError, Token};
use super::segment;
use super::transport::{self, Transport, TransportError, device_type};
use crate::OnBus;
use crate::platform::{self, Region};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::block::feature::{BLK_SIZE, DISCARD, FLUSH, RO, TOPOLOGY, WRITE_ZEROES};
use septum_abi::block::{HEADER, LONG, MOST_SEGMENTS, RANGE, UNMAP, config, kind, status};
use septum_abi::linux::Errno;
use septum_guest_core::fs::block::{Disk, Disks, Facts, SECTOR, Transfer};
use septum_guest_core::io::Pinned;
use septum_guest_hal::address::PhysAddr;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;

const QUEUE_SIZE: u16 = 1024;

const SLOT: usize = 64;
const RANGE_AT: usize = 16;
const STATUS_AT: usize = 32;
/// Requests under way at once: as many as a partition can have threads.
const SLOTS: u16 = 1024;
/// What no device says.
const UNKNOWN: u32 = 0xff;

/// The disks of the partition, which are found on the bus.
pub struct OnTheBus {
    on_bus: OnBus,
    disks: Mutex<Vec<Option<Arc<VirtioDisk>>>>,
}

impl OnTheBus {
    /// `count` disks.
    #[must_use]
    pub fn new(on_bus: OnBus, count: u8) -> Self {
        Self { on_bus, disks: Mutex::new(alloc::vec![None; usize::from(count)]) }
    }
}

impl Disks for OnTheBus {
    fn count(&self) -> u8 {
        u8::try_from(self.disks.lock().len()).unwrap_or(u8::MAX)
    }

    fn disk(&self, index: u8) -> Result<Arc<dyn Disk>, Errno> {
        let mut disks = self.disks.lock();
        let place = disks.get_mut(usize::from(index)).ok_or(Errno::ENXIO)?;
        let disk = match place {
            Some(disk) => Arc::clone(disk),
            None => {
                let disk =
                    VirtioDisk::bring_up(&self.on_bus, usize::from(index)).map_err(|_| Errno::ENXIO)?;
                let disk = Arc::new(disk);
                let looked_at = Arc::clone(&disk);
                if platform::look_when_interrupted(Box::new(move || looked_at.queue.interrupted())) {
                    disk.queue.wake_owners();
                }
                Arc::clone(place.insert(disk))
            }
        };
        Ok(disk)
    }
}

/// A disk.
pub struct VirtioDisk {
    facts: Facts,
    features: u64,
    most_discarded: u64,
    most_zeroed: u64,
    queue: Queue,
    slots: Region,
    free: Mutex<Vec<u16>>,
    changing: Mutex<()>,
    /// Threads that wait for a request.
    waiters: AtomicU32,
    help: Help,
}

impl VirtioDisk {
    fn bring_up(on_bus: &OnBus, index: usize) -> Result<Self, TransportError> {
        let function = on_bus.find_all(device_type::BLOCK).nth(index).ok_or(TransportError::Structure)?;
        let transport = Transport::probe(&function)?;
        let wanted = RO | BLK_SIZE | FLUSH | TOPOLOGY | DISCARD | WRITE_ZEROES;
        let features = transport.negotiate(wanted, 0)?;
        let registers =
            transport::device_configuration(&function, config::LEN).ok_or(TransportError::Structure)?;
        let word = |offset: usize| u64::from(registers.read_u32(offset));
        let sectors = word(config::CAPACITY + 4) << 32 | word(config::CAPACITY);
        let bytes = sectors.checked_mul(SECTOR as u64).ok_or(TransportError::Structure)?;
        let logical = if features & BLK_SIZE == 0 { 512 } else { registers.read_u32(config::BLOCK_SIZE) };
        let exponent =
            if features & TOPOLOGY == 0 { 0 } else { registers.read_u8(config::PHYSICAL_EXPONENT) };
        let physical = logical.checked_shl(u32::from(exponent)).unwrap_or(logical);
        let limit = |feature, offset| if features & feature == 0 { 0 } else { word(offset) };
        let facts = Facts { bytes, logical, physical, is_read_only: features & RO != 0 };
        let (most_discarded, most_zeroed) =
            (limit(DISCARD, config::MOST_DISCARDED), limit(WRITE_ZEROES, config::MOST_ZEROED));
        let queue = transport.queue(0, QUEUE_SIZE)?;
        let slots = Region::allocate(SLOT * usize::from(SLOTS)).ok_or(TransportError::Resources)?;
        transport.start();
        Ok(Self {
            facts,
            features,
            most_discarded,
            most_zeroed,
            queue,
            slots,
            free: Mutex::new((0..SLOTS).rev().collect()),
            changing: Mutex::new(()),
            waiters: AtomicU32::new(0),
            help: Help::default(),
        })
    }

    fn request(&self, operation: u32, sector: u64, data: &[Segment]) -> Result<(), Errno> {
        self.with_slot(|at| {
            self.slots.write_u64(at, u64::from(operation));
            self.slots.write_u64(at + 8, sector);
            self.slots.write_u32(at + STATUS_AT, UNKNOWN);
            let header = segment::of_region(&self.slots, at, HEADER);
            let place = segment::of_region(&self.slots, at + STATUS_AT, 1);
            let mut all = Vec::with_capacity(data.len() + 2);
            all.push(header);
            all.extend_from_slice(data);
            all.push(place);
            let outputs = if operation == kind::IN { 1 } else { 1 + data.len() };
            let (output, input) = all.split_at(outputs);
            let has_company = self.waiters.fetch_add(1, Ordering::Relaxed) > 0;
            let result = if operation == kind::IN && !has_company {
                self.read_alone(output, input)
            } else {
                self.submit(output, input, has_company)
            };
            self.waiters.fetch_sub(1, Ordering::Relaxed);
            result?;
            Ok(self.slots.read_u32(at + STATUS_AT))
        })
        .and_then(of_status)
    }

    fn submit(&self, output: &[Segment], input: &[Segment], rings: bool) -> Result<u32, Errno> {
        self.queue.submit_in_company(output, input, rings).and_then(|token| self.queue.wait(token))
    }

    /// A read while nobody else waits for one: help to copy a long one may be worth the doorbell.
    fn read_alone(&self, output: &[Segment], input: &[Segment]) -> Result<u32, Errno> {
        let bytes: usize = input.iter().map(|piece| piece.len as usize).sum();
        if bytes < LONG {
            return self.submit(output, input, false);
        }
        let (rings, start) = (self.help.is_wanted(), monotonic_ns());
        let result = self.submit(output, input, rings);
        self.help.learn(rings, bytes, monotonic_ns().saturating_sub(start));
        result
    }

    /// Puts a request with a slot of its own into the ring; of `segments` the first is for its header. The device is not told.
    fn describe(
        &self,
        slot: u16,
        operation: u32,
        sector: u64,
        mut segments: Vec<Segment>,
    ) -> Result<Token, SubmitError> {
        let at = SLOT * usize::from(slot);
        self.slots.write_u64(at, u64::from(operation));
        self.slots.write_u64(at + 8, sector);
        self.slots.write_u32(at + STATUS_AT, UNKNOWN);
        if let Some(first) = segments.first_mut() {
            *first = segment::of_region(&self.slots, at, HEADER);
        }
        segments.push(segment::of_region(&self.slots, at + STATUS_AT, 1));
        let outputs = if operation == kind::IN { 1 } else { segments.len() - 1 };
        let (output, input) = segments.split_at(outputs);
        self.queue.submit_quietly(output, input)
    }

    /// Pieces of data that a request may have.
    fn most_segments(&self) -> usize {
        usize::from(MOST_SEGMENTS).min(usize::from(self.queue.size()).saturating_sub(2))
    }

    fn with_slot<T>(&self, work: impl FnOnce(usize) -> Result<T, Errno>) -> Result<T, Errno> {
        let slot = self.free.lock().pop().ok_or(Errno::EAGAIN)?;
        let result = work(SLOT * usize::from(slot));
        self.free.lock().push(slot);
        result
    }

    fn move_sectors(&self, operation: u32, offset: u64, pieces: &[Pinned]) -> Result<usize, Errno> {
        let mut segments = Vec::with_capacity(pieces.len().min(usize::from(MOST_SEGMENTS)) + 1);
        let bytes = segment::gather(pieces, &mut segments, self.most_segments());
        let mut surplus = u32::try_from(bytes % SECTOR).map_err(|_| Errno::EINVAL)?;
        while surplus > 0 {
            let last = segments.last_mut().ok_or(Errno::EINVAL)?;
            let cut = surplus.min(last.len);
            last.len -= cut;
            surplus -= cut;
            if last.len == 0 {
                segments.pop();
            }
        }
        let bytes = bytes - bytes % SECTOR;
        if bytes == 0 {
            return Err(Errno::EINVAL);
        }
        self.request(operation, offset / SECTOR as u64, &segments)?;
        Ok(bytes)
    }

    /// Asks for something to be done to a range, `most` sectors at a time.
    fn change(&self, operation: u32, offset: u64, len: u64, most: u64, flags: u32) -> Result<(), Errno> {
        let most = most.min(u64::from(u32::MAX));
        if most == 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let (mut sector, end) = (offset / SECTOR as u64, (offset + len) / SECTOR as u64);
        while sector < end {
            let count = most.min(end - sector);
            self.with_slot(|at| {
                self.slots.write_u64(at + RANGE_AT, sector);
                self.slots.write_u64(at + RANGE_AT + 8, count | u64::from(flags) << 32);
                let range = segment::of_region(&self.slots, at + RANGE_AT, RANGE);
                self.request(operation, 0, &[range])
            })?;
            sector += count;
        }
        Ok(())
    }
}

impl Disk for VirtioDisk {
    fn facts(&self) -> Facts {
        self.facts
    }

    fn read(&self, offset: u64, pieces: &[Pinned]) -> Result<usize, Errno> {
        self.move_sectors(kind::IN, offset, pieces)
    }

    fn write(&self, offset: u64, pieces: &[Pinned]) -> Result<usize, Errno> {
        self.move_sectors(kind::OUT, offset, pieces)
    }

    fn flush(&self) -> Result<(), Errno> {
        if self.features & FLUSH == 0 { Ok(()) } else { self.request(kind::FLUSH, 0, &[]) }
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), Errno> {
        self.change(kind::DISCARD, offset, len, self.most_discarded, 0)
    }

    fn zero(&self, offset: u64, len: u64, may_unmap: bool) -> Result<(), Errno> {
        self.change(kind::WRITE_ZEROES, offset, len, self.most_zeroed, if may_unmap { UNMAP } else { 0 })
    }

    fn changing(&self) -> &Mutex<()> {
        &self.changing
    }

    fn begin(
        self: Arc<Self>,
        is_write: bool,
        offset: u64,
        pieces: Vec<Pinned>,
    ) -> Result<Box<dyn Transfer>, Errno> {
        let mut segments = Vec::with_capacity(pieces.len() + 2);
        segments.push(Segment { address: PhysAddr(0), len: 0 });
        let limit = self.most_segments() + 1;
        let bytes = segment::gather(&pieces, &mut segments, limit);
        if bytes == 0 || bytes != pieces.iter().map(|piece| piece.len).sum() {
            return Err(Errno::EINVAL);
        }
        let slot = self.free.lock().pop().ok_or(Errno::EAGAIN)?;
        let operation = if is_write { kind::OUT } else { kind::IN };
        let token = self.describe(slot, operation, offset / SECTOR as u64, segments);
        match token {
            Ok(token) => Ok(Box::new(Flight { disk: self, slot, token: Some(token), pieces, bytes })),
            Err(_) => {
                self.free.lock().push(slot);
                Err(Errno::EAGAIN)
            }
        }
    }

    fn kick(&self) {
        self.queue.notify();
    }

    fn expect(&self, waits: bool) {
        self.queue.set_sleeping(waits);
    }
}

/// A transfer that nobody waits for.
struct Flight {
    disk: Arc<VirtioDisk>,
    slot: u16,
    /// None when it is done.
    token: Option<Token>,
    /// The device's until then.
    pieces: Vec<Pinned>,
    bytes: usize,
}

impl Flight {
    fn end(&mut self, result: Result<u32, Errno>) -> Result<usize, Errno> {
        self.token = None;
        let status = self.disk.slots.read_u32(SLOT * usize::from(self.slot) + STATUS_AT);
        self.disk.free.lock().push(self.slot);
        self.pieces.clear();
        result.and(of_status(status)).map(|()| self.bytes)
    }
}

impl Transfer for Flight {
    fn poll(&mut self) -> Option<Result<usize, Errno>> {
        let result = self.disk.queue.poll(self.token.as_ref()?)?;
        Some(self.end(result))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            self.disk.queue.notify();
            let result = self.disk.queue.wait(token);
            // Nobody is left to be told.
            let _ = self.end(result);
        }
    }
}

fn of_status(status: u32) -> Result<(), Errno> {
    match u8::try_from(status & 0xff) {
        Ok(status::OK) => Ok(()),
        Ok(status::UNSUPPORTED) => Err(Errno::EOPNOTSUPP),
        Ok(status::NO_SPACE) => Err(Errno::ENOSPC),
        _ => Err(Errno::EIO),
    }
}
