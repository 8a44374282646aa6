//! Address space: mmap and its relatives.

use super::entry::{Entry, Support};
use super::{int, uint};
use crate::fs::descriptors::MAX_POSITION;
use crate::memory::area::{Advice, Backing, Label, Protection};
use crate::memory::discard;
use crate::memory::fault::{self, Access, Fault};
use crate::memory::layout::{LOWEST, STACK_LIMIT, page_up};
use crate::memory::remap::Move;
use crate::memory::shared::SharedMemory;
use crate::memory::space::{Place, exceeds_memory};
use crate::process::thread::Thread;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_SHARED_VALIDATE: u32 = 3;
const MAP_TYPE: u32 = 0xf;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_GROWSDOWN: u32 = 0x100;
const MAP_NORESERVE: u32 = 0x4000;
const MAP_HUGETLB: u32 = 0x4_0000;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;
const MREMAP_MAYMOVE: u32 = 1;
const MREMAP_FIXED: u32 = 2;
const MREMAP_DONTUNMAP: u32 = 4;
const MAP_LOCKED: u32 = 0x2000;
const MAP_POPULATE: u32 = 0x8000;
const MAP_NONBLOCK: u32 = 0x1_0000;
const MAP_STACK: u32 = 0x2_0000;

/// `madvise` codes.
mod advice {
    pub use crate::memory::discard::{DONTNEED, FREE};
    pub const HUGEPAGE: i32 = 14;
    pub const NOHUGEPAGE: i32 = 15;
    pub const POPULATE_READ: i32 = 22;
    pub const POPULATE_WRITE: i32 = 23;
    pub const DONTNEED_LOCKED: i32 = 24;
}

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::MMAP,
        handler: |thread, a| sys_mmap(thread, a[0], a[1], uint(a[2]), uint(a[3]), int(a[4]), a[5]),
        support: Support::Partial,
        notes: "MAP_SHARED, PRIVATE, ANONYMOUS, FIXED, FIXED_NOREPLACE, POPULATE, LOCKED, STACK (small pages), GROWSDOWN (up to 8 MiB); NORESERVE only lifts the check of size; no HUGETLB",
    },
    Entry {
        number: number::MUNMAP,
        handler: |thread, a| {
            thread.process.space.lock().unmap(a[0], a[1])?;
            discard::relieve();
            Ok(0)
        },
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MPROTECT,
        handler: |thread, a| sys_mprotect(thread, a[0], a[1], uint(a[2])),
        support: Support::Full,
        notes: "no PROT_GROWSDOWN",
    },
    Entry {
        number: number::MREMAP,
        handler: |thread, a| sys_mremap(thread, a[0], a[1], a[2], uint(a[3]), a[4]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::BRK,
        handler: |thread, a| {
            let end = thread.process.space.lock().move_break(a[0]);
            discard::relieve();
            Ok(to_result(end))
        },
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MADVISE,
        handler: |thread, a| sys_madvise(thread, a[0], a[1], int(a[2])),
        support: Support::Partial,
        notes: "DONTNEED and FREE drop pages at once; POPULATE_READ, POPULATE_WRITE, HUGEPAGE, NOHUGEPAGE; other hints are accepted and without effect; no REMOVE",
    },
    Entry {
        number: number::MSYNC,
        handler: |thread, a| sys_msync(thread, a[0], a[1], uint(a[2])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MINCORE,
        handler: |thread, a| sys_mincore(thread, a[0], a[1], a[2]),
        support: Support::Full,
        notes: "of a file's pages, those that are mapped count",
    },
    Entry {
        number: number::MLOCK,
        handler: sys_mlock,
        support: Support::Accepted,
        notes: "nothing is swapped",
    },
    Entry {
        number: number::MLOCK2,
        // MLOCK_ONFAULT
        handler: |thread, a| if uint(a[2]) <= 1 { sys_mlock(thread, a) } else { Err(Errno::EINVAL) },
        support: Support::Accepted,
        notes: "nothing is swapped",
    },
    Entry {
        number: number::MUNLOCK,
        handler: sys_mlock,
        support: Support::Accepted,
        notes: "nothing is swapped",
    },
    Entry {
        number: number::MLOCKALL,
        // MCL_CURRENT, MCL_FUTURE, and MCL_ONFAULT with one of them
        handler: |_, a| if matches!(uint(a[0]), 1..=3 | 5..=7) { Ok(0) } else { Err(Errno::EINVAL) },
        support: Support::Accepted,
        notes: "nothing is swapped",
    },
    Entry {
        number: number::MUNLOCKALL,
        handler: |_, _| Ok(0),
        support: Support::Accepted,
        notes: "nothing is swapped",
    },
    Entry {
        number: number::MEMBARRIER,
        handler: |_, a| if int(a[0]) == 0 { Ok(0) } else { Err(Errno::EINVAL) },
        support: Support::Partial,
        notes: "only the query, which says that there are none",
    },
];

fn to_result(address: u64) -> usize {
    septum_guest_hal::address::to_usize(address)
}

fn protection_of(bits: u32) -> Result<Protection, Errno> {
    Protection::from_bits(bits).ok_or(Errno::EINVAL)
}

/// `mmap(2)`
fn sys_mmap(
    thread: &Thread,
    address: u64,
    len: u64,
    prot: u32,
    flags: u32,
    fd: i32,
    offset: u64,
) -> Result<usize, Errno> {
    let protection = protection_of(prot)?;
    if len == 0 || !offset.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    let is_shared = match flags & MAP_TYPE {
        MAP_SHARED | MAP_SHARED_VALIDATE => true,
        MAP_PRIVATE => false,
        _ => return Err(Errno::EINVAL),
    };
    if flags & MAP_HUGETLB != 0 {
        return Err(Errno::ENOMEM);
    }
    let len = page_up(len).ok_or(Errno::ENOMEM)?;
    let backing = if flags & MAP_ANONYMOUS == 0 {
        let has_end = offset.checked_add(len).is_some_and(|end| end <= MAX_POSITION + 1);
        if !has_end {
            thread.process.descriptors.lock().get(fd)?;
            return Err(Errno::EOVERFLOW);
        }
        file_backing(thread, fd, offset, protection, is_shared)?
    } else if is_shared {
        Backing::Shared { memory: Arc::new(SharedMemory::default()), offset: 0 }
    } else {
        Backing::Anonymous
    };
    let is_private_and_writable = !is_shared && protection.contains(Protection::WRITE);
    if is_private_and_writable && flags & MAP_NORESERVE == 0 && exceeds_memory(len) {
        return Err(Errno::ENOMEM);
    }
    let place = match flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) {
        0 => Place::Hint(address),
        MAP_FIXED => Place::Fixed(address),
        _ => Place::FixedFree(address),
    };
    let start = {
        let mut space = thread.process.space.lock();
        let start = space.map(place, len, protection, backing, Label::None)?;
        if flags & MAP_STACK != 0 && !is_shared {
            space.advise(start, len, Advice::SMALL_PAGES, true)?;
        }
        if flags & MAP_LOCKED != 0 {
            space.advise(start, len, Advice::LOCKED, true)?;
        }
        if flags & MAP_GROWSDOWN != 0 && !is_shared {
            space.let_grow(start, start.saturating_sub(STACK_LIMIT.saturating_sub(len)).max(LOWEST));
        }
        start
    };
    let is_populated = flags & MAP_POPULATE != 0 && flags & MAP_NONBLOCK == 0;
    if is_populated || flags & MAP_LOCKED != 0 {
        let access = if is_private_and_writable { Access::Write } else { Access::Read };
        // What cannot be made present now is made when it is touched, or not.
        let _ = populate(thread, start, start + len, access);
    }
    Ok(to_result(start))
}

/// Makes the pages of a range present: ENOMEM where nothing is mapped, EFAULT where that is not possible.
fn populate(thread: &Thread, start: u64, end: u64, access: Access) -> Result<(), Errno> {
    for at in (start..end).step_by(PAGE_SIZE) {
        let is_there = access != Access::Write && thread.process.space.lock().is_present(at);
        if !is_there {
            fault::resolve(&thread.process.space, at, access).map_err(|fault| match fault {
                Fault::NotMapped | Fault::OutOfMemory => Errno::ENOMEM,
                Fault::NotAllowed | Fault::BeyondFile => Errno::EFAULT,
            })?;
        }
    }
    Ok(())
}

fn file_backing(
    thread: &Thread,
    fd: i32,
    offset: u64,
    protection: Protection,
    is_shared: bool,
) -> Result<Backing, Errno> {
    let open = thread.process.descriptors.lock().get(fd)?;
    let access = open.access();
    if open.is_path_only() {
        return Err(Errno::EBADF);
    }
    if !access.read || (is_shared && protection.contains(Protection::WRITE) && !access.write) {
        return Err(Errno::EACCES);
    }
    if open.file().is_zero_device() {
        return Ok(if is_shared {
            Backing::Shared { memory: Arc::new(SharedMemory::default()), offset: 0 }
        } else {
            Backing::Anonymous
        });
    }
    // Device files and directories cannot be mapped; asking for a page far beyond the end costs nothing.
    if open.file().page(u64::MAX / PAGE_SIZE as u64) == Err(Errno::ENODEV) {
        return Err(Errno::ENODEV);
    }
    Ok(Backing::File {
        file: Arc::clone(open.file()),
        dentry: Some(Arc::clone(open.dentry())),
        offset,
        is_shared,
        may_write: !is_shared || access.write,
    })
}

/// `mprotect(2)`
fn sys_mprotect(thread: &Thread, address: u64, len: u64, prot: u32) -> Result<usize, Errno> {
    let protection = protection_of(prot)?;
    thread.process.space.lock().protect(address, len, protection).map(|()| 0)
}

/// `mremap(2)`
fn sys_mremap(
    thread: &Thread,
    old: u64,
    old_len: u64,
    new_len: u64,
    flags: u32,
    new: u64,
) -> Result<usize, Errno> {
    let may_move = flags & MREMAP_MAYMOVE != 0;
    let needs_move = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0;
    if flags & !(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 || (needs_move && !may_move) {
        return Err(Errno::EINVAL);
    }
    let keeps_old = flags & MREMAP_DONTUNMAP != 0;
    let to = match flags & MREMAP_FIXED != 0 {
        true => Move::To(new),
        false if keeps_old => Move::Always,
        false if may_move => Move::IfNeeded,
        false => Move::Never,
    };
    let place = thread.process.space.lock().remap(old, old_len, new_len, to, keeps_old)?;
    discard::relieve();
    Ok(to_result(place))
}

/// `madvise(2)`
fn sys_madvise(thread: &Thread, address: u64, len: u64, code: i32) -> Result<usize, Errno> {
    if !address.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(len).and_then(|len| address.checked_add(len)).ok_or(Errno::EINVAL)?;
    let space = &thread.process.space;
    match code {
        advice::DONTNEED | advice::DONTNEED_LOCKED | advice::FREE => {
            let result = space.lock().discard(address, len, code);
            discard::relieve();
            result?;
        }
        advice::HUGEPAGE => space.lock().advise(address, len, Advice::SMALL_PAGES, false)?,
        advice::NOHUGEPAGE => space.lock().advise(address, len, Advice::SMALL_PAGES, true)?,
        advice::POPULATE_READ => populate(thread, address, end, Access::Read)?,
        advice::POPULATE_WRITE => populate(thread, address, end, Access::Write)?,
        0..=3 | 10..=21 => {
            if !space.lock().covers(address, end) {
                return Err(Errno::ENOMEM);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `msync(2)`
fn sys_msync(thread: &Thread, address: u64, len: u64, flags: u32) -> Result<usize, Errno> {
    // MS_ASYNC and MS_SYNC exclude each other; MS_INVALIDATE means nothing with one page cache.
    if flags & !7 != 0 || flags & 5 == 5 || !address.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(len).and_then(|len| address.checked_add(len)).ok_or(Errno::ENOMEM)?;
    let space = thread.process.space.lock();
    space.write_back(address, end);
    if space.covers(address, end) { Ok(0) } else { Err(Errno::ENOMEM) }
}

/// `mincore(2)`
fn sys_mincore(thread: &Thread, address: u64, len: u64, vector: u64) -> Result<usize, Errno> {
    if !address.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(len).and_then(|len| address.checked_add(len)).ok_or(Errno::ENOMEM)?;
    let mut states = Vec::new();
    let mut at = address;
    while at < end {
        let part = end.min(at + (256 * PAGE_SIZE) as u64);
        states.clear();
        {
            let space = thread.process.space.lock();
            if !space.covers(at, part) {
                return Err(Errno::ENOMEM);
            }
            space.residency(at, part, |is_present| states.push(u8::from(is_present)));
        }
        let to = vector.wrapping_add((at - address) / PAGE_SIZE as u64);
        crate::memory::buffer::write(&thread.process.space, to, &states)?;
        at = part;
    }
    Ok(0)
}

fn sys_mlock(thread: &Thread, arguments: [u64; 6]) -> Result<usize, Errno> {
    let start = crate::memory::layout::page_down(arguments[0]);
    let end = arguments[0].checked_add(arguments[1]).and_then(page_up).ok_or(Errno::EINVAL)?;
    if thread.process.space.lock().covers(start, end) { Ok(0) } else { Err(Errno::ENOMEM) }
}
