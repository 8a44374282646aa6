//! Physical memory: frames of 4 KiB, reference-counted.
//!
//! ```text
//! free_start                                                                end of RAM
//! | reference counts (u32 each) | what is known of blocks | frames ...            |
//! ```
//!
//! * [`pool`]: which frames are free, and which of those are zero;
//! * [`memory`]: their contents and reference counts;
//! * [`large`]: 512 frames that are mapped as one page;
//! * [`window`]: frames that are no RAM, but files of the host.
//!
//! Never-used frames are zero because the host made them so: nobody clears them. A frame that comes back is
//! cleared only if someone asks for a zeroed one and there is no other. Reference counts of never-used frames are never touched, so
//! neither the counts nor the frames cost the host memory before they are used.
//!
//! The last [`KERNEL_RESERVE`] frames are for the kernel alone: a program that takes all memory gets
//! ENOMEM while the kernel can still work.

pub mod large;
mod memory;
mod pool;
pub mod window;

use crate::address::PhysAddr;
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use pool::{Group, Pool};
use septum_abi::layout::{PAGE_SHIFT, PAGE_SIZE};

/// Frames that only [`Frame::for_kernel`] and the heap get.
pub const KERNEL_RESERVE: u64 = 256;

/// A reference to a frame. Cloning shares it, dropping the last reference frees it.
///
/// What it holds may be mapped into a program or be read and written by a device at any time, so there is no
/// way to get a slice of it: contents are copied in and out.
#[derive(PartialEq, Eq, Debug)]
pub struct Frame(u64);

static POOL: Mutex<Pool> = Mutex::new(Pool::empty());

/// Frames there are, in use now, and the most ever in use.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// All frames of the pool.
    pub total: u64,
    /// In use.
    pub used: u64,
    /// Highest `used`.
    pub peak: u64,
}

/// How much is used.
pub fn usage() -> Usage {
    memory::ready();
    let pool = POOL.lock();
    Usage { total: pool.total(), used: pool.used(), peak: pool.peak() }
}

/// Neighbouring frames, all with one reference, that are handed out one by one; the rest goes back.
struct Batch {
    next: u64,
    end: u64,
    is_zero: bool,
}

impl Batch {
    fn take(group: Group, want_zero: bool, most: u64, reserve: u64) -> Option<Self> {
        memory::ready();
        let run = POOL.lock().take_run(group, want_zero, most, reserve)?;
        let end = run.first + run.len;
        memory::counts(run.first, run.len).iter().for_each(|count| count.store(1, Ordering::Relaxed));
        Some(Self { next: run.first, end, is_zero: run.is_zero })
    }
}

impl Batch {
    /// All that are left: neighbours.
    fn all(mut self) -> impl Iterator<Item = Frame> {
        let next = core::mem::replace(&mut self.next, self.end);
        (next..self.end).map(Frame)
    }
}

impl Iterator for Batch {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let number = self.next;
        (number < self.end).then(|| {
            self.next = number + 1;
            Frame(number)
        })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.next < self.end {
            let mut pool = POOL.lock();
            for number in self.next..self.end {
                memory::count(number).store(0, Ordering::Relaxed);
                pool.give(number, self.is_zero);
            }
        }
    }
}

/// Frames of zeros for a program, taken from the pool many at a time.
pub struct ZeroedFrames {
    batch: Option<Batch>,
    wanted: u64,
}

impl ZeroedFrames {
    /// Up to `wanted` of them.
    #[must_use]
    pub fn new(wanted: usize) -> Self {
        Self { batch: None, wanted: wanted as u64 }
    }
}

impl Iterator for ZeroedFrames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(batch) = &mut self.batch
                && let Some(frame) = batch.next()
            {
                if !batch.is_zero {
                    frame.clear(0, PAGE_SIZE);
                }
                self.wanted -= 1;
                return Some(frame);
            }
            self.batch = Some(Batch::take(Group::Program, true, self.wanted, KERNEL_RESERVE)?);
        }
    }
}

impl Frame {
    fn one(group: Group, want_zero: bool, reserve: u64) -> Option<Self> {
        let mut batch = Batch::take(group, want_zero, 1, reserve)?;
        let frame = batch.next()?;
        if want_zero && !batch.is_zero {
            frame.clear(0, PAGE_SIZE);
        }
        Some(frame)
    }

    /// A frame with unspecified contents for a program or a file; `None` if memory ran out.
    #[must_use]
    pub fn uninit() -> Option<Self> {
        Self::one(Group::Program, false, KERNEL_RESERVE)
    }

    /// Up to `count` frames with unspecified contents for a file, appended to `frames`: neighbours as far as
    /// possible. Returns how many.
    pub fn uninit_many(count: usize, frames: &mut Vec<Self>) -> usize {
        let start = frames.len();
        while frames.len() - start < count {
            let left = (count - (frames.len() - start)) as u64;
            let Some(batch) = Batch::take(Group::Cache, false, left, KERNEL_RESERVE) else { break };
            frames.extend(batch.all());
        }
        frames.len() - start
    }

    /// A frame of zeros for a program or a file; `None` if memory ran out.
    #[must_use]
    pub fn zeroed() -> Option<Self> {
        Self::one(Group::Program, true, KERNEL_RESERVE)
    }

    /// A frame of zeros for the kernel's own use (page tables, queues).
    #[must_use]
    pub fn for_kernel() -> Option<Self> {
        Self::one(Group::Kernel, true, 0)
    }

    /// A frame with unspecified contents for the kernel's own use (heap).
    #[cfg(target_os = "none")]
    pub(crate) fn for_kernel_uninit() -> Option<Self> {
        Self::one(Group::Kernel, false, 0)
    }

    /// `count` neighbouring frames of zeros for the kernel's own use, as one piece for each to be dropped.
    #[must_use]
    pub fn contiguous(count: u64) -> Option<PhysAddr> {
        Self::neighbours(count, 1, true)
    }

    /// As [`contiguous`](Self::contiguous), with unspecified contents.
    #[cfg(target_os = "none")]
    pub(crate) fn contiguous_uninit(count: u64) -> Option<PhysAddr> {
        Self::neighbours(count, 1, false)
    }

    /// As [`contiguous`](Self::contiguous), aligned to its length, which is a power of two of at most 512 frames.
    #[must_use]
    pub fn contiguous_aligned(count: u64) -> Option<PhysAddr> {
        Self::neighbours(count, count, true)
    }

    fn neighbours(count: u64, align: u64, want_zero: bool) -> Option<PhysAddr> {
        memory::ready();
        if count == 1 {
            return Self::one(Group::Kernel, want_zero, 0).map(Self::into_address);
        }
        let mut pool = POOL.lock();
        let first = pool.take_contiguous(count, align, |number, is_zero| {
            memory::count(number).store(1, Ordering::Relaxed);
            if want_zero && !is_zero {
                memory::fill(number, 0, PAGE_SIZE, 0);
            }
        })?;
        Some(PhysAddr(first << PAGE_SHIFT))
    }

    /// Frees what [`contiguous_aligned`](Self::contiguous_aligned) gave.
    pub fn free_contiguous(address: PhysAddr, count: u64) {
        let first = address.0 >> PAGE_SHIFT;
        (first..first + count).for_each(|number| drop(Self(number)));
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> PhysAddr {
        PhysAddr(self.0 << PAGE_SHIFT)
    }

    /// Whether this is the only reference.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        memory::count(self.0).load(Ordering::Acquire) == 1
    }

    /// Whether it is a part of a file of the host: devices cannot reach it.
    #[must_use]
    pub fn is_in_window(&self) -> bool {
        window::contains(self.0)
    }

    /// Whether there are exactly `count` references.
    #[must_use]
    pub fn is_held_by(&self, count: u32) -> bool {
        memory::count(self.0).load(Ordering::Acquire) == count
    }

    /// Where `len` bytes at `offset` are, clipped to the frame.
    pub(crate) fn span(&self, offset: usize, len: usize) -> (*mut u8, usize) {
        let offset = offset.min(PAGE_SIZE);
        (memory::at(self.0, offset), len.min(PAGE_SIZE - offset))
    }

    /// Gives the reference up to whoever keeps the address (a page-table entry).
    #[must_use]
    pub fn into_address(self) -> PhysAddr {
        let address = self.address();
        core::mem::forget(self);
        address
    }

    /// A frame that the host filled and the pool does not manage. One reference is kept back, so it is never freed.
    #[cfg(target_os = "none")]
    pub(crate) fn of_kernel(address: PhysAddr) -> Self {
        let number = address.0 >> PAGE_SHIFT;
        memory::count(number).fetch_add(2, Ordering::Relaxed);
        Self(number)
    }

    /// Takes back what [`into_address`](Self::into_address) gave up; `None` if no reference is out there.
    pub(crate) fn from_address(address: PhysAddr) -> Option<Self> {
        let number = address.0 >> PAGE_SHIFT;
        let is_out = memory::is_counted(number) && memory::count(number).load(Ordering::Relaxed) > 0;
        // One that was made in vain would give a reference back when it is dropped.
        is_out.then(|| Self(number))
    }

    /// Copies `bytes` to `offset`. Bytes that would go past the frame's end are ignored.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let len = bytes.len().min(PAGE_SIZE.saturating_sub(offset));
        memory::write(self.0, offset, &bytes[..len]);
    }

    /// Copies from `offset` to `bytes`. Bytes past the frame's end are left as they are.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        let len = bytes.len().min(PAGE_SIZE.saturating_sub(offset));
        memory::read(self.0, offset, &mut bytes[..len]);
    }

    /// Sets `len` bytes at `offset` to zero.
    pub fn clear(&self, offset: usize, len: usize) {
        let offset = offset.min(PAGE_SIZE);
        memory::fill(self.0, offset, len.min(PAGE_SIZE - offset), 0);
    }

    /// Copies `len` bytes at `from` of `other` to `offset`, as far as neither frame ends before.
    pub fn copy_part(&self, offset: usize, other: &Self, from: usize, len: usize) {
        let (offset, from) = (offset.min(PAGE_SIZE), from.min(PAGE_SIZE));
        memory::copy_part(
            (self.0, offset),
            (other.0, from),
            len.min(PAGE_SIZE - offset).min(PAGE_SIZE - from),
        );
    }

    /// Copies the whole of `other`; false if that is a part of a file which is not there any more.
    #[must_use]
    pub fn try_copy_from(&self, other: &Self) -> bool {
        if other.is_in_window() {
            return crate::user_copy::copy_frame(self, other);
        }
        self.copy_from(other);
        true
    }

    /// Copies the whole of `other`.
    pub fn copy_from(&self, other: &Self) {
        memory::copy(self.0, other.0);
    }
}

/// What a pin adds to a frame's count of references: nobody has so many mappings of one frame.
const PIN: u32 = 1 << 20;

/// A device may store into the frame: it must stay the one that the program sees. It is one more reference.
#[derive(Debug)]
pub struct Pin(Frame);

impl Frame {
    /// Pins it. `None` if it is pinned so often that nobody counts any more.
    #[must_use]
    pub fn pin(&self) -> Option<Pin> {
        let pinned = |count: u32| (count < 1 << 31).then_some(count + PIN);
        memory::count(self.0).fetch_update(Ordering::AcqRel, Ordering::Relaxed, pinned).ok()?;
        Some(Pin(self.clone()))
    }

    /// Whether it is pinned.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        memory::count(self.0).load(Ordering::Acquire) >= PIN
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        memory::count(self.0.0).fetch_sub(PIN, Ordering::AcqRel);
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        memory::count(self.0).fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // A frame of the window never gets there: its unit has a reference too.
        if memory::count(self.0).fetch_sub(1, Ordering::AcqRel) == 1 {
            POOL.lock().give(self.0, false);
        }
    }
}

#[cfg(target_os = "none")]
pub(crate) use memory::init;

/// The kernel's pointer to `offset` bytes past `address`, which must be of an allocated frame.
pub(crate) fn memory_at(address: PhysAddr, offset: usize) -> *mut u8 {
    let offset = (address.0 as usize % PAGE_SIZE) + offset;
    memory::at(address.0 >> PAGE_SHIFT, offset)
}
