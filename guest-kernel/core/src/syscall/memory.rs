//! Address space: mmap and its relatives.

use super::entry::{Entry, Support};
use super::{int, uint};
use crate::memory::area::{Backing, Label, Protection};
use crate::memory::layout::page_up;
use crate::memory::shared::SharedMemory;
use crate::memory::space::{Place, exceeds_memory};
use crate::process::thread::Thread;
use alloc::sync::Arc;
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
const MADV_DONTNEED: i32 = 4;
const MADV_FREE: i32 = 8;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::MMAP,
        handler: |thread, a| sys_mmap(thread, a[0], a[1], uint(a[2]), uint(a[3]), int(a[4]), a[5]),
        support: Support::Partial,
        notes: "MAP_SHARED, PRIVATE, ANONYMOUS, FIXED, FIXED_NOREPLACE; hints (STACK, NORESERVE, POPULATE, LOCKED…) are ignored; no HUGETLB, no GROWSDOWN",
    },
    Entry {
        number: number::MUNMAP,
        handler: |thread, a| thread.process.space.lock().unmap(a[0], a[1]).map(|()| 0),
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
        support: Support::Partial,
        notes: "MREMAP_MAYMOVE, MREMAP_FIXED; no DONTUNMAP",
    },
    Entry {
        number: number::BRK,
        handler: |thread, a| Ok(to_result(thread.process.space.lock().move_break(a[0]))),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::MADVISE,
        handler: |thread, a| sys_madvise(thread, a[0], a[1], int(a[2])),
        support: Support::Partial,
        notes: "DONTNEED drops private pages; FREE and hints are accepted and without effect",
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
        support: Support::Partial,
        notes: "every mapped page is said to be resident",
    },
    Entry {
        number: number::MLOCK,
        handler: sys_mlock,
        support: Support::Accepted,
        notes: "nothing is swapped",
    },
    Entry {
        number: number::MLOCK2,
        handler: sys_mlock,
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
        handler: |_, _| Ok(0),
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
    if flags & MAP_GROWSDOWN != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let len = page_up(len).ok_or(Errno::ENOMEM)?;
    let backing = if flags & MAP_ANONYMOUS == 0 {
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
    let mut space = thread.process.space.lock();
    space.map(place, len, protection, backing, Label::None).map(to_result)
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
    if flags & !(MREMAP_MAYMOVE | MREMAP_FIXED) != 0
        || (flags & MREMAP_FIXED != 0 && flags & MREMAP_MAYMOVE == 0)
    {
        return Err(Errno::EINVAL);
    }
    let to = (flags & MREMAP_FIXED != 0).then_some(new);
    let mut space = thread.process.space.lock();
    space.remap(old, old_len, new_len, flags & MREMAP_MAYMOVE != 0, to).map(to_result)
}

/// `madvise(2)`
fn sys_madvise(thread: &Thread, address: u64, len: u64, advice: i32) -> Result<usize, Errno> {
    match advice {
        MADV_DONTNEED => thread.process.space.lock().discard(address, len).map(|()| 0),
        0..=3 | MADV_FREE | 10..=19 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
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
    if !thread.process.space.lock().covers(address, end) {
        return Err(Errno::ENOMEM);
    }
    for page in 0..(end - address) / PAGE_SIZE as u64 {
        crate::memory::buffer::write(&thread.process.space, vector.wrapping_add(page), &[1])?;
    }
    Ok(0)
}

fn sys_mlock(thread: &Thread, arguments: [u64; 6]) -> Result<usize, Errno> {
    let start = crate::memory::layout::page_down(arguments[0]);
    let end = arguments[0].checked_add(arguments[1]).and_then(page_up).ok_or(Errno::EINVAL)?;
    if thread.process.space.lock().covers(start, end) { Ok(0) } else { Err(Errno::ENOMEM) }
}
