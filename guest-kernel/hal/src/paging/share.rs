//! Two page tables that map the same frames: what `fork` makes of one.
//!
//! Frames have as many references as there are entries that map them. Where a store by one program must not be seen by the other,
//! both lose the right to write; the first one that writes gets a copy, and whoever finds itself alone with the frame gets the right
//! back ([`PageTable::own`]). A frame into which a device stores is copied at once: otherwise the program that asked for that would be
//! the one to get another frame.

use super::{
    ADDRESS, DEVICE, Flush, HELD, LARGE, LARGE_PAGE, Leaf, OutOfMemory, PAGE, PageTable, Rights, WRITABLE,
};
use super::{BLOCK_PAGES, neighbour};
use crate::address::{PhysAddr, UserAddr, to_usize};
use crate::frame::Frame;
use crate::frame::large::LargeFrame;
use core::sync::atomic::{AtomicU64, Ordering};

/// One more reference to what an entry maps.
fn share_frame(value: u64) {
    with_frames(value, |frame| frame.clone().into_address(), |large| large.clone().into_address());
}

/// Whether a device may be storing into what an entry maps.
fn is_pinned(value: u64) -> bool {
    with_frames(value, Frame::is_pinned, LargeFrame::is_pinned).unwrap_or(false)
}

/// Looks at what an entry maps, whose reference stays the entry's.
fn with_frames<T>(
    value: u64,
    small: impl FnOnce(&Frame) -> T,
    large: impl FnOnce(&LargeFrame) -> T,
) -> Option<T> {
    if value & LARGE != 0 {
        let frame = LargeFrame::from_address(PhysAddr(value & ADDRESS & !LARGE))?;
        let result = large(&frame);
        let _ = frame.into_address();
        return Some(result);
    }
    let frame = Frame::from_address(PhysAddr(value & ADDRESS))?;
    let result = small(&frame);
    let _ = frame.into_address();
    Some(result)
}

/// Takes the right to write from an entry, if it has it.
fn protect(entry: &AtomicU64, address: u64, flush: &mut Flush) -> u64 {
    let value = entry.load(Ordering::Relaxed);
    if value & WRITABLE != 0 {
        entry.store(value & !WRITABLE, Ordering::Release);
        flush.add(address);
    }
    value & !WRITABLE
}

/// How much of a range is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Pages that are there.
    pub present: u64,
    /// Those of them that nobody else maps or keeps.
    pub own: u64,
    /// Those of them that are parts of 2 MiB pages.
    pub large: u64,
}

impl PageTable {
    /// Counts the pages of `start..end`.
    #[must_use]
    pub fn census(&self, start: u64, end: u64) -> Census {
        let mut census = Census::default();
        let mut address = start;
        while address < end {
            let stop = end.min((address | (LARGE_PAGE - 1)) + 1);
            match self.find(address) {
                Leaf::Missing(skip) => address += skip,
                Leaf::Large(entry) => {
                    let pages = (stop - address) / PAGE;
                    let value = entry.load(Ordering::Relaxed);
                    let is_own = with_frames(value, Frame::is_unique, LargeFrame::is_unique).unwrap_or(false);
                    census.present += pages;
                    census.large += pages;
                    census.own += if is_own { pages } else { 0 };
                    address = stop;
                }
                Leaf::Small(first) => {
                    for step in 0..to_usize((stop - address) / PAGE) {
                        let value = neighbour(first, step).load(Ordering::Relaxed);
                        if value & HELD != 0 {
                            census.present += 1;
                            let is_own = with_frames(value, Frame::is_unique, LargeFrame::is_unique);
                            census.own += u64::from(is_own.unwrap_or(false));
                        }
                    }
                    address = stop;
                }
            }
        }
        census
    }

    /// How many pages of `start..end` may be written; a look that stops when there are `most`, which a large page is too.
    #[must_use]
    pub fn count_writable(&self, start: u64, end: u64, most: usize) -> usize {
        let (mut address, mut count) = (start, 0);
        while address < end && count < most {
            match self.find(address) {
                Leaf::Missing(skip) => address += skip,
                Leaf::Large(_) => return most,
                Leaf::Small(first) => {
                    let stop = end.min((address | (LARGE_PAGE - 1)) + 1);
                    for step in 0..to_usize((stop - address) / PAGE) {
                        let value = neighbour(first, step).load(Ordering::Relaxed);
                        count += usize::from(value & WRITABLE != 0);
                    }
                    address = stop;
                }
            }
        }
        count
    }

    /// Maps at `start..end` copies of the pages of `from` that may be written, and its other frames themselves; `from` keeps its rights.
    pub fn copy(&mut self, from: &mut Self, start: u64, end: u64) -> Result<(), OutOfMemory> {
        let mut flush = Flush { space: from.space(), ..Flush::new() };
        let mut address = start;
        while address < end {
            match from.find(address) {
                Leaf::Missing(skip) => address += skip,
                Leaf::Large(entry) => drop(Self::split(entry, address, &mut flush)?),
                Leaf::Small(entry) => {
                    let stop = end.min((address | (LARGE_PAGE - 1)) + 1);
                    let which = |value: u64| value & WRITABLE != 0 || is_pinned(value);
                    self.share_pages(entry, address, stop, which, false, &mut flush)?;
                    address = stop;
                }
            }
        }
        flush.now();
        Ok(())
    }

    /// Maps at `start..end` what `from` maps there. `is_copied`: stores are not to be shared, so nobody may write for now. Nothing is mapped
    /// there yet. If memory runs out, what was mapped until then stays.
    pub fn share(
        &mut self,
        from: &mut Self,
        start: u64,
        end: u64,
        is_copied: bool,
        flush: &mut Flush,
    ) -> Result<(), OutOfMemory> {
        flush.space = from.space();
        let mut address = start;
        while address < end {
            match from.find(address) {
                Leaf::Missing(skip) => address += skip,
                // One that the range cuts, because another mapping has the rest, is cut into pages; so is one that is not shared as a whole.
                Leaf::Large(entry)
                    if !address.is_multiple_of(LARGE_PAGE)
                        || address + LARGE_PAGE > end
                        || is_copied && is_pinned(entry.load(Ordering::Relaxed)) =>
                {
                    Self::split(entry, address, flush)?;
                }
                Leaf::Large(entry) => {
                    let target = self.directory_entry(address)?;
                    let value = if is_copied {
                        protect(entry, address, flush)
                    } else {
                        entry.load(Ordering::Relaxed)
                    };
                    share_frame(value);
                    target.store(value, Ordering::Release);
                    if value & DEVICE == 0 {
                        self.add_resident(BLOCK_PAGES);
                    }
                    address += LARGE_PAGE;
                }
                Leaf::Small(entry) => {
                    let stop = end.min((address | (LARGE_PAGE - 1)) + 1);
                    let which = |value| is_copied && is_pinned(value);
                    self.share_pages(entry, address, stop, which, is_copied, flush)?;
                    address = stop;
                }
            }
        }
        Ok(())
    }

    /// The pages of one last-level table, the first of which `entry` maps: copies of `which`; the others lose the right to write if `protects`.
    fn share_pages(
        &mut self,
        entry: &'static AtomicU64,
        start: u64,
        end: u64,
        which: impl Fn(u64) -> bool,
        protects: bool,
        flush: &mut Flush,
    ) -> Result<(), OutOfMemory> {
        let mut target = None;
        for step in 0..to_usize((end - start) / PAGE) {
            let entry = neighbour(entry, step);
            if entry.load(Ordering::Relaxed) & HELD == 0 {
                continue;
            }
            // A table only if there is something for it.
            let target = match target {
                Some(target) => target,
                None => *target.insert(self.find_or_add(start, flush)?),
            };
            let mut value = entry.load(Ordering::Relaxed);
            if which(value) {
                let copy = Frame::uninit().ok_or(OutOfMemory)?;
                with_frames(value, |frame| copy.copy_from(frame), |_| ());
                value = value & !ADDRESS | copy.into_address().0;
            } else {
                if protects {
                    value = protect(entry, start + step as u64 * PAGE, flush);
                }
                share_frame(value);
            }
            neighbour(target, step).store(value, Ordering::Release);
            if value & DEVICE == 0 {
                self.add_resident(1);
            }
        }
        Ok(())
    }

    /// Gives the right to write to the large page at `address`, if there is one whose frames nobody else holds.
    pub fn own_large(&mut self, address: UserAddr) -> bool {
        let Leaf::Large(entry) = self.find(address.get()) else { return false };
        let value = entry.load(Ordering::Relaxed);
        let Some(frame) = LargeFrame::from_address(PhysAddr(value & ADDRESS & !LARGE)) else { return false };
        let is_unique = frame.is_unique();
        let _ = frame.into_address();
        if is_unique {
            entry.store(value | WRITABLE, Ordering::Release);
        }
        is_unique
    }

    /// Gives `rights`, which are to write too, to the pages of `start..end` that have them but for that, and that nobody else holds. The range
    /// lies in one last-level table.
    pub fn own(&mut self, start: UserAddr, end: u64, rights: Rights) {
        let Leaf::Small(first) = self.find(start.get()) else { return };
        let bits = rights.bits();
        for step in 0..to_usize((end - start.page().get()) / PAGE) {
            let entry = neighbour(first, step);
            let value = entry.load(Ordering::Relaxed);
            if value & !ADDRESS | WRITABLE != bits || value & WRITABLE != 0 {
                continue;
            }
            let Some(frame) = Frame::from_address(PhysAddr(value & ADDRESS)) else { continue };
            if frame.is_unique() {
                entry.store(value | WRITABLE, Ordering::Release);
            }
            let _ = frame.into_address();
        }
    }
}
