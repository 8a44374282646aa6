//! Memory that the kernel shares with devices: rings and small messages.
//!
//! A device may change it at any time, so it is only ever read and written by value, each access exactly once.

use crate::address::PhysAddr;
use crate::frame::{self, Frame};
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use septum_abi::layout::{PAGE_SIZE, READY_RINGS};

/// Neighbouring frames, zero at first, kept for ever.
#[derive(Debug)]
pub struct Region {
    address: PhysAddr,
    len: usize,
}

impl Region {
    /// At least `len` bytes; `None` if memory ran out.
    #[must_use]
    pub fn allocate(len: usize) -> Option<Self> {
        let frames = len.div_ceil(PAGE_SIZE).max(1);
        Some(Self { address: Frame::contiguous(frames as u64)?, len: frames * PAGE_SIZE })
    }

    /// Rings that the host has set up: `len` bytes at `address`, in the memory set aside for them.
    #[must_use]
    pub fn ready(address: PhysAddr, len: usize) -> Option<Self> {
        let end = address.0.checked_add(len as u64)?;
        let is_inside = READY_RINGS.start <= address.0 && end <= READY_RINGS.end;
        (is_inside && address.0.is_multiple_of(PAGE_SIZE as u64) && len > 0)
            .then(|| Self { address, len: len.next_multiple_of(PAGE_SIZE) })
    }

    /// What a device calls it.
    #[must_use]
    pub fn address(&self) -> PhysAddr {
        self.address
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        // Regions are at least a page long, so one comparison tells both too large an offset and an overflow.
        assert!(offset <= self.len - size_of::<T>(), "DMA offset out of range");
        assert!(offset.is_multiple_of(align_of::<T>()), "DMA offset not aligned");
        frame::memory_at(self.address, offset).cast()
    }

    /// Reads 16 bits, with acquire ordering.
    #[must_use]
    pub fn read_u16(&self, offset: usize) -> u16 {
        // SAFETY: 1. `at` checked bounds and alignment; 2. the region lives for ever; 3. every access is atomic.
        unsafe { &*self.at::<AtomicU16>(offset) }.load(Ordering::Acquire)
    }

    /// Writes 16 bits, with release ordering.
    pub fn write_u16(&self, offset: usize, value: u16) {
        // SAFETY: as in `read_u16`.
        unsafe { &*self.at::<AtomicU16>(offset) }.store(value, Ordering::Release);
    }

    /// Reads 32 bits, with acquire ordering.
    #[must_use]
    pub fn read_u32(&self, offset: usize) -> u32 {
        // SAFETY: as in `read_u16`.
        unsafe { &*self.at::<AtomicU32>(offset) }.load(Ordering::Acquire)
    }

    /// Writes 32 bits, with release ordering.
    pub fn write_u32(&self, offset: usize, value: u32) {
        // SAFETY: as in `read_u16`.
        unsafe { &*self.at::<AtomicU32>(offset) }.store(value, Ordering::Release);
    }

    /// Reads 64 bits, with acquire ordering.
    #[must_use]
    pub fn read_u64(&self, offset: usize) -> u64 {
        // SAFETY: as in `read_u16`.
        unsafe { &*self.at::<AtomicU64>(offset) }.load(Ordering::Acquire)
    }

    /// Writes 64 bits, with release ordering.
    pub fn write_u64(&self, offset: usize, value: u64) {
        // SAFETY: as in `read_u16`.
        unsafe { &*self.at::<AtomicU64>(offset) }.store(value, Ordering::Release);
    }

    /// Copies bytes out.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len), "DMA range out of range");
        // SAFETY: 1. bounds checked; 2. no Rust reference to the region exists, so nothing is aliased.
        unsafe {
            core::ptr::copy_nonoverlapping(
                frame::memory_at(self.address, offset),
                bytes.as_mut_ptr(),
                bytes.len(),
            );
        }
    }

    /// Copies bytes in.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len), "DMA range out of range");
        // SAFETY: as in `read`.
        unsafe {
            core::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                frame::memory_at(self.address, offset),
                bytes.len(),
            );
        }
    }
}
