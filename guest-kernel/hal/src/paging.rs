//! Page tables of a program: x86-64 four-level paging, pages of 4 KiB and 2 MiB (Intel SDM vol. 3A §4.5).
//!
//! A [`PageTable`] owns its tables and one reference to every frame it maps. The upper half is shared: its
//! top-level entries are copied from the tables that the host built.
//!
//! A large page is one entry of the third level. Whatever concerns only a part of it splits it into 512 entries of the last level, which
//! takes a table and can therefore fail; [`PageTable::split_edges`] does it ahead. A table all of whose pages are
//! unmapped at once goes too, and leaves room for a large page. A program that forks shares its frames with the copy ([`share`]).
//!
//! Memory of a device is mapped without frames: nothing counts who has it, nothing gives it back, and whoever asks for the frame at such an
//! address gets none. Its entries are uncached and never executable.
//!
//! A change that takes rights away is not seen by a CPU before it flushes what it remembers. Adding rights needs no
//! flush: the CPU walks again before it faults. Changes are therefore collected in a [`Flush`], which is
//! carried out once, when the caller is done.

mod share;
pub(crate) mod upper;

pub use share::Census;

use crate::address::{PhysAddr, UserAddr, to_usize};
use crate::device_memory::DeviceMemory;
use crate::frame::large::{LARGE_PAGE, LargeFrame};
use crate::frame::{self, Frame};
use crate::shootdown;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::layout::PAGE_SIZE;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Uncached, whatever the host says: strong UC with the page attribute table that processors begin with.
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// Third level: a page, not a table.
const LARGE: u64 = 1 << 7;
/// Ours: an entry that holds a frame, present or not (PROT_NONE).
const HELD: u64 = 1 << 9;
/// Ours: an entry that maps memory of a device, which has no frame.
const DEVICE: u64 = 1 << 10;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PAGE: u64 = PAGE_SIZE as u64;
/// Frames of a large page.
const BLOCK_PAGES: u64 = LARGE_PAGE / PAGE;
/// An entry that leads to a table.
const TABLE: u64 = PRESENT | WRITABLE | USER | ACCESSED;
/// What every entry of the kernel's half has.
const TABLE_OF_KERNEL: u64 = PRESENT | WRITABLE | ACCESSED;
/// Where the levels' indices begin, top level first.
const SHIFTS: [u32; 4] = [39, 30, 21, 12];

/// What a program may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Anything at all: x86 cannot take reading away alone.
    pub read: bool,
    /// Store.
    pub write: bool,
    /// Fetch instructions.
    pub execute: bool,
}

impl Rights {
    fn bits(self) -> u64 {
        // Accessed and dirty are set from the start: software-emulated walks then have nothing to write back.
        let mut bits = HELD | USER | ACCESSED | DIRTY;
        if self.read {
            bits |= PRESENT;
        }
        if self.write {
            bits |= WRITABLE;
        }
        if !self.execute {
            bits |= NO_EXECUTE;
        }
        bits
    }

    fn from_bits(bits: u64) -> Self {
        Self { read: bits & PRESENT != 0, write: bits & WRITABLE != 0, execute: bits & NO_EXECUTE == 0 }
    }
}

/// No frame for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Pages that CPUs may remember wrongly. Must be [carried out](Flush::now) before their frames are used for something else.
#[must_use]
#[derive(Debug, Default)]
pub struct Flush {
    pages: [u64; Self::SINGLE],
    count: usize,
    /// Whose pages they are.
    space: u32,
    /// Frames that may be freed only after the flush.
    freed: alloc::vec::Vec<Frame>,
    freed_large: alloc::vec::Vec<LargeFrame>,
}

impl Flush {
    /// Up to so many pages are flushed one by one; more flush everything.
    const SINGLE: usize = 8;

    /// Frames that wait for a flush, at most: the list must not need much memory itself.
    const MOST_FREED: usize = 512;

    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Carries out what is there if it is a lot.
    fn relieve(&mut self) {
        if self.freed.len() + self.freed_large.len() * 64 >= Self::MOST_FREED {
            let space = self.space;
            core::mem::replace(self, Self { space, ..Self::default() }).now();
        }
    }

    fn add(&mut self, address: u64) {
        if let Some(slot) = self.pages.get_mut(self.count) {
            *slot = address;
        }
        self.count += 1;
    }

    /// Makes every CPU forget, then frees the frames that were unmapped.
    pub fn now(self) {
        if self.count == 0 && self.freed.is_empty() && self.freed_large.is_empty() {
            return;
        }
        if shootdown::is_here(self.space) {
            match self.pages.get(..self.count) {
                Some(pages) => arch::flush_pages(pages),
                None => arch::flush_all(),
            }
        }
        shootdown::everywhere(self.space, arch::flush_all);
    }
}

/// Where a walk ends.
enum Leaf {
    /// The last-level entry.
    Small(&'static AtomicU64),
    /// The entry of a large page.
    Large(&'static AtomicU64),
    /// No table: so many bytes can be skipped.
    Missing(u64),
}

/// Whether kernel and program run at the same privilege: page faults are dear then.
#[must_use]
pub fn is_single_privilege() -> bool {
    #[cfg(target_os = "none")]
    return crate::single::is_single();
    #[cfg(not(target_os = "none"))]
    return true;
}

/// What a visitor of entries did.
#[derive(PartialEq, Eq)]
enum Visit {
    Done,
    /// It split the large page, and sees its parts next.
    Split,
}

/// Makes this CPU forget every translation.
pub(crate) fn forget_all() {
    arch::flush_all();
}

/// The page tables of one program.
#[derive(Debug)]
pub struct PageTable {
    root: Frame,
    /// Frames that are mapped, and the most there ever were.
    resident: u64,
    most_resident: u64,
}

/// Pages of one last-level table that are given frames.
#[derive(Debug)]
pub struct Filling<'a> {
    table: &'a mut PageTable,
    first: &'static AtomicU64,
    room: usize,
    bits: u64,
}

impl Filling<'_> {
    /// Maps `frames` from `step` pages behind the first on, where there are none yet. Those beyond the table are left out.
    pub fn put(&mut self, step: u64, frames: &[Frame]) {
        let mut mapped = 0;
        for (step, frame) in (to_usize(step)..self.room).zip(frames) {
            let entry = neighbour(self.first, step);
            if entry.load(Ordering::Relaxed) & HELD == 0 {
                entry.store(frame.clone().into_address().0 | self.bits, Ordering::Release);
                mapped += 1;
            }
        }
        self.table.add_resident(mapped);
    }
}

impl PageTable {
    /// An empty lower half.
    pub fn new() -> Result<Self, OutOfMemory> {
        let root = Frame::for_kernel().ok_or(OutOfMemory)?;
        arch::copy_upper_half(&root);
        Ok(Self { root, resident: 0, most_resident: 0 })
    }

    /// Frames that are mapped.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.resident
    }

    /// The most frames that were ever mapped.
    #[must_use]
    pub fn most_resident(&self) -> u64 {
        self.most_resident.max(self.resident)
    }

    fn add_resident(&mut self, frames: u64) {
        self.resident += frames;
        self.most_resident = self.most_resident.max(self.resident);
    }

    /// What shootdowns know it by.
    fn space(&self) -> u32 {
        shootdown::space_of(self.root.address())
    }

    /// Makes this CPU use it, until another one is activated: a table that was dropped meanwhile keeps its root, with nothing but the
    /// kernel's half.
    pub fn activate(&self) {
        arch::activate(&self.root);
    }

    /// Makes this CPU stop using it.
    pub fn deactivate(&self) {
        arch::deactivate(self.root.address());
    }

    fn entry(table: PhysAddr, index: usize) -> &'static AtomicU64 {
        let pointer = frame::memory_at(table, (index & 511) * 8).cast::<AtomicU64>();
        // SAFETY: 1. `table` is a table that this page table owns, so its frame is allocated; 2. the index is
        // in range and the entry aligned; 3. entries are only ever used as atomics, by us and by the CPU.
        unsafe { &*pointer }
    }

    fn index(address: u64, level: usize) -> usize {
        to_usize(address >> SHIFTS[level]) & 511
    }

    fn find(&self, address: u64) -> Leaf {
        let mut table = self.root.address();
        for (level, shift) in SHIFTS[..3].iter().enumerate() {
            let entry = Self::entry(table, Self::index(address, level));
            let value = entry.load(Ordering::Relaxed);
            if value & HELD != 0 {
                return Leaf::Large(entry);
            }
            if value & PRESENT == 0 {
                let span = 1u64 << shift;
                return Leaf::Missing(span - (address & (span - 1)));
            }
            table = PhysAddr(value & ADDRESS);
        }
        Leaf::Small(Self::entry(table, Self::index(address, 3)))
    }

    /// The third-level entry for `address`.
    fn directory_entry(&self, address: u64) -> Result<&'static AtomicU64, OutOfMemory> {
        let mut table = self.root.address();
        for level in 0..2 {
            let entry = Self::entry(table, Self::index(address, level));
            let mut value = entry.load(Ordering::Relaxed);
            if value & PRESENT == 0 {
                value = Frame::for_kernel().ok_or(OutOfMemory)?.into_address().0 | TABLE;
                entry.store(value, Ordering::Release);
            }
            table = PhysAddr(value & ADDRESS);
        }
        Ok(Self::entry(table, Self::index(address, 2)))
    }

    fn find_or_add(&self, address: u64, flush: &mut Flush) -> Result<&'static AtomicU64, OutOfMemory> {
        let entry = self.directory_entry(address)?;
        let mut value = entry.load(Ordering::Relaxed);
        if value & HELD != 0 {
            value = Self::split(entry, address, flush)?;
        } else if value & PRESENT == 0 {
            value = Frame::for_kernel().ok_or(OutOfMemory)?.into_address().0 | TABLE;
            entry.store(value, Ordering::Release);
        }
        Ok(Self::entry(PhysAddr(value & ADDRESS), Self::index(address, 3)))
    }

    /// Replaces the large page of `entry` by a table; returns the entry's new value.
    fn split(entry: &AtomicU64, address: u64, flush: &mut Flush) -> Result<u64, OutOfMemory> {
        let table = Frame::for_kernel().ok_or(OutOfMemory)?.into_address();
        let old = entry.load(Ordering::Relaxed) & !LARGE;
        let first = Self::entry(table, 0);
        for step in 0..512 {
            neighbour(first, step).store(old + step as u64 * PAGE, Ordering::Relaxed);
        }
        entry.store(table.0 | TABLE, Ordering::Release);
        flush.add(address);
        Ok(table.0 | TABLE)
    }

    /// Splits large pages that `start` or `end` cuts.
    pub fn split_edges(&mut self, start: u64, end: u64, flush: &mut Flush) -> Result<(), OutOfMemory> {
        flush.space = self.space();
        for edge in [start, end] {
            if !edge.is_multiple_of(LARGE_PAGE)
                && let Leaf::Large(entry) = self.find(edge)
            {
                Self::split(entry, edge, flush)?;
            }
        }
        Ok(())
    }

    /// Whether the 2 MiB that hold `address` have neither pages nor a table.
    #[must_use]
    pub fn has_room_for_large(&self, address: u64) -> bool {
        matches!(self.find(address), Leaf::Missing(_))
    }

    /// Maps a large page at `address`, which is aligned and [has room](Self::has_room_for_large).
    pub fn map_large(
        &mut self,
        address: UserAddr,
        frame: LargeFrame,
        rights: Rights,
    ) -> Result<(), OutOfMemory> {
        let entry = self.directory_entry(address.get())?;
        if entry.load(Ordering::Relaxed) != 0 {
            return Err(OutOfMemory);
        }
        entry.store(frame.into_address().0 | rights.bits() | LARGE, Ordering::Release);
        self.add_resident(BLOCK_PAGES);
        Ok(())
    }

    /// Maps `frame` at the page of `address`. What was there goes to `flush`.
    pub fn map(
        &mut self,
        address: UserAddr,
        frame: Frame,
        rights: Rights,
        flush: &mut Flush,
    ) -> Result<(), OutOfMemory> {
        flush.space = self.space();
        let entry = self.find_or_add(address.get(), flush)?;
        let old = entry.swap(frame.into_address().0 | rights.bits(), Ordering::AcqRel);
        if old & HELD == 0 {
            self.add_resident(1);
        }
        self.retire(address.page().get(), old, flush);
        Ok(())
    }

    /// Maps memory of a device at the page of `address` and those after it, as far as it goes and the last-level table does: as one large
    /// page if it is one and nothing is there, else page by page. What is mapped there already, of a device too, gets the same rights.
    pub fn map_device(
        &mut self,
        address: UserAddr,
        memory: DeviceMemory,
        rights: Rights,
    ) -> Result<(), OutOfMemory> {
        let bits = device_bits(rights);
        let start = memory.start().0;
        let is_large = memory.len() == LARGE_PAGE && (start | address.get()).is_multiple_of(LARGE_PAGE);
        if is_large && self.has_room_for_large(address.get()) {
            self.directory_entry(address.get())?.store(start | bits | LARGE, Ordering::Release);
            return Ok(());
        }
        let mut flush = Flush { space: self.space(), ..Flush::new() };
        let first = self.find_or_add(address.get(), &mut flush)?;
        flush.now();
        let room = 512 - Self::index(address.get(), 3);
        for step in 0..to_usize(memory.len() / PAGE).min(room) {
            let entry = neighbour(first, step);
            let old = entry.load(Ordering::Relaxed);
            if old & HELD == 0 || old & DEVICE != 0 {
                entry.store((start + step as u64 * PAGE) | bits, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Maps frames that `next` gives at the pages of `address` and the `count - 1` after it that hold none yet, up to the end
    /// of the last-level table. `next` is told how far from `address` the page is. Returns how many were mapped.
    pub fn fill(
        &mut self,
        address: UserAddr,
        count: usize,
        rights: Rights,
        mut next: impl FnMut(usize) -> Option<Frame>,
    ) -> Result<usize, OutOfMemory> {
        let mut flush = Flush { space: self.space(), ..Flush::new() };
        let first = self.find_or_add(address.get(), &mut flush)?;
        flush.now();
        let room = 512 - Self::index(address.get(), 3);
        let bits = rights.bits();
        let mut mapped = 0;
        for step in 0..count.min(room) {
            let entry = neighbour(first, step);
            if entry.load(Ordering::Relaxed) & HELD != 0 {
                continue;
            }
            if let Some(frame) = next(step) {
                entry.store(frame.into_address().0 | bits, Ordering::Release);
                mapped += 1;
            }
        }
        self.add_resident(mapped as u64);
        Ok(mapped)
    }

    /// Pages from `address` on, to be given frames if they hold none yet, up to the end of the last-level table.
    pub fn filling(&mut self, address: UserAddr, rights: Rights) -> Result<Filling<'_>, OutOfMemory> {
        let mut flush = Flush { space: self.space(), ..Flush::new() };
        let first = self.find_or_add(address.get(), &mut flush)?;
        flush.now();
        let room = 512 - Self::index(address.get(), 3);
        Ok(Filling { table: self, first, room, bits: rights.bits() })
    }

    /// The frame at the page of `address` and the rights.
    #[must_use]
    pub fn query(&self, address: UserAddr) -> Option<(Frame, Rights)> {
        let (value, offset) = match self.find(address.get()) {
            Leaf::Small(entry) => (entry.load(Ordering::Acquire), 0),
            Leaf::Large(entry) => {
                (entry.load(Ordering::Acquire) & !LARGE, address.page().get() & (LARGE_PAGE - 1))
            }
            Leaf::Missing(_) => return None,
        };
        if value & HELD == 0 {
            return None;
        }
        let frame = Frame::from_address(PhysAddr((value & ADDRESS) + offset))?;
        let shared = frame.clone();
        let _ = frame.into_address();
        Some((shared, Rights::from_bits(value)))
    }

    /// Whether a page is at `address`.
    #[must_use]
    pub fn is_mapped(&self, address: UserAddr) -> bool {
        match self.find(address.get()) {
            Leaf::Small(entry) => entry.load(Ordering::Relaxed) & HELD != 0,
            Leaf::Large(_) => true,
            Leaf::Missing(_) => false,
        }
    }

    /// Unmaps `start..end` (page-aligned), whose edges were [split](Self::split_edges).
    pub fn unmap(&mut self, start: u64, end: u64, flush: &mut Flush) {
        self.each(start, end, flush, |this, address, entry, flush| {
            let old = entry.swap(0, Ordering::AcqRel);
            flush.add(address);
            if old & DEVICE != 0 {
                return Visit::Done;
            }
            this.resident -= if old & LARGE == 0 { 1 } else { BLOCK_PAGES };
            if old & LARGE != 0 {
                flush.freed_large.extend(LargeFrame::from_address(PhysAddr(old & ADDRESS & !LARGE)));
            } else {
                flush.freed.extend(Frame::from_address(PhysAddr(old & ADDRESS)));
            }
            flush.relieve();
            Visit::Done
        });
        self.drop_tables(start, end, flush);
    }

    /// Frees the last-level tables that map nothing but parts of `start..end`, which is unmapped.
    fn drop_tables(&mut self, start: u64, end: u64, flush: &mut Flush) {
        let mut address = start.next_multiple_of(LARGE_PAGE);
        while address + LARGE_PAGE <= end {
            match self.find(address) {
                Leaf::Missing(skip) => address += skip,
                Leaf::Large(_) => address += LARGE_PAGE,
                Leaf::Small(_) => {
                    if let Ok(entry) = self.directory_entry(address) {
                        let old = entry.swap(0, Ordering::AcqRel);
                        flush.add(address);
                        flush.freed.extend(Frame::from_address(PhysAddr(old & ADDRESS)));
                        flush.relieve();
                    }
                    address += LARGE_PAGE;
                }
            }
        }
    }

    /// Sets the rights of what is mapped in `start..end`, whose edges were [split](Self::split_edges); `rights` sees
    /// each frame, which may be shared, or the first of a large page; none for memory of a device.
    pub fn protect(
        &mut self,
        start: u64,
        end: u64,
        flush: &mut Flush,
        rights: impl Fn(Option<&Frame>) -> Rights,
    ) {
        self.each(start, end, flush, |_, address, entry, flush| {
            let old = entry.load(Ordering::Relaxed);
            let large = old & LARGE;
            let new = if old & DEVICE != 0 {
                (old & ADDRESS) | device_bits(rights(None)) | large
            } else {
                let Some(frame) = Frame::from_address(PhysAddr(old & ADDRESS)) else { return Visit::Done };
                let new = (old & ADDRESS) | rights(Some(&frame)).bits() | large;
                let _ = frame.into_address();
                new
            };
            entry.store(new, Ordering::Release);
            let lost = (old & !new & (PRESENT | WRITABLE)) | (new & !old & NO_EXECUTE);
            if old & PRESENT != 0 && lost != 0 {
                flush.add(address);
            }
            Visit::Done
        });
    }

    /// Moves what is mapped at `from..from + len`, whose edges were [split](Self::split_edges), to `to`, whose pages
    /// are not mapped. Where it fails, the rest stays where it was.
    pub fn relocate(&mut self, from: u64, to: u64, len: u64, flush: &mut Flush) -> Result<(), OutOfMemory> {
        let mut result = Ok(());
        self.each(from, from + len, flush, |this, address, entry, flush| {
            if result.is_err() {
                return Visit::Done;
            }
            let target_address = to + (address - from);
            let target = if entry.load(Ordering::Relaxed) & LARGE == 0 {
                this.find_or_add(target_address, flush)
            } else if target_address.is_multiple_of(LARGE_PAGE) && this.has_room_for_large(target_address) {
                this.directory_entry(target_address)
            } else {
                match Self::split(entry, address, flush) {
                    Ok(_) => return Visit::Split,
                    Err(error) => Err(error),
                }
            };
            match target {
                Ok(target) => target.store(entry.swap(0, Ordering::AcqRel), Ordering::Release),
                Err(error) => result = Err(error),
            }
            flush.add(address);
            Visit::Done
        });
        result
    }

    /// Visits the entries that hold a frame or a large page, of `start..end`.
    fn each(
        &mut self,
        start: u64,
        end: u64,
        flush: &mut Flush,
        mut visit: impl FnMut(&mut Self, u64, &'static AtomicU64, &mut Flush) -> Visit,
    ) {
        flush.space = self.space();
        let mut address = start;
        while address < end {
            match self.find(address) {
                Leaf::Missing(skip) => address += skip,
                Leaf::Large(entry) => {
                    let first = address & !(LARGE_PAGE - 1);
                    let is_whole = first >= start && first + LARGE_PAGE <= end;
                    if is_whole {
                        if visit(self, first, entry, flush) == Visit::Done {
                            address = first + LARGE_PAGE;
                        }
                    } else if Self::split(entry, address, flush).is_err() {
                        address = first + LARGE_PAGE;
                    }
                }
                Leaf::Small(entry) => {
                    let in_table = (512 - Self::index(address, 3)) as u64 * PAGE;
                    let stop = end.min(address + in_table);
                    let first = address;
                    while address < stop {
                        let entry = neighbour(entry, to_usize((address - first) / PAGE));
                        if entry.load(Ordering::Relaxed) & HELD != 0 {
                            let _ = visit(self, address, entry, flush);
                        }
                        address += PAGE;
                    }
                }
            }
        }
    }

    fn retire(&mut self, address: u64, old: u64, flush: &mut Flush) {
        if old & HELD != 0 {
            flush.add(address);
            flush.freed.extend(Frame::from_address(PhysAddr(old & ADDRESS)));
        }
    }

    /// Frees a table that no CPU knows any more, with all that it maps.
    fn release(table: PhysAddr) {
        let first = Self::entry(table, 0);
        for index in 0..512 {
            let value = neighbour(first, index).load(Ordering::Relaxed);
            let address = PhysAddr(value & ADDRESS);
            match (value & (HELD | PRESENT), value & LARGE) {
                (0, _) => {}
                (PRESENT, _) => Self::release(address),
                (_, 0) => drop(Frame::from_address(address)),
                _ => drop(LargeFrame::from_address(PhysAddr(address.0 & !LARGE))),
            }
        }
        drop(Frame::from_address(table));
    }
}

impl PageTable {
    /// Unmaps everything and frees all tables but the root. No CPU may be using it.
    pub fn clear(&mut self) {
        arch::deactivate(self.root.address());
        let mut flush = Flush { space: self.space(), ..Flush::new() };
        let tables: alloc::vec::Vec<u64> = (0..256)
            .map(|index| Self::entry(self.root.address(), index).swap(0, Ordering::AcqRel))
            .filter(|value| *value != 0)
            .collect();
        if !tables.is_empty() {
            flush.add(0);
        }
        // A vCPU without a thread may have the root loaded still.
        flush.now();
        tables.into_iter().for_each(|value| Self::release(PhysAddr(value & ADDRESS)));
        self.resident = 0;
    }
}

impl Drop for PageTable {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The bits of an entry for memory of a device.
fn device_bits(rights: Rights) -> u64 {
    Rights { execute: false, ..rights }.bits() | UNCACHED | DEVICE
}

/// The entry `step` after `entry`; the caller stays within the table.
fn neighbour(entry: &'static AtomicU64, step: usize) -> &'static AtomicU64 {
    // SAFETY: the callers bound `step` by what is left of the 512-entry table that `entry` lies in.
    unsafe { &*core::ptr::from_ref(entry).add(step) }
}

#[cfg(target_os = "none")]
mod arch {
    use super::{Frame, PageTable, PhysAddr};
    use crate::{local, shootdown, single};
    use core::arch::asm;
    use core::sync::atomic::Ordering;
    use septum_abi::layout::BOOT_PAGE_TABLES;

    fn set_root(root: u64) {
        // SAFETY: 1. every root has the kernel's half, so this code and its stack stay mapped; 2. flushing is
        // always allowed.
        unsafe {
            if single::is_single() {
                single::set_root(root);
            } else {
                asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags));
            }
        }
    }

    pub fn copy_upper_half(root: &Frame) {
        let boot = PhysAddr(BOOT_PAGE_TABLES);
        for index in [272, 288, 511] {
            let value = PageTable::entry(boot, index).load(Ordering::Relaxed);
            PageTable::entry(root.address(), index).store(value, Ordering::Relaxed);
        }
    }

    /// The root of the tables that the kernel's half is shared from, and the rights of the direct map.
    pub fn direct_map() -> Option<(PhysAddr, u64)> {
        let bits = if single::is_single() { super::USER } else { super::NO_EXECUTE };
        Some((PhysAddr(BOOT_PAGE_TABLES), bits))
    }

    pub fn activate(root: &Frame) {
        if local::current().root.load(Ordering::Relaxed) != root.address().0 {
            load(root.clone().into_address().0);
        }
    }

    pub fn deactivate(root: PhysAddr) {
        if local::current().root.load(Ordering::Relaxed) == root.0 {
            load(0);
        }
    }

    /// Loads a root whose reference `local` keeps from now on (0: that of the host), and gives up the one before.
    fn load(root: u64) {
        let before = local::current().root.swap(root, Ordering::Relaxed);
        let tables = if root == 0 { BOOT_PAGE_TABLES } else { root };
        shootdown::enter(shootdown::space_of(PhysAddr(tables)), || set_root(tables));
        if before != 0 {
            drop(Frame::from_address(PhysAddr(before)));
        }
    }

    pub fn flush_pages(addresses: &[u64]) {
        if single::is_single() {
            return single::flush_pages(addresses);
        }
        for address in addresses {
            // SAFETY: invlpg of any address only forgets a translation.
            unsafe { asm!("invlpg [{}]", in(reg) *address, options(nostack, preserves_flags)) };
        }
    }

    pub fn flush_all() {
        match local::current().root.load(Ordering::Relaxed) {
            0 => set_root(BOOT_PAGE_TABLES),
            root => set_root(root),
        }
    }
}

#[cfg(not(target_os = "none"))]
pub(crate) mod arch {
    //! Tests: the active table is remembered, for copying "program" memory through it.
    use super::{Frame, PhysAddr, shootdown};
    use std::cell::Cell;

    std::thread_local!(pub static ACTIVE: Cell<u64> = const { Cell::new(0) });

    pub fn copy_upper_half(_root: &Frame) {}
    pub fn direct_map() -> Option<(PhysAddr, u64)> {
        None
    }
    pub fn activate(root: &Frame) {
        let address = root.address();
        shootdown::enter(shootdown::space_of(address), || ACTIVE.set(address.0));
    }
    pub fn deactivate(root: PhysAddr) {
        if ACTIVE.get() == root.0 {
            ACTIVE.set(0);
        }
    }
    pub fn flush_pages(_addresses: &[u64]) {}
    pub fn flush_all() {}
}

#[cfg(test)]
mod tests;
