//! Contents that a program gives up (`madvise`), and memory that goes back to the host.
//!
//! ```text
//! munmap, madvise, brk, the end of a program
//!      │ frames
//!      ▼
//! free blocks of 2 MiB ──► more than KEEP of them: relieve() ──► FreeReporter ──► host takes the memory
//!      ▲                                                                             │
//!      └────────────────────── clean: known to be zero, never cleared ◄──────────────┘
//! ```
//!
//! Who freed memory reports it, when it holds no lock of an address space any more: the guest has no thread of its
//! own. What is freed and used again soon stays, up to [`KEEP`] blocks.

use super::area::{Advice, Area, Backing};
use super::space::AddressSpace;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::address::UserAddr;
use septum_guest_hal::frame::large::{self, Reported};
use septum_guest_hal::paging::{Census, Flush};
use septum_guest_hal::sync::Once;

/// Free blocks that stay in the guest.
const KEEP: u64 = 4;
/// Free blocks from which on they are reported.
const MANY: u64 = 8;
/// Blocks that are reported together.
pub const BATCH: usize = 32;

/// `MADV_DONTNEED`
pub const DONTNEED: i32 = 4;
/// `MADV_FREE`
pub const FREE: i32 = 8;

/// Who tells the host (the balloon's driver).
pub trait FreeReporter: Send + Sync {
    /// Has the host take the memory of free blocks, at most [`BATCH`]. On success they are zero.
    fn report(&self, blocks: &[Reported]) -> Result<(), Errno>;
}

static REPORTER: Once<&'static dyn FreeReporter> = Once::new();
/// The host refused once: it is not asked again.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// Sets who tells the host; the first call counts.
pub fn bind(reporter: &'static dyn FreeReporter) {
    REPORTER.call_once(|| reporter);
}

/// Gives free memory back to the host, if there is much. To be called without locks after memory was freed.
pub fn relieve() {
    let Some(reporter) = REPORTER.get() else { return };
    if large::dirty_blocks() < MANY || IS_REFUSED.load(Ordering::Relaxed) {
        return;
    }
    loop {
        let mut blocks = Vec::with_capacity(BATCH);
        blocks.extend(core::iter::from_fn(|| Reported::take(KEEP)).take(BATCH));
        if blocks.is_empty() {
            return;
        }
        if reporter.report(&blocks).is_err() {
            IS_REFUSED.store(true, Ordering::Relaxed);
            return;
        }
        blocks.into_iter().for_each(Reported::discarded);
    }
}

impl AddressSpace {
    /// Drops the contents of pages (MADV_DONTNEED, MADV_FREE): private ones read as at first again. Parts that
    /// are not mapped are ENOMEM, after the rest was done.
    pub fn discard(&mut self, start: u64, len: u64, code: i32) -> Result<(), Errno> {
        let end = Self::check_range(start, len)?;
        if start == end {
            return Ok(());
        }
        let first = self.area_at(start).map_or(start, |area| area.start);
        let is_refused = |area: &Area| match code {
            DONTNEED => area.advice.contains(Advice::LOCKED) || matches!(area.backing, Backing::Kernel),
            FREE => !matches!(area.backing, Backing::Anonymous),
            _ => matches!(area.backing, Backing::Kernel),
        };
        if self.areas.range(first..end).any(|(_, area)| is_refused(area)) {
            return Err(Errno::EINVAL);
        }
        self.write_back(start, end);
        let mut flush = Flush::new();
        self.table.split_edges(start, end, &mut flush).map_err(|_| Errno::ENOMEM)?;
        self.table.unmap(start, end, &mut flush);
        flush.now();
        if self.covers(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Which pages of the range are present, for `mincore`.
    pub fn residency(&self, start: u64, end: u64, mut tell: impl FnMut(bool)) {
        (start..end)
            .step_by(septum_abi::layout::PAGE_SIZE)
            .for_each(|address| tell(self.is_present(address)));
    }

    /// How much of the range is there.
    #[must_use]
    pub fn census(&self, start: u64, end: u64) -> Census {
        self.table.census(start, end)
    }

    /// Whether the page at `address` is present.
    #[must_use]
    pub fn is_present(&self, address: u64) -> bool {
        UserAddr::new(address).is_some_and(|at| self.table.is_mapped(at))
    }
}
