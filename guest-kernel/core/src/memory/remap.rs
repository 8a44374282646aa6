//! `mremap`: mappings that grow, shrink and move, with their pages and without copies.

use super::area::{Area, Backing, Label};
use super::layout::page_up;
use super::space::{AddressSpace, PAGE, Place};
use septum_abi::layout::USER_END;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::large::LARGE_PAGE;
use septum_guest_hal::paging::Flush;

/// Where a mapping may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nowhere.
    Never,
    /// Anywhere, if it cannot grow where it is.
    IfNeeded,
    /// Anywhere else.
    Always,
    /// There.
    To(u64),
}

impl AddressSpace {
    /// `mremap`: gives the mapping at `old` another length, and moves it if it must. `keeps_old` leaves the old place mapped, but
    /// empty, or of shared memory as it was (MREMAP_DONTUNMAP). Returns where it is.
    pub fn remap(
        &mut self,
        old: u64,
        old_len: u64,
        new_len: u64,
        to: Move,
        keeps_old: bool,
    ) -> Result<u64, Errno> {
        let old_end = Self::check_range(old, old_len).map_err(|_| Errno::EINVAL)?;
        let new_len = page_up(new_len).filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
        let old_len = old_end - old;
        let area = self.area_at(old).ok_or(Errno::EFAULT)?.clone();
        if old_len == 0 && !area.is_shared() {
            return Err(Errno::EINVAL);
        }
        if old_end > area.end || matches!(area.backing, Backing::Kernel) && new_len != old_len {
            return Err(Errno::EFAULT);
        }
        if keeps_old && new_len != old_len {
            return Err(Errno::EINVAL);
        }
        if matches!(to, Move::Never | Move::IfNeeded) {
            if new_len <= old_len {
                if new_len < old_len {
                    self.unmap(old + new_len, old_len - new_len)?;
                }
                return Ok(old);
            }
            if self.grow(&area, old_end, old + new_len) {
                return Ok(old);
            }
            if to == Move::Never {
                return Err(Errno::ENOMEM);
            }
        }
        self.restore_calls(old, old_end)?;
        let new = match to {
            Move::To(new) => {
                let new = self.place(Place::Fixed(new), new_len, None).map_err(|_| Errno::EINVAL)?;
                if new < old_end && old < new + new_len {
                    return Err(Errno::EINVAL);
                }
                self.unmap(new, new_len)?;
                new
            }
            // Where large pages stay large.
            _ => self.place(Place::Hint(0), new_len, Some(old & (LARGE_PAGE - 1)))?,
        };
        self.carry(&area, (old, old_len), (new, new_len))?;
        if !keeps_old && old_len > 0 {
            self.unmap(old, old_len)?;
        }
        Ok(new)
    }

    /// Lets `area`, which ends at `old_end`, end at `end`, if there is room.
    fn grow(&mut self, area: &Area, old_end: u64, end: u64) -> bool {
        if old_end != area.end || end > USER_END || !self.is_free(old_end, end) {
            return false;
        }
        self.size += end - old_end;
        // One area for the whole: the offset runs on.
        if let Some(area) = self.areas.get_mut(&area.start) {
            area.end = end;
        }
        true
    }

    /// Moves `old` (start and length), a part of `area`, to `new`, which is free.
    fn carry(&mut self, area: &Area, old: (u64, u64), new: (u64, u64)) -> Result<(), Errno> {
        let moved = old.1.min(new.1);
        let mut flush = Flush::new();
        let (start, end) = (old.0, old.0 + moved);
        self.table.split_edges(start, end, &mut flush).map_err(|_| Errno::ENOMEM)?;
        let result = self.table.relocate(start, new.0, moved, &mut flush);
        flush.now();
        if result.is_err() {
            // What has moved goes back, into tables that are still there.
            let mut flush = Flush::new();
            let _ = self.table.relocate(new.0, start, moved, &mut flush);
            flush.now();
            return Err(Errno::ENOMEM);
        }
        let mut part = area.part(start, end.max(start + PAGE).min(area.end));
        (part.start, part.end, part.grows_to) = (new.0, new.0 + new.1, new.0);
        if part.label == Label::Heap {
            part.label = Label::None;
        }
        self.insert(part);
        Ok(())
    }
}
