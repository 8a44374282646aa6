//! System V shared memory: `shmget`, `shmat`, `shmdt`, `shmctl`.
//!
//! ```text
//! shmid64_ds   +0 ipc64_perm
//!              +48 bytes (u64)  +56 mapped  +64 unmapped  +72 changed (seconds)  +80 maker  +84 last (pid)  +88 mappings (u64)  +112
//! ```

use super::clock::write_words;
use super::entry::{Entry, Support};
use super::{int, uint};
use crate::ipc::listing;
use crate::ipc::segments::{MOST, SEGMENTS, Segment};
use crate::ipc::{CHANGE, Caller, PERMISSION_LEN, READ, Request, seconds};
use crate::memory::area::{Backing, Label, Protection};
use crate::memory::buffer;
use crate::memory::layout::page_up;
use crate::memory::space::{Place, exceeds_memory};
use crate::process::thread::Thread;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;

/// IPC_CREAT, IPC_EXCL, SHM_HUGETLB
const CREATE: u32 = 0o1000;
const EXCLUSIVE: u32 = 0o2000;
const HUGE: u32 = 0o4000;
/// SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC
const READ_ONLY: u32 = 0o10_000;
const ROUND: u32 = 0o20_000;
const REPLACE: u32 = 0o40_000;
const EXECUTE: u32 = 0o100_000;
/// IPC_RMID, IPC_SET, IPC_STAT, SHM_LOCK, SHM_UNLOCK
const REMOVE: i32 = 0;
const SET: i32 = 1;
const STATUS: i32 = 2;
const LOCK: i32 = 11;
const UNLOCK: i32 = 12;
/// SHM_DEST, in a mode
const REMOVED: u32 = 0o1000;
/// IPC_INFO, SHM_STAT, SHM_INFO, SHM_STAT_ANY
const LIMITS: i32 = 3;
const STATUS_AT: i32 = 13;
const USAGE: i32 = 14;
const STATUS_AT_ANY: i32 = 15;
/// Bytes of a `shmid64_ds`.
const STATUS_LEN: usize = 112;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::SHMGET,
        handler: |thread, a| sys_shmget(thread, int(a[0]), a[1], uint(a[2])),
        support: Support::Partial,
        notes: "IPC_CREAT, IPC_EXCL; SHM_HUGETLB is ENOMEM",
    },
    Entry {
        number: number::SHMAT,
        handler: |thread, a| sys_shmat(thread, int(a[0]), a[1], uint(a[2])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SHMDT,
        handler: |thread, a| sys_shmdt(thread, a[0]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SHMCTL,
        handler: |thread, a| sys_shmctl(thread, int(a[0]), int(a[1]), a[2]),
        support: Support::Full,
        notes: "a mapping of which a part was changed counts as two",
    },
];

/// How one of a family's objects is asked about: by its number (IPC_STAT), or by its place, as programs do that list them (`*_STAT`, `*_STAT_ANY`).
#[derive(Clone, Copy)]
pub(super) struct Listing {
    pub is_by_place: bool,
    /// Whoever asks need not be allowed to read it.
    pub is_for_anybody: bool,
}

impl Listing {
    pub(super) fn of(command: i32, by_number: i32, for_anybody: i32) -> Self {
        Self { is_by_place: command != by_number, is_for_anybody: command == for_anybody }
    }

    /// What the call returns, of the object with this number.
    pub(super) fn result(self, id: i32) -> Result<usize, Errno> {
        if self.is_by_place { usize::try_from(id).map_err(|_| Errno::EINVAL) } else { Ok(0) }
    }
}

pub(super) fn caller(thread: &Thread) -> Caller {
    let fs = thread.process.fs.lock();
    Caller { pid: thread.process.pid, uid: fs.uid, gid: fs.gid }
}

/// `shmget(2)`
fn sys_shmget(thread: &Thread, key: i32, size: u64, flags: u32) -> Result<usize, Errno> {
    if flags & HUGE != 0 {
        return Err(Errno::ENOMEM);
    }
    let rounded = page_up(size).ok_or(Errno::EINVAL)?;
    if exceeds_memory(rounded) {
        return Err(Errno::ENOMEM);
    }
    let creates = flags & CREATE != 0;
    let request = Request { key, size, mode: flags & 0o777, creates, is_exclusive: flags & EXCLUSIVE != 0 };
    let id = SEGMENTS.lock().get(request, caller(thread))?;
    usize::try_from(id).map_err(|_| Errno::ENOSPC)
}

/// `shmat(2)`
fn sys_shmat(thread: &Thread, id: i32, address: u64, flags: u32) -> Result<usize, Errno> {
    let caller = caller(thread);
    let (memory, size) = {
        let mut segments = SEGMENTS.lock();
        let segment = segments.find(id)?;
        segment.permission.check(caller, if flags & READ_ONLY != 0 { READ } else { READ | CHANGE })?;
        (segment.memory().ok_or(Errno::EINVAL)?, segment.size)
    };
    let page = PAGE_SIZE as u64;
    let address = if flags & ROUND != 0 { address & !(page - 1) } else { address };
    if !address.is_multiple_of(page) || address == 0 && flags & REPLACE != 0 {
        return Err(Errno::EINVAL);
    }
    let place = match address {
        0 => Place::Hint(0),
        _ if flags & REPLACE != 0 => Place::Fixed(address),
        _ => Place::FixedFree(address),
    };
    let mut protection = Protection::READ;
    protection.set(Protection::WRITE, flags & READ_ONLY == 0);
    protection.set(Protection::EXECUTE, flags & EXECUTE != 0);
    let len = page_up(size).ok_or(Errno::EINVAL)?;
    let backing = Backing::Shared { memory: Arc::clone(&memory), offset: 0 };
    let mapped = thread.process.space.lock().map(place, len, protection, backing, Label::None);
    let start = mapped.map_err(|errno| if errno == Errno::EEXIST { Errno::EINVAL } else { errno })?;
    if let Some(segment) = SEGMENTS.lock().of(&memory) {
        (segment.pids[1], segment.times[0]) = (caller.pid, seconds());
    }
    Ok(septum_guest_hal::address::to_usize(start))
}

/// `shmdt(2)`
fn sys_shmdt(thread: &Thread, address: u64) -> Result<usize, Errno> {
    let mut space = thread.process.space.lock();
    let memory_at = |area: &crate::memory::area::Area| match &area.backing {
        Backing::Shared { memory, offset } if area.start.checked_sub(*offset) == Some(address) => {
            Some((Arc::clone(memory), area.start, area.end))
        }
        _ => None,
    };
    // What is left of the mapping, of which parts may have been changed or replaced.
    let parts: Vec<_> = space.areas().filter_map(memory_at).collect();
    let memory = &parts.first().ok_or(Errno::EINVAL)?.0;
    if SEGMENTS.lock().of(memory).is_none() {
        return Err(Errno::EINVAL);
    }
    for (other, start, end) in &parts {
        if Arc::ptr_eq(other, memory) {
            space.unmap(*start, end - start)?;
        }
    }
    drop(space);
    if let Some(segment) = SEGMENTS.lock().of(memory) {
        (segment.pids[1], segment.times[1]) = (thread.process.pid, seconds());
    }
    Ok(0)
}

fn status(segment: &Segment) -> [u8; STATUS_LEN] {
    let mut bytes = [0; STATUS_LEN];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &segment.permission.encode(if segment.is_removed() { REMOVED } else { 0 }));
    put(48, &segment.size.to_le_bytes());
    for (index, time) in segment.times.into_iter().enumerate() {
        put(56 + index * 8, &time.to_le_bytes());
    }
    put(80, &segment.pids[0].to_le_bytes());
    put(84, &segment.pids[1].to_le_bytes());
    put(88, &segment.mappings().to_le_bytes());
    bytes
}

/// What SHM_INFO tells: segments, pages of all, pages there, pages and attempts of a swap that there is not; and the highest place.
fn usage() -> ([u64; 6], usize) {
    let mut segments = SEGMENTS.lock();
    let table = segments.table();
    let pages = table.iter().map(|(_, segment)| segment.size.div_ceil(PAGE_SIZE as u64)).sum();
    let resident = table.iter().map(|(_, segment)| segment.resident()).sum();
    ([table.count() as u64, pages, resident, 0, 0, 0], table.highest())
}

/// `shmctl(2)`
fn sys_shmctl(thread: &Thread, id: i32, command: i32, address: u64) -> Result<usize, Errno> {
    let caller = caller(thread);
    match command {
        REMOVE | LOCK | UNLOCK => {
            let mut segments = SEGMENTS.lock();
            let segment = segments.find(id)?;
            segment.permission.check_owner(caller)?;
            if command == REMOVE {
                segment.remove();
            }
        }
        SET => {
            let mut bytes = [0; PERMISSION_LEN];
            buffer::read(&thread.process.space, address, &mut bytes)?;
            let mut segments = SEGMENTS.lock();
            let segment = segments.find(id)?;
            segment.permission.check_owner(caller)?;
            segment.permission.change(&bytes);
            segment.times[2] = seconds();
        }
        STATUS | STATUS_AT | STATUS_AT_ANY => {
            let listing = Listing::of(command, STATUS, STATUS_AT_ANY);
            let (id, told) = {
                let mut segments = SEGMENTS.lock();
                let id = if listing.is_by_place { segments.table().at(id)? } else { id };
                let segment = segments.find(id)?;
                if !listing.is_for_anybody {
                    segment.permission.check(caller, READ)?;
                }
                (id, status(segment))
            };
            buffer::write(&thread.process.space, address, &told)?;
            return listing.result(id);
        }
        LIMITS => {
            let words = [listing::MOST_SHARED, 1, MOST as u64, MOST as u64, listing::MOST_SHARED, 0, 0, 0, 0];
            write_words(thread, address, &words)?;
            return Ok(SEGMENTS.lock().table().highest());
        }
        USAGE => {
            let (words, highest) = usage();
            write_words(thread, address, &words)?;
            return Ok(highest);
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}
