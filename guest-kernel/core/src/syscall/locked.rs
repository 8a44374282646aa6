//! Memory that stays: mlock and its relatives. Nothing is ever swapped, so what remains of them is that pages are made present, that what is
//! locked is not dropped, and the accounts.

use super::entry::{Entry, Support};
use super::memory::populate;
use super::uint;
use crate::memory::area::{Advice, Area, Backing};
use crate::memory::fault::Access;
use crate::memory::layout::{page_down, page_up};
use crate::process::limits;
use crate::process::thread::Thread;
use alloc::vec::Vec;
use septum_abi::layout::{PAGE_SIZE, USER_END};
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

/// MLOCK_ONFAULT
const WHEN_TOUCHED: u32 = 1;
/// MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT
const CURRENT: u32 = 1;
const FUTURE: u32 = 2;
const ALL_WHEN_TOUCHED: u32 = 4;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::MLOCK,
        handler: |thread, a| sys_mlock(thread, a[0], a[1], 0),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MLOCK2,
        handler: |thread, a| sys_mlock(thread, a[0], a[1], uint(a[2])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MUNLOCK,
        handler: |thread, a| match range(a[0], a[1])? {
            Some((start, end)) => set(thread, start, end, false).map(|()| 0),
            None => Ok(0),
        },
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MLOCKALL,
        handler: |thread, a| sys_mlockall(thread, uint(a[0])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MUNLOCKALL,
        handler: |thread, _| {
            let mut space = thread.process.space.lock();
            space.advise_future(Advice::empty());
            // What is in between is not mapped.
            let _ = space.advise(0, USER_END, Advice::LOCKED, false);
            Ok(0)
        },
        support: Support::Full,
        notes: "",
    },
];

/// Whether an area is locked.
pub fn is_locked(area: &Area) -> bool {
    area.advice.contains(Advice::LOCKED)
}

/// Whether `more` bytes may be locked: EPERM if none may, EAGAIN if that is too much. Root may.
pub fn check(thread: &Thread, more: u64) -> Result<(), Errno> {
    let limit = thread.process.limits.lock().0[limits::LOCKED].0;
    if thread.process.uid() == 0 {
        return Ok(());
    }
    let locked = thread.process.space.lock().bytes_of(is_locked);
    match limit {
        0 => Err(Errno::EPERM),
        _ if locked.saturating_add(more) > limit => Err(Errno::EAGAIN),
        _ => Ok(()),
    }
}

/// The whole pages of a range; `None` if there are none. As on Linux, a length wraps when it is rounded.
fn range(address: u64, len: u64) -> Result<Option<(u64, u64)>, Errno> {
    let start = page_down(address);
    let len = page_up(len.wrapping_add(address - start)).unwrap_or(0);
    let end = start.checked_add(len).ok_or(Errno::EINVAL)?;
    Ok((start < end).then_some((start, end)))
}

/// Locks or unlocks up to the first gap, which is ENOMEM.
fn set(thread: &Thread, start: u64, end: u64, is_set: bool) -> Result<(), Errno> {
    let mut space = thread.process.space.lock();
    let covered = space.covered_to(start, end);
    if covered > start {
        space.advise(start, covered - start, Advice::LOCKED, is_set)?;
    }
    if covered < end { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// Makes the pages of an area present, with a copy of its own where it may be written.
fn bring(thread: &Thread, area: &Area, start: u64, end: u64) -> Result<(), Errno> {
    let is_own = !area.is_shared() && area.protection.rights().write;
    populate(thread, start, end, if is_own { Access::Write } else { Access::Read })
}

/// `mlock(2)`, `mlock2(2)`
fn sys_mlock(thread: &Thread, address: u64, len: u64, flags: u32) -> Result<usize, Errno> {
    if flags & !WHEN_TOUCHED != 0 {
        return Err(Errno::EINVAL);
    }
    let Some((start, end)) = range(address, len)? else { return Ok(0) };
    let is_more = |errno| if errno == Errno::EAGAIN { Errno::ENOMEM } else { errno };
    check(thread, end - start).map_err(is_more)?;
    set(thread, start, end, true)?;
    let mut at = start;
    while at < end && flags & WHEN_TOUCHED == 0 {
        let area = thread.process.space.lock().area_at(at).cloned().ok_or(Errno::ENOMEM)?;
        let next = area.end.min(end);
        // What cannot be made present is ENOMEM, though it is locked.
        bring(thread, &area, at, next).map_err(|_| Errno::ENOMEM)?;
        at = next;
    }
    Ok(0)
}

/// `mlockall(2)`
fn sys_mlockall(thread: &Thread, flags: u32) -> Result<usize, Errno> {
    if flags == 0 || flags == ALL_WHEN_TOUCHED || flags & !(CURRENT | FUTURE | ALL_WHEN_TOUCHED) != 0 {
        return Err(Errno::EINVAL);
    }
    let size = thread.process.space.lock().size();
    let limit = thread.process.limits.lock().0[limits::LOCKED].0;
    if thread.process.uid() != 0 && (limit == 0 || flags & CURRENT != 0 && size > limit) {
        return Err(if limit == 0 { Errno::EPERM } else { Errno::ENOMEM });
    }
    let areas: Vec<Area> = {
        let mut space = thread.process.space.lock();
        space.advise_future(if flags & FUTURE != 0 { Advice::LOCKED } else { Advice::empty() });
        if flags & CURRENT == 0 {
            return Ok(0);
        }
        let areas: Vec<Area> =
            space.areas().filter(|area| !matches!(area.backing, Backing::Kernel)).cloned().collect();
        for area in &areas {
            space.advise(area.start, area.end - area.start, Advice::LOCKED, true)?;
        }
        areas
    };
    for area in areas.iter().filter(|_| flags & ALL_WHEN_TOUCHED == 0) {
        // Page by page, and whatever is not possible is left out.
        for at in (area.start..area.end).step_by(PAGE_SIZE) {
            if bring(thread, area, at, at + PAGE_SIZE as u64).is_err() {
                break;
            }
        }
    }
    Ok(0)
}
