//! Physical memory: frames of 4 KiB, reference-counted.
//!
//! ```text
//! free_start                bump                                    end of RAM
//! | reference counts (u32 each) | in use or on the free list | never used, therefore zero |
//! ```
//!
//! Never-used frames are handed out in ascending order and are zero because the host made them so: nobody
//! clears them. A frame that comes back goes to a free list threaded through the frames themselves, and is
//! cleared only if someone asks for a zeroed one. Reference counts of never-used frames are never touched, so
//! neither the counts nor the frames cost the host memory before they are used.
//!
//! The last [`KERNEL_RESERVE`] frames are for the kernel's heap alone: a program that takes all memory gets
//! ENOMEM while the kernel can still work.

use crate::address::PhysAddr;
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::layout::{PAGE_SHIFT, PAGE_SIZE};

/// Frames that only [`Frame::for_kernel`] and the heap get.
pub const KERNEL_RESERVE: u64 = 256;

/// A reference to a frame. Cloning shares it, dropping the last reference frees it.
///
/// What it holds may be mapped into a program or be read and written by a device at any time, so there is no
/// way to get a slice of it: contents are copied in and out.
#[derive(PartialEq, Eq, Debug)]
pub struct Frame(u64);

struct Pool {
    /// First frame number never handed out.
    bump: u64,
    /// One past the last frame number.
    end: u64,
    /// Head of the free list (frame number), or 0.
    free: u64,
    free_count: u64,
    peak: u64,
    total: u64,
    /// Start of high memory's frame numbers: `bump` jumps from `gap_start` to here.
    gap_start: u64,
    gap_end: u64,
}

static POOL: Mutex<Pool> =
    Mutex::new(Pool { bump: 0, end: 0, free: 0, free_count: 0, peak: 0, total: 0, gap_start: 0, gap_end: 0 });

impl Pool {
    fn used(&self) -> u64 {
        self.total - self.remaining()
    }

    fn fresh(&self) -> u64 {
        let gap = if self.bump < self.gap_start { self.gap_end - self.gap_start } else { 0 };
        self.end - self.bump - gap
    }

    fn remaining(&self) -> u64 {
        self.fresh() + self.free_count
    }

    /// A run of never-used frames that are neighbours.
    fn take_fresh(&mut self, count: u64) -> Option<u64> {
        if self.bump < self.gap_start && self.bump + count > self.gap_start {
            self.bump = self.gap_end;
        }
        if self.bump + count > self.end {
            return None;
        }
        let first = self.bump;
        self.bump += count;
        if self.bump == self.gap_start {
            self.bump = self.gap_end;
        }
        Some(first)
    }

    fn give_back(&mut self, number: u64) {
        memory::write_word(number, self.free);
        self.free = number;
        self.free_count += 1;
    }

    /// A frame, and whether it is known to be zero.
    fn take(&mut self, reserve: u64) -> Option<(u64, bool)> {
        if self.remaining() <= reserve {
            return None;
        }
        let taken = if self.free != 0 {
            let number = self.free;
            self.free = memory::read_word(number);
            self.free_count -= 1;
            (number, false)
        } else {
            (self.take_fresh(1)?, true)
        };
        self.peak = self.peak.max(self.used());
        Some(taken)
    }
}

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
    let pool = POOL.lock();
    Usage { total: pool.total, used: pool.used(), peak: pool.peak }
}

impl Frame {
    /// A frame with unspecified contents for a program or a file; `None` if memory ran out.
    #[must_use]
    pub fn uninit() -> Option<Self> {
        memory::ready();
        let (number, _) = POOL.lock().take(KERNEL_RESERVE)?;
        memory::count(number).store(1, Ordering::Relaxed);
        Some(Self(number))
    }

    /// Up to `count` frames with unspecified contents for a file, appended to `frames`: neighbours as far as possible, under one
    /// lock. Returns how many.
    pub fn uninit_many(count: usize, frames: &mut Vec<Self>) -> usize {
        memory::ready();
        let mut pool = POOL.lock();
        let start = frames.len();
        let allowed = crate::address::to_usize(pool.remaining().saturating_sub(KERNEL_RESERVE)).min(count);
        while frames.len() - start < allowed {
            let left = (allowed - (frames.len() - start)) as u64;
            if pool.free == 0
                && let Some(first) = pool.take_fresh(left)
            {
                for number in first..first + left {
                    memory::count(number).store(1, Ordering::Relaxed);
                    frames.push(Self(number));
                }
                continue;
            }
            let Some((number, _)) = pool.take(KERNEL_RESERVE) else { break };
            memory::count(number).store(1, Ordering::Relaxed);
            frames.push(Self(number));
        }
        pool.peak = pool.peak.max(pool.used());
        frames.len() - start
    }

    /// A frame of zeros for a program or a file; `None` if memory ran out.
    #[must_use]
    pub fn zeroed() -> Option<Self> {
        Self::take_zeroed(KERNEL_RESERVE)
    }

    /// A frame of zeros for the kernel's own use (page tables, queues).
    #[must_use]
    pub fn for_kernel() -> Option<Self> {
        Self::take_zeroed(0)
    }

    fn take_zeroed(reserve: u64) -> Option<Self> {
        memory::ready();
        let (number, is_zero) = POOL.lock().take(reserve)?;
        memory::count(number).store(1, Ordering::Relaxed);
        if !is_zero {
            memory::fill(number, 0, PAGE_SIZE, 0);
        }
        Some(Self(number))
    }

    /// `count` neighbouring frames of zeros for the kernel's own use, as one piece for each to be dropped.
    #[must_use]
    pub fn contiguous(count: u64) -> Option<PhysAddr> {
        memory::ready();
        let mut pool = POOL.lock();
        let first = pool.take_fresh(count)?;
        pool.peak = pool.peak.max(pool.used());
        for number in first..first + count {
            memory::count(number).store(1, Ordering::Relaxed);
        }
        Some(PhysAddr(first << PAGE_SHIFT))
    }

    /// As [`contiguous`](Self::contiguous), aligned to its length, which is a power of two frames.
    #[must_use]
    pub fn contiguous_aligned(count: u64) -> Option<PhysAddr> {
        memory::ready();
        let mut pool = POOL.lock();
        let skip = pool.bump.next_multiple_of(count) - pool.bump;
        let first = pool.take_fresh(skip + count)?;
        let start = first.next_multiple_of(count);
        pool.peak = pool.peak.max(pool.used());
        for number in start..start + count {
            memory::count(number).store(1, Ordering::Relaxed);
        }
        for number in (first..start).chain(start + count..first + skip + count) {
            pool.give_back(number);
        }
        Some(PhysAddr(start << PAGE_SHIFT))
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
        (memory::is_counted(number) && memory::count(number).load(Ordering::Relaxed) > 0)
            .then_some(Self(number))
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

    /// Copies the whole of `other`.
    pub fn copy_from(&self, other: &Self) {
        memory::copy(self.0, other.0);
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
        if memory::count(self.0).fetch_sub(1, Ordering::AcqRel) == 1 {
            POOL.lock().give_back(self.0);
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

/// Physical memory itself.
mod memory {
    use super::{AtomicU32, PAGE_SHIFT, PAGE_SIZE, POOL};
    use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

    /// Reference counts, indexed by frame number.
    static COUNTS: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());
    /// One past the last frame number.
    static END: AtomicU64 = AtomicU64::new(0);

    #[cfg(target_os = "none")]
    mod place {
        use septum_abi::layout::{DIRECT_MAP, PAGE_SHIFT};
        pub fn base(number: u64) -> *mut u8 {
            (DIRECT_MAP + (number << PAGE_SHIFT)) as *mut u8
        }
        pub fn ready() {}
    }

    #[cfg(not(target_os = "none"))]
    mod place {
        //! Tests: 64 MiB of zeroed heap stand for RAM, starting at frame 1.
        use super::{PAGE_SHIFT, PAGE_SIZE};
        use std::sync::OnceLock;
        const FRAMES: u64 = 16 * 1024;
        static RAM: OnceLock<usize> = OnceLock::new();
        pub fn base(number: u64) -> *mut u8 {
            (RAM.get().copied().unwrap_or(0) + (usize::try_from(number).unwrap_or(0) << PAGE_SHIFT))
                as *mut u8
        }
        pub fn ready() {
            RAM.get_or_init(|| {
                let len = usize::try_from(FRAMES).unwrap_or(0) * PAGE_SIZE;
                let ram = alloc::vec![0u64; len / 8].leak().as_mut_ptr() as usize;
                let ram = ram + (PAGE_SIZE - ram % PAGE_SIZE) % PAGE_SIZE;
                let counts: &'static mut [u32] =
                    alloc::vec![0u32; usize::try_from(FRAMES).unwrap_or(0)].leak();
                super::COUNTS.store(counts.as_mut_ptr().cast(), super::Ordering::Release);
                super::END.store(FRAMES - 1, super::Ordering::Release);
                let mut pool = super::POOL.lock();
                (pool.bump, pool.end, pool.total) = (1, FRAMES - 1, FRAMES - 2);
                ram
            });
        }
    }

    /// Hands the pool the memory from `free_start` on. `ranges` are ascending and at most two.
    #[cfg(target_os = "none")]
    pub fn init(free_start: u64, ranges: &[septum_abi::boot::MemoryRange]) {
        let page = PAGE_SIZE as u64;
        let end_of = |range: &septum_abi::boot::MemoryRange| (range.start + range.len) >> PAGE_SHIFT;
        let Some((first, last)) = ranges.first().zip(ranges.last()) else { return };
        let end = end_of(last);
        let counts_frames = (end * 4).div_ceil(page);
        let counts = free_start >> PAGE_SHIFT;
        COUNTS.store(place::base(counts).cast(), Ordering::Release);
        END.store(end, Ordering::Release);
        let mut pool = POOL.lock();
        pool.bump = counts + counts_frames;
        pool.end = end;
        (pool.gap_start, pool.gap_end) =
            if ranges.len() > 1 { (end_of(first), last.start >> PAGE_SHIFT) } else { (0, 0) };
        pool.total = pool.fresh();
    }

    pub fn is_counted(number: u64) -> bool {
        number != 0 && number < END.load(Ordering::Relaxed)
    }

    pub fn count(number: u64) -> &'static AtomicU32 {
        let counts = COUNTS.load(Ordering::Relaxed);
        // SAFETY: 1. the array has an entry for every frame number below the pool's end, and `number` comes
        // from the pool; 2. it lives for ever; 3. it is only ever used as atomics.
        unsafe { &*counts.add(number as usize) }
    }

    pub fn at(number: u64, offset: usize) -> *mut u8 {
        place::base(number).wrapping_add(offset)
    }

    pub fn write(number: u64, offset: usize, bytes: &[u8]) {
        // SAFETY: 1. the frame is allocated and mapped; 2. the callers clip to its end; 3. no Rust reference
        // to frame memory exists, so nothing is aliased.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at(number, offset), bytes.len()) }
    }

    pub fn read(number: u64, offset: usize, bytes: &mut [u8]) {
        // SAFETY: as in `write`.
        unsafe { core::ptr::copy_nonoverlapping(at(number, offset), bytes.as_mut_ptr(), bytes.len()) }
    }

    pub fn fill(number: u64, offset: usize, len: usize, byte: u8) {
        // SAFETY: as in `write`.
        unsafe { core::ptr::write_bytes(at(number, offset), byte, len) }
    }

    pub fn copy(to: u64, from: u64) {
        // SAFETY: as in `write`; two live frames never overlap, and copying a frame to itself is excluded by
        // `ptr::copy`.
        unsafe { core::ptr::copy(at(from, 0), at(to, 0), PAGE_SIZE) }
    }

    pub fn read_word(number: u64) -> u64 {
        let mut bytes = [0; 8];
        read(number, 0, &mut bytes);
        u64::from_ne_bytes(bytes)
    }

    pub fn write_word(number: u64, word: u64) {
        write(number, 0, &word.to_ne_bytes());
    }

    pub fn ready() {
        place::ready();
    }

    #[cfg(not(target_os = "none"))]
    const _: u32 = PAGE_SHIFT;
}
