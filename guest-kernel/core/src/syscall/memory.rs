//! Address space: mmap and its relatives.

use super::entry::{Entry, Support};
use super::{int, locked, uint};
use crate::fs::descriptors::MAX_POSITION;
use crate::memory::AddressSpace;
use crate::memory::area::{Advice, Area, Backing, Label, Protection};
use crate::memory::discard;
use crate::memory::fault::{self, Access, Fault};
use crate::memory::layout::{LOWEST, page_up};
use crate::memory::remap::Move;
use crate::memory::shared::SharedMemory;
use crate::memory::space::{Place, exceeds_memory};
use crate::process::limits::{self, Limits};
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

const MAP_SYNC: u32 = 0x8_0000;
/// Flags that a file's mapping may have; MAP_SHARED_VALIDATE refuses others.
const MAP_KNOWN: u32 = MAP_TYPE
    | MAP_FIXED
    | MAP_ANONYMOUS
    | MAP_GROWSDOWN
    | MAP_DENYWRITE
    | MAP_EXECUTABLE
    | MAP_LOCKED
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_NONBLOCK
    | MAP_STACK
    | MAP_HUGETLB
    | MAP_32BIT
    | MAP_UNINITIALIZED
    | MAP_HUGE_SIZE
    | MAP_FIXED_NOREPLACE;
const MAP_32BIT: u32 = 0x40;
const MAP_DENYWRITE: u32 = 0x800;
const MAP_EXECUTABLE: u32 = 0x1000;
const MAP_UNINITIALIZED: u32 = 0x400_0000;
/// MAP_HUGE_MASK << MAP_HUGE_SHIFT
const MAP_HUGE_SIZE: u32 = 0x3f << 26;
/// `mprotect`: semaphores, which mean nothing; and the two directions of growth.
const PROT_SEM: u32 = 8;
const PROT_GROWSDOWN: u32 = 0x100_0000;
const PROT_GROWSUP: u32 = 0x200_0000;
const MS_INVALIDATE: u32 = 2;
/// FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
const HOLE: u32 = 3;

/// `madvise` codes.
mod advice {
    pub use crate::memory::discard::{DONTNEED, FREE};
    pub const REMOVE: i32 = 9;
    pub const DONTFORK: i32 = 10;
    pub const DOFORK: i32 = 11;
    pub const WIPEONFORK: i32 = 18;
    pub const KEEPONFORK: i32 = 19;
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
        notes: "MAP_SHARED, PRIVATE, ANONYMOUS, FIXED, FIXED_NOREPLACE, POPULATE, LOCKED, STACK (small pages), GROWSDOWN (up to RLIMIT_STACK); NORESERVE only lifts the check of size; HUGETLB is ENOMEM, as where no huge pages are set aside; RLIMIT_AS, RLIMIT_DATA",
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
        notes: "",
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
            let end = sys_brk(thread, a[0]);
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
        notes: "DONTNEED and FREE drop pages at once; REMOVE, DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK, POPULATE_READ, POPULATE_WRITE, HUGEPAGE, NOHUGEPAGE; other hints are accepted and without effect",
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
    // As on Linux, bits that mean nothing here are ignored.
    let protection = Protection::from_bits_truncate(prot);
    if len == 0 || !offset.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    let is_anonymous = flags & MAP_ANONYMOUS != 0;
    let is_shared = match flags & MAP_TYPE {
        MAP_SHARED => true,
        MAP_SHARED_VALIDATE if !is_anonymous => true,
        MAP_PRIVATE => false,
        _ => return Err(Errno::EINVAL),
    };
    if flags & MAP_GROWSDOWN != 0 && (is_shared || !is_anonymous) {
        return Err(Errno::EINVAL);
    }
    if flags & MAP_HUGETLB != 0 {
        return Err(if is_anonymous { Errno::ENOMEM } else { Errno::EINVAL });
    }
    let len = page_up(len).ok_or(Errno::ENOMEM)?;
    if !is_anonymous && flags & MAP_TYPE == MAP_SHARED_VALIDATE && flags & (MAP_SYNC | !MAP_KNOWN) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & MAP_LOCKED != 0 {
        locked::check(thread, len)?;
    }
    let backing = if flags & MAP_ANONYMOUS == 0 {
        let has_end = offset.checked_add(len).is_some_and(|end| end <= MAX_POSITION + 1);
        if !has_end {
            thread.process.descriptors.lock().get(fd)?;
            return Err(Errno::EOVERFLOW);
        }
        file_backing(thread, fd, (offset, len), protection, is_shared)?
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
    let limits = *thread.process.limits.lock();
    let is_locked;
    let start = {
        let mut space = thread.process.space.lock();
        let replaced = match place {
            Place::Fixed(start) => space.mapped_within(start, start.saturating_add(len)),
            _ => 0,
        };
        check_limits(&limits, &space, len, replaced, is_private_and_writable)?;
        let start = space.map(place, len, protection, backing, Label::None)?;
        if flags & MAP_STACK != 0 && !is_shared {
            space.advise(start, len, Advice::SMALL_PAGES, true)?;
        }
        if flags & MAP_LOCKED != 0 {
            space.advise(start, len, Advice::LOCKED, true)?;
        }
        if flags & MAP_GROWSDOWN != 0 {
            let room = space.layout().stack_room.saturating_sub(len);
            space.let_grow(start, start.saturating_sub(room).max(LOWEST));
        }
        is_locked = space.area_at(start).is_some_and(|area| area.advice.contains(Advice::LOCKED));
        start
    };
    let is_populated = flags & MAP_POPULATE != 0 && flags & MAP_NONBLOCK == 0;
    if is_populated || is_locked {
        let access = if is_private_and_writable { Access::Write } else { Access::Read };
        // What cannot be made present now is made when it is touched, or not.
        let _ = populate(thread, start, start + len, access);
    }
    Ok(to_result(start))
}

/// Whether a private mapping that may be written counts as data (RLIMIT_DATA).
fn is_data(area: &Area) -> bool {
    !area.is_shared() && area.protection.contains(Protection::WRITE) && area.grows_to == area.start
}

/// ENOMEM if `more` bytes in place of `replaced` ones are more than RLIMIT_AS or RLIMIT_DATA allow.
fn check_limits(
    limits: &Limits,
    space: &AddressSpace,
    more: u64,
    replaced: u64,
    is_more_data: bool,
) -> Result<(), Errno> {
    let (data, all) = (limits.0[limits::DATA].0, limits.0[limits::SPACE].0);
    if space.size().saturating_sub(replaced).saturating_add(more) > all {
        return Err(Errno::ENOMEM);
    }
    // Counted only where there is a limit.
    if is_more_data && data != limits::INFINITY && space.bytes_of(is_data).saturating_add(more) > data {
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

/// `brk(2)`
fn sys_brk(thread: &Thread, wanted: u64) -> u64 {
    let limits = *thread.process.limits.lock();
    let mut space = thread.process.space.lock();
    let more =
        page_up(wanted).zip(page_up(space.break_end())).map_or(0, |(new, old)| new.saturating_sub(old));
    if more > 0 && check_limits(&limits, &space, more, 0, true).is_err() {
        return space.break_end();
    }
    space.move_break(wanted)
}

/// Makes the pages of a range present: ENOMEM where nothing is mapped, EINVAL where it is not allowed, EFAULT where that is not possible.
pub(super) fn populate(thread: &Thread, start: u64, end: u64, access: Access) -> Result<(), Errno> {
    for at in (start..end).step_by(PAGE_SIZE) {
        let is_there = access != Access::Write && {
            let space = thread.process.space.lock();
            space.is_present(at) && space.area_at(at).is_some_and(|area| !area.protection.is_empty())
        };
        if !is_there {
            fault::resolve(&thread.process.space, at, access).map_err(|fault| match fault {
                Fault::NotMapped | Fault::OutOfMemory => Errno::ENOMEM,
                Fault::NotAllowed => Errno::EINVAL,
                Fault::BeyondFile => Errno::EFAULT,
            })?;
        }
    }
    Ok(())
}

fn file_backing(
    thread: &Thread,
    fd: i32,
    (offset, len): (u64, u64),
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
    if protection.contains(Protection::EXECUTE) && open.dentry().mount().is_no_execute {
        return Err(Errno::EPERM);
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
    if let Some(memory) = open.file().device_memory()
        && (!is_shared || offset.checked_add(len).is_none_or(|end| end > memory.len()))
    {
        return Err(Errno::EINVAL);
    }
    if offset.checked_add(len).is_none_or(|end| i64::try_from(end).is_err()) {
        return Err(Errno::EOVERFLOW);
    }
    // A file that is sealed against writing can be mapped all the same, never to be written.
    let (writer, may_write) = match open.file().writer() {
        _ if !is_shared => (None, true),
        _ if !access.write => (None, false),
        Ok(writer) => (writer, true),
        Err(errno) if protection.contains(Protection::WRITE) => return Err(errno),
        Err(_) => (None, false),
    };
    let (file, dentry) = (Arc::clone(open.file()), Some(Arc::clone(open.dentry())));
    let may_execute = !open.dentry().mount().is_no_execute;
    Ok(Backing::File { file, dentry, offset, is_shared, may_write, may_execute, writer })
}

/// `mprotect(2)`
fn sys_mprotect(thread: &Thread, address: u64, len: u64, prot: u32) -> Result<usize, Errno> {
    let growth = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
    if growth == PROT_GROWSDOWN | PROT_GROWSUP || !address.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let protection = protection_of(prot & !(growth | PROT_SEM))?;
    let mut space = thread.process.space.lock();
    let (mut start, mut len) = (address, len);
    match growth {
        0 => {}
        PROT_GROWSDOWN => {
            start = space.start_of_growing(address)?;
            len = len.checked_add(address - start).ok_or(Errno::ENOMEM)?;
        }
        // Nothing grows upwards.
        _ => return Err(if space.area_at(address).is_some() { Errno::EINVAL } else { Errno::ENOMEM }),
    }
    space.protect(start, len, protection).map(|()| 0)
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
    let limits = *thread.process.limits.lock();
    let place = {
        let mut space = thread.process.space.lock();
        if let Some(area) = space.area_at(old).filter(|_| new_len > old_len) {
            check_limits(&limits, &space, new_len - old_len, 0, is_data(area))?;
        }
        space.remap(old, old_len, new_len, to, keeps_old)?
    };
    discard::relieve();
    Ok(to_result(place))
}

/// `madvise(2)`
fn sys_madvise(thread: &Thread, address: u64, len: u64, code: i32) -> Result<usize, Errno> {
    if !address.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(len).and_then(|len| address.checked_add(len)).ok_or(Errno::EINVAL)?;
    if address == end && (0..=25).contains(&code) && !(5..=7).contains(&code) {
        return Ok(0);
    }
    let space = &thread.process.space;
    match code {
        advice::REMOVE => remove(thread, address, end)?,
        advice::DONTFORK => space.lock().advise(address, len, Advice::NOT_FOR_CHILDREN, true)?,
        advice::DOFORK => space.lock().advise(address, len, Advice::NOT_FOR_CHILDREN, false)?,
        advice::KEEPONFORK => space.lock().advise(address, len, Advice::EMPTY_FOR_CHILDREN, false)?,
        advice::WIPEONFORK => {
            let mut space = space.lock();
            let first = space.area_at(address).map_or(address, |area| area.start);
            let is_other = |area: &Area| !matches!(area.backing, Backing::Anonymous);
            if space.areas_from(first).take_while(|area| area.start < end).any(is_other) {
                return Err(Errno::EINVAL);
            }
            space.advise(address, len, Advice::EMPTY_FOR_CHILDREN, true)?;
        }
        advice::DONTNEED | advice::DONTNEED_LOCKED | advice::FREE => {
            let result = space.lock().discard(address, len, code);
            discard::relieve();
            result?;
        }
        advice::HUGEPAGE => space.lock().advise(address, len, Advice::SMALL_PAGES, false)?,
        advice::NOHUGEPAGE => space.lock().advise(address, len, Advice::SMALL_PAGES, true)?,
        advice::POPULATE_READ => populate(thread, address, end, Access::Read)?,
        advice::POPULATE_WRITE => populate(thread, address, end, Access::Write)?,
        0..=3 | 12..=21 => {
            if !space.lock().covers(address, end) {
                return Err(Errno::ENOMEM);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// MADV_REMOVE: makes shared memory, or the part of the file that is mapped, zeros. EINVAL where it is neither, EACCES where it may not be written,
/// ENOMEM where nothing is mapped.
fn remove(thread: &Thread, start: u64, end: u64) -> Result<(), Errno> {
    let mut at = start;
    while at < end {
        let area = thread.process.space.lock().area_at(at).cloned().ok_or(Errno::ENOMEM)?;
        let (next, first) = (area.end.min(end), area.page_index(at));
        if area.advice.contains(Advice::LOCKED) {
            return Err(Errno::EINVAL);
        }
        match &area.backing {
            Backing::Shared { memory, .. } => memory.clear(first..first + (next - at) / PAGE_SIZE as u64),
            Backing::File { is_shared: true, may_write: true, file, .. } => {
                file.allocate(HOLE, first * PAGE_SIZE as u64, next - at)?;
            }
            Backing::File { .. } => return Err(Errno::EACCES),
            Backing::Anonymous | Backing::Kernel => return Err(Errno::EINVAL),
        }
        at = next;
    }
    Ok(())
}

/// `msync(2)`
fn sys_msync(thread: &Thread, address: u64, len: u64, flags: u32) -> Result<usize, Errno> {
    // MS_ASYNC and MS_SYNC exclude each other; MS_INVALIDATE means nothing with one page cache.
    if flags & !7 != 0 || flags & 5 == 5 || !address.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    // As on Linux, the length wraps when it is rounded.
    let end = address.checked_add(page_up(len).unwrap_or(0)).ok_or(Errno::ENOMEM)?;
    let space = thread.process.space.lock();
    let is_locked = |area: &Area| area.advice.contains(Advice::LOCKED);
    let first = space.area_at(address).map_or(address, |area| area.start);
    if flags & MS_INVALIDATE != 0
        && space.areas_from(first).take_while(|area| area.start < end).any(is_locked)
    {
        return Err(Errno::EBUSY);
    }
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
