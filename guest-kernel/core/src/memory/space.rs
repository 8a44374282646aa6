//! The areas of a program and its page table.

use super::area::{Advice, Area, Backing, Label, Protection};
use super::call_sites::CallSites;
use super::layout::{LOWEST, Layout, MAPPINGS_LOWEST, page_up};
use crate::fs::pci;
use crate::fs::transfers::Context;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::layout::{PAGE_SIZE, USER_END};
use septum_abi::linux::Errno;
use septum_guest_hal::address::UserAddr;
use septum_guest_hal::frame::large::LARGE_PAGE;
use septum_guest_hal::paging::{Flush, PageTable, Rights};

pub(super) const PAGE: u64 = PAGE_SIZE as u64;

/// An address space. Its owner puts it behind a lock.
pub struct AddressSpace {
    pub(super) table: PageTable,
    /// By start address; they do not overlap.
    pub(super) areas: BTreeMap<u64, Area>,
    pub(super) layout: Layout,
    /// Lowest mapping below `layout.mappings_top`: the next one goes right below it.
    pub(super) floor: u64,
    pub(super) break_start: u64,
    pub(super) break_end: u64,
    /// Bytes of all areas.
    pub(super) size: u64,
    /// RLIMIT_STACK: no area grows beyond that many bytes.
    pub(super) stack_limit: u64,
    /// What the program said of all mappings to come (`mlockall`).
    pub(super) future: Advice,
    /// What its programs have under way and do not wait for.
    pub(crate) transfers: Vec<Arc<Context>>,
    pub(super) call_sites: CallSites,
}

/// Where a mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere, preferably at this address.
    Hint(u64),
    /// Exactly there, replacing what is there.
    Fixed(u64),
    /// Exactly there, or EEXIST.
    FixedFree(u64),
}

impl AddressSpace {
    /// An empty one. ENOMEM if there is no memory for the page table.
    pub fn new(layout: Layout, stack_limit: u64) -> Result<Self, Errno> {
        Ok(Self {
            table: PageTable::new().map_err(|_| Errno::ENOMEM)?,
            areas: BTreeMap::new(),
            layout,
            floor: layout.mappings_top,
            break_start: 0,
            break_end: 0,
            size: 0,
            stack_limit,
            future: Advice::empty(),
            transfers: Vec::new(),
            call_sites: CallSites::default(),
        })
    }

    /// Makes this CPU use it.
    pub fn activate(&self) {
        self.table.activate();
    }

    /// Makes this CPU stop using it.
    pub fn deactivate(&self) {
        self.table.deactivate();
    }

    /// Where things go.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// RLIMIT_STACK has changed. What has grown stays.
    pub fn set_stack_limit(&mut self, limit: u64) {
        self.stack_limit = limit;
    }

    /// Areas in order of address.
    pub fn areas(&self) -> impl Iterator<Item = &Area> {
        self.areas.values()
    }

    /// Areas that begin at `start` or above, in order of address.
    pub fn areas_from(&self, start: u64) -> impl Iterator<Item = &Area> {
        self.areas.range(start..).map(|(_, area)| area)
    }

    /// Bytes mapped.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The area that holds `address`.
    #[must_use]
    pub fn area_at(&self, address: u64) -> Option<&Area> {
        self.areas.range(..=address).next_back().map(|(_, area)| area).filter(|area| address < area.end)
    }

    /// Maps `len` bytes at `place`; returns the address.
    pub fn map(
        &mut self,
        place: Place,
        len: u64,
        protection: Protection,
        backing: Backing,
        label: Label,
    ) -> Result<u64, Errno> {
        let len = page_up(len).filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
        // Where a large page fits in, it begins at its own boundary.
        let align = match &backing {
            Backing::Anonymous => Some(0),
            Backing::File { offset, .. } => Some(offset & (LARGE_PAGE - 1)),
            Backing::Shared { .. } | Backing::Kernel => None,
        };
        let align = align.filter(|_| len >= 2 * LARGE_PAGE);
        let start = self.place(place, len, align)?;
        let end = start + len;
        if let Place::Fixed(_) = place {
            self.unmap(start, len)?;
        }
        let advice = self.future;
        self.insert(Area { start, end, protection, backing, grows_to: start, label, advice });
        Ok(start)
    }

    /// Says more about the areas of the range, all of which must be mapped (ENOMEM; what came before is changed).
    pub fn advise(&mut self, start: u64, len: u64, advice: Advice, is_set: bool) -> Result<(), Errno> {
        let end = Self::check_range(start, len)?;
        self.split(start);
        self.split(end);
        for area in self.areas.range_mut(start..end).map(|(_, area)| area) {
            area.advice.set(advice, is_set);
        }
        if self.covers(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Adds an area whose place is free, joining it with a neighbour where possible.
    pub(super) fn insert(&mut self, mut area: Area) {
        self.size += area.end - area.start;
        if (MAPPINGS_LOWEST..self.floor).contains(&area.start) && area.end <= self.layout.mappings_top {
            self.floor = area.start;
        }
        let next = self.areas.range(area.start..).next().map(|(_, next)| next);
        if let Some((start, end)) =
            next.filter(|next| area.continues_with(next)).map(|next| (next.start, next.end))
        {
            area.end = end;
            self.areas.remove(&start);
        }
        if let Some((_, previous)) = self.areas.range_mut(..area.start).next_back()
            && previous.continues_with(&area)
        {
            previous.end = area.end;
            return;
        }
        self.areas.insert(area.start, area);
    }

    /// Where a mapping of `len` bytes goes. A free choice is a multiple of 2 MiB plus `phase`, if there is one.
    pub(super) fn place(&self, place: Place, len: u64, phase: Option<u64>) -> Result<u64, Errno> {
        let fits = |start: u64| start.checked_add(len).is_some_and(|end| end <= USER_END);
        match place {
            Place::Fixed(start) | Place::FixedFree(start) => {
                if !start.is_multiple_of(PAGE) {
                    return Err(Errno::EINVAL);
                }
                if !fits(start) || start > USER_END {
                    return Err(Errno::ENOMEM);
                }
                if start < LOWEST {
                    return Err(Errno::EPERM);
                }
                if matches!(place, Place::FixedFree(_)) && !self.is_free(start, start + len) {
                    return Err(Errno::EEXIST);
                }
                Ok(start)
            }
            Place::Hint(hint) => {
                let hint = hint & !(PAGE - 1);
                if hint >= LOWEST && fits(hint) && self.is_free(hint, hint + len) {
                    return Ok(hint);
                }
                self.find_aligned(len, phase).ok_or(Errno::ENOMEM)
            }
        }
    }

    /// Whether nothing is mapped in `start..end`.
    #[must_use]
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.areas.range(..end).next_back().is_none_or(|(_, area)| area.end <= start)
    }

    fn find_aligned(&self, len: u64, phase: Option<u64>) -> Option<u64> {
        let Some(phase) = phase else { return self.find_free(len) };
        let room = self.find_free(len.checked_add(LARGE_PAGE)?)?;
        // The highest place in the room.
        Some(room + LARGE_PAGE - (room.wrapping_sub(phase) & (LARGE_PAGE - 1)))
    }

    fn find_free(&self, len: u64) -> Option<u64> {
        let below = self.floor.checked_sub(len).filter(|start| *start >= LOWEST);
        if let Some(start) = below.filter(|start| self.is_free(*start, self.floor)) {
            return Some(start);
        }
        // The easy place is taken: the highest gap that is large enough.
        let mut end = self.layout.mappings_top;
        for area in self.areas.range(..self.layout.mappings_top).rev().map(|(_, area)| area) {
            if end.saturating_sub(area.end) >= len {
                return Some(end - len);
            }
            end = end.min(area.start);
        }
        end.checked_sub(len).filter(|start| *start >= LOWEST)
    }

    /// Splits areas so that none crosses `address`.
    pub(super) fn split(&mut self, address: u64) {
        let Some((_, area)) = self.areas.range_mut(..address).next_back() else { return };
        if area.end <= address {
            return;
        }
        let tail = area.part(address, area.end);
        area.end = address;
        self.areas.insert(address, tail);
    }

    pub(super) fn check_range(start: u64, len: u64) -> Result<u64, Errno> {
        let len = page_up(len).ok_or(Errno::ENOMEM)?;
        let end = start.checked_add(len).ok_or(Errno::ENOMEM)?;
        if !start.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        if end > USER_END {
            return Err(Errno::ENOMEM);
        }
        Ok(end)
    }

    /// Unmaps whatever is in the range.
    pub fn unmap(&mut self, start: u64, len: u64) -> Result<(), Errno> {
        let end = Self::check_range(start, len).map_err(|_| Errno::EINVAL)?;
        if start == end {
            return Err(Errno::EINVAL);
        }
        if self.is_free(start, end) {
            return Ok(());
        }
        let mut flush = Flush::new();
        self.table.split_edges(start, end, &mut flush).map_err(|_| Errno::ENOMEM)?;
        self.write_back(start, end);
        self.split(start);
        self.split(end);
        // A file that only its mapping keeps goes after its pages are unmapped.
        let gone: Vec<u64> = self.areas.range(start..end).map(|(key, _)| *key).collect();
        let gone: Vec<Area> = gone.into_iter().filter_map(|key| self.areas.remove(&key)).collect();
        self.size -= gone.iter().map(|area| area.end - area.start).sum::<u64>();
        if start <= self.floor {
            self.floor = self.floor.max(end.min(self.layout.mappings_top));
            if let Some((_, next)) = self.areas.range(self.floor..).next() {
                self.floor = next.start.min(self.layout.mappings_top);
            }
        }
        self.table.unmap(start, end, &mut flush);
        flush.now();
        self.forget_calls(start, end);
        drop(gone);
        Ok(())
    }

    /// Where the mapping that holds `address` and grows downwards begins (PROT_GROWSDOWN). EINVAL if it does not grow.
    pub fn start_of_growing(&self, address: u64) -> Result<u64, Errno> {
        let area = self.area_at(address).ok_or(Errno::ENOMEM)?;
        if area.grows_to < area.start { Ok(area.start) } else { Err(Errno::EINVAL) }
    }

    /// `mprotect`. ENOMEM if a part of the range is not mapped; what came before it is changed.
    pub fn protect(&mut self, start: u64, len: u64, protection: Protection) -> Result<(), Errno> {
        let end = Self::check_range(start, len)?;
        if start == end {
            return Ok(());
        }
        if protection.contains(Protection::WRITE) {
            self.restore_calls(start, end)?;
        }
        let mut flush = Flush::new();
        self.table.split_edges(start, end, &mut flush).map_err(|_| Errno::ENOMEM)?;
        self.split(start);
        self.split(end);
        let mut covered = start;
        let mut result = Ok(());
        for area in self.areas.range_mut(start..end).map(|(_, area)| area) {
            if area.start != covered {
                break;
            }
            let forbidden = matches!(&area.backing, Backing::File { may_write: false, .. } | Backing::Kernel);
            let is_plain = matches!(&area.backing, Backing::File { may_execute: false, .. });
            if protection.contains(Protection::WRITE) && forbidden
                || protection.contains(Protection::EXECUTE) && is_plain
            {
                result = Err(Errno::EACCES);
                break;
            }
            area.protection = protection;
            covered = area.end;
            let rights = protection.rights();
            let is_shared = area.is_shared();
            // A frame that somebody else holds too must be copied before it is written.
            self.table.protect(area.start, area.end, &mut flush, |frame| Rights {
                write: rights.write
                    && (is_shared || frame.is_none_or(septum_guest_hal::frame::Frame::is_unique)),
                ..rights
            });
        }
        flush.now();
        self.join(start, end);
        result?;
        if covered < end { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Where what is mapped without a gap from `start` on ends, at most `end`.
    #[must_use]
    pub fn covered_to(&self, start: u64, end: u64) -> u64 {
        let mut at = start;
        while let Some(area) = self.area_at(at).filter(|_| at < end) {
            at = area.end;
        }
        at.min(end)
    }

    /// Bytes of the areas that are `counted`.
    pub fn bytes_of(&self, counted: impl Fn(&Area) -> bool) -> u64 {
        self.areas.values().filter(|area| counted(area)).map(|area| area.end - area.start).sum()
    }

    /// Bytes of `start..end` that are mapped.
    #[must_use]
    pub fn mapped_within(&self, start: u64, end: u64) -> u64 {
        let first = self.area_at(start).map_or(start, |area| area.start);
        let part = |area: &Area| area.end.min(end) - area.start.max(start);
        self.areas.range(first..end).map(|(_, area)| part(area)).sum()
    }

    /// The break.
    #[must_use]
    pub fn break_end(&self) -> u64 {
        self.break_end
    }

    /// Says `advice` of all mappings to come, or nothing.
    pub fn advise_future(&mut self, advice: Advice) {
        self.future = advice;
    }

    /// Whether every byte of the range is mapped.
    #[must_use]
    pub fn covers(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.area_at(at) {
                Some(area) => at = area.end,
                None => return false,
            }
        }
        true
    }

    /// Sends what was stored through shared mappings of files to the files.
    pub fn write_back(&self, start: u64, end: u64) {
        let first = self.area_at(start).map_or(start, |area| area.start);
        for area in self.areas.range(first..end).map(|(_, area)| area) {
            let Backing::File { file, is_shared: true, may_write: true, .. } = &area.backing else {
                continue;
            };
            if !area.protection.contains(Protection::WRITE) {
                continue;
            }
            let (from, to) = (area.start.max(start), area.end.min(end));
            for address in (from..to).step_by(PAGE_SIZE) {
                let Some(user) = UserAddr::new(address) else { break };
                if let Some((frame, _)) = self.table.query(user).filter(|(_, rights)| rights.write) {
                    // The mapping cannot report an error; fsync of the file does.
                    let _ = file.write_back(area.page_index(address), &frame);
                }
            }
        }
    }

    /// The number of the frame at `address`, if there are devices that programs drive and it is RAM, which they reach at that place; 0 for any
    /// other that is there. `None` if none is.
    #[must_use]
    pub fn frame_number(&self, address: u64) -> Option<u64> {
        let user = UserAddr::new(address)?;
        let Some((frame, _)) = self.table.query(user).filter(|(_, rights)| rights.read) else {
            return self.table.is_mapped(user).then_some(0);
        };
        let is_told = pci::count() > 0 && !frame.is_in_window();
        Some(if is_told { frame.address().0 / PAGE } else { 0 })
    }

    /// Whether memory of a device is mapped at `address`: it has no frames.
    #[must_use]
    pub fn is_of_device(&self, address: u64) -> bool {
        let area = self.area_at(address);
        area.is_some_and(
            |area| matches!(&area.backing, Backing::File { file, .. } if file.device_memory().is_some()),
        )
    }

    /// Joins neighbours in the range that only continue each other.
    fn join(&mut self, start: u64, end: u64) {
        let mut at = start;
        while let Some((&key, area)) = self.areas.range(at..).next().filter(|(key, _)| **key <= end) {
            at = key + 1;
            let (next_end, area) = (area.end, area.clone());
            if let Some((_, previous)) = self.areas.range_mut(..key).next_back()
                && previous.continues_with(&area)
            {
                previous.end = next_end;
                self.areas.remove(&key);
            }
        }
    }

    /// Sets where the break starts.
    pub fn set_break(&mut self, start: u64) {
        (self.break_start, self.break_end) = (start, start);
    }

    /// `brk`: returns the break, moved to `wanted` if that was possible.
    pub fn move_break(&mut self, wanted: u64) -> u64 {
        if wanted < self.break_start || wanted > self.layout.mappings_top {
            return self.break_end;
        }
        let (Some(old), Some(new)) = (page_up(self.break_end), page_up(wanted)) else {
            return self.break_end;
        };
        if new > old {
            if !self.is_free(old, new) || exceeds_memory(new - old) {
                return self.break_end;
            }
            let protection = Protection::READ | Protection::WRITE;
            let area = Area {
                start: old,
                end: new,
                protection,
                backing: Backing::Anonymous,
                grows_to: old,
                label: Label::Heap,
                advice: self.future,
            };
            self.insert(area);
        } else if new < old && self.unmap(new, old - new).is_err() {
            return self.break_end;
        }
        self.break_end = wanted;
        wanted
    }

    /// Lets the area that starts at `start` grow downwards to `lowest` when it is touched there.
    pub fn let_grow(&mut self, start: u64, lowest: u64) {
        if let Some(area) = self.areas.get_mut(&start) {
            area.grows_to = lowest.min(start);
        }
    }

    /// Maps frames of the kernel for the program to read (and execute).
    pub fn map_kernel_frames(
        &mut self,
        address: u64,
        frames: Vec<septum_guest_hal::frame::Frame>,
        protection: Protection,
        label: Label,
    ) -> Result<(), Errno> {
        let len = frames.len() as u64 * PAGE;
        self.map(Place::FixedFree(address), len, protection, Backing::Kernel, label)?;
        let start = UserAddr::new(address).ok_or(Errno::EINVAL)?;
        let (count, mut frames) = (frames.len(), frames.into_iter());
        // A handful of pages may still cross from one last-level table into the next.
        for page in 0..count as u64 {
            let at = UserAddr::new(start.get() + page * PAGE).ok_or(Errno::EINVAL)?;
            let mut frame = frames.next();
            self.table.fill(at, 1, protection.rights(), |_| frame.take()).map_err(|_| Errno::ENOMEM)?;
        }
        Ok(())
    }

    /// An address at which `len` bytes are free.
    pub fn reserve(&self, len: u64) -> Result<u64, Errno> {
        self.find_free(page_up(len).ok_or(Errno::ENOMEM)?).ok_or(Errno::ENOMEM)
    }
}

impl AddressSpace {
    /// Gives everything up, after the files have what was stored for them. Nobody may be using it.
    pub fn clear(&mut self) {
        self.write_back(0, USER_END);
        self.table.clear();
        // A file that only its mapping keeps goes after its pages are unmapped.
        self.areas.clear();
        self.size = 0;
    }

    /// Frames that are mapped now, and the most there ever were.
    #[must_use]
    pub fn resident(&self) -> (u64, u64) {
        (self.table.resident(), self.table.most_resident())
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        self.write_back(0, USER_END);
    }
}

/// Whether a private mapping of `len` bytes could never be filled: Linux's heuristic overcommit refuses it.
#[must_use]
pub fn exceeds_memory(len: u64) -> bool {
    len > septum_guest_hal::frame::usage().total * PAGE
}
