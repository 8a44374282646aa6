//! Large pages: 512 neighbouring frames, aligned to 2 MiB, that a program has mapped as one.
//!
//! Each of the frames has a reference count of its own from the start, so a part can be shared with a device or
//! be kept when the rest goes; splitting a large page changes nothing but the page table. Large pages are made of
//! clean blocks only: they are zero, and the host backs them with one of its own huge pages.

use super::pool::BLOCK;
use super::{Frame, KERNEL_RESERVE, POOL, memory};
use crate::address::PhysAddr;
use core::sync::atomic::Ordering;
use septum_abi::layout::PAGE_SHIFT;

/// Bytes of a large page.
pub const LARGE_PAGE: u64 = BLOCK << PAGE_SHIFT;

/// One reference to each of the 512 frames.
#[derive(Debug)]
pub struct LargeFrame(u64);

impl LargeFrame {
    /// Zeros, if there is a clean block and memory is not short: an eighth of it stays free for what needs
    /// less than 2 MiB at a time.
    #[must_use]
    pub fn zeroed() -> Option<Self> {
        memory::ready();
        let mut pool = POOL.lock();
        let reserve = KERNEL_RESERVE.max(pool.total() / 8);
        let first = pool.take_block(reserve)?;
        drop(pool);
        memory::counts(first, BLOCK).iter().for_each(|count| count.store(1, Ordering::Relaxed));
        Some(Self(first))
    }

    /// The window's 512 frames from `first` on, whose references were counted.
    pub(super) fn of_window(first: u64) -> Self {
        Self(first)
    }

    /// Gives the references up to whoever keeps the address (a page-table entry).
    #[must_use]
    pub fn into_address(self) -> PhysAddr {
        let address = PhysAddr(self.0 << PAGE_SHIFT);
        core::mem::forget(self);
        address
    }

    /// Whether these are the only references to any of the frames.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        memory::counts(self.0, BLOCK).iter().all(|count| count.load(Ordering::Acquire) == 1)
    }

    /// Whether one of the frames is [pinned](Frame::is_pinned).
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        memory::counts(self.0, BLOCK).iter().any(|count| count.load(Ordering::Acquire) >= super::PIN)
    }

    /// Takes back what [`into_address`](Self::into_address) gave up; `None` if no reference is out there.
    pub(crate) fn from_address(address: PhysAddr) -> Option<Self> {
        Frame::from_address(address).map(|frame| Self(frame.into_address().0 >> PAGE_SHIFT))
    }
}

impl Clone for LargeFrame {
    fn clone(&self) -> Self {
        memory::counts(self.0, BLOCK).iter().for_each(|count| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Self(self.0)
    }
}

impl Drop for LargeFrame {
    fn drop(&mut self) {
        if self.is_unique() {
            // Nobody else can come by a reference now: the one it would be made from is this.
            memory::counts(self.0, BLOCK).iter().for_each(|count| count.store(0, Ordering::Relaxed));
            POOL.lock().give_block(self.0);
        } else {
            (self.0..self.0 + BLOCK).for_each(|number| drop(Frame(number)));
        }
    }
}

/// Whole free blocks that the host still has memory for.
#[must_use]
pub fn dirty_blocks() -> u64 {
    memory::ready();
    POOL.lock().dirty_blocks()
}

/// A free block on its way to the host: not free until it is back.
#[derive(Debug)]
pub struct Reported(u64);

impl Reported {
    /// The next one, while more than `keep` are there and memory is not short.
    #[must_use]
    pub fn take(keep: u64) -> Option<Self> {
        memory::ready();
        let mut pool = POOL.lock();
        if pool.free() < pool.total() / 16 + BLOCK {
            return None;
        }
        pool.begin_report(keep).map(Self)
    }

    /// Where it is; it has [`LARGE_PAGE`] bytes.
    #[must_use]
    pub fn address(&self) -> PhysAddr {
        PhysAddr(self.0 << PAGE_SHIFT)
    }

    /// The host took its memory: it is zero from now on.
    pub fn discarded(self) {
        POOL.lock().end_report(self.0, true);
        core::mem::forget(self);
    }
}

impl Drop for Reported {
    /// The host did not take it.
    fn drop(&mut self) {
        POOL.lock().end_report(self.0, false);
    }
}
