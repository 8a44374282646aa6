//! Block devices: `/dev/vda`, `/dev/vdb` …, numbers 254:0, 254:16 …
//!
//! ```text
//! read, write ── whole sectors in memory that can be pinned ──────────────► Disk: the device moves them
//!             └─ anything else ── a frame: whole sectors in, the part out ─► Disk
//! ```
//!
//! Nothing is cached here. The disk's cache is the host's, so what one process writes another reads at once, whoever
//! opened it how, and mapping is ENODEV. Parts of sectors are read, changed and written by one at a time.

use super::devices::device_number;
use super::inode::{Access, File, Ownership};
use crate::io::{Destination, Pinned, Source};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::{Mutex, Once};

/// Bytes of a sector: what everything is counted in.
pub const SECTOR: usize = 512;
/// Major number of their device files.
pub const MAJOR: u8 = 254;
/// Minor numbers that each takes (Linux's, which leaves room for partitions).
const MINORS: u8 = 16;
/// Bytes moved at a time.
const MOST: usize = 1 << 20;

/// What is known of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its bytes: whole sectors.
    pub bytes: u64,
    /// Bytes of a logical block.
    pub logical: u32,
    /// Bytes of a physical block.
    pub physical: u32,
    /// Whether it cannot be written.
    pub is_read_only: bool,
}

/// A disk, as its driver has it. Offsets and lengths are whole sectors, within the disk.
pub trait Disk: Send + Sync {
    /// What is known of it.
    fn facts(&self) -> Facts;

    /// Reads from `offset` on into the front of `pieces`. Returns how many bytes, at least a sector.
    fn read(&self, offset: u64, pieces: &[Pinned]) -> Result<usize, Errno>;

    /// Writes the front of `pieces`, as [`read`](Self::read).
    fn write(&self, offset: u64, pieces: &[Pinned]) -> Result<usize, Errno>;

    /// What was written survives.
    fn flush(&self) -> Result<(), Errno>;

    /// The contents of a range do not matter any more.
    fn discard(&self, offset: u64, len: u64) -> Result<(), Errno>;

    /// A range is zeros; a hole if `may_unmap`.
    fn zero(&self, offset: u64, len: u64, may_unmap: bool) -> Result<(), Errno>;

    /// Held by whoever changes parts of sectors.
    fn changing(&self) -> &Mutex<()>;

    /// Puts a transfer of all of `pieces`, from `offset` on, under way; the device is told with [`kick`](Self::kick). What cannot be, because there is
    /// no room or it is too much for one request, is an error: then it is to be done with [`read`](Self::read) or [`write`](Self::write).
    fn begin(
        self: Arc<Self>,
        is_write: bool,
        offset: u64,
        pieces: Vec<Pinned>,
    ) -> Result<Box<dyn Transfer>, Errno>;

    /// Tells the device of what was begun.
    fn kick(&self);

    /// Somebody waits for interrupts until something that was begun is done, or does not any more.
    fn expect(&self, waits: bool);
}

/// A transfer under way, with its memory. Whoever drops it before it is done waits.
pub trait Transfer: Send {
    /// Bytes moved, or why not, when it is done; `None` before and after that.
    fn poll(&mut self) -> Option<Result<usize, Errno>>;
}

/// The disks of the partition.
pub trait Disks: Send + Sync {
    /// How many.
    fn count(&self) -> u8;

    /// One of them, brought up when it is first asked for.
    fn disk(&self, index: u8) -> Result<Arc<dyn Disk>, Errno>;
}

static DISKS: Once<(Box<dyn Disks>, u32, u32)> = Once::new();

/// Says which disks there are, and whose; the first call counts.
pub fn set_disks(disks: Box<dyn Disks>, uid: u32, gid: u32) {
    DISKS.call_once(|| (disks, uid, gid));
}

/// How many there are.
#[must_use]
pub fn count() -> u8 {
    DISKS.get().map_or(0, |(disks, ..)| disks.count())
}

/// Who owns their device files.
#[must_use]
pub fn ownership() -> Ownership {
    let (uid, gid) = DISKS.get().map_or((0, 0), |&(_, uid, gid)| (uid, gid));
    Ownership { uid, gid, permissions: 0o660 }
}

/// Name and device number of disk `index`.
#[must_use]
pub fn name(index: u8) -> ([u8; 3], u64) {
    ([b'v', b'd', b'a' + index % 26], device_number(MAJOR, index.wrapping_mul(MINORS)))
}

/// One of them.
pub fn disk(index: u8) -> Result<Arc<dyn Disk>, Errno> {
    let (disks, ..) = DISKS.get().ok_or(Errno::ENXIO)?;
    if index < disks.count() { disks.disk(index) } else { Err(Errno::ENXIO) }
}

/// Opens the block device with this number; ENXIO if there is none.
pub fn open(number: u64, access: Access) -> Result<Arc<dyn File>, Errno> {
    let index = (0..count()).find(|&index| name(index).1 == number).ok_or(Errno::ENXIO)?;
    let disk = disk(index)?;
    if access.write && disk.facts().is_read_only {
        return Err(Errno::EACCES);
    }
    Ok(Arc::new(BlockFile { disk }))
}

struct BlockFile {
    disk: Arc<dyn Disk>,
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Where a sector begins in front of `offset`, and how far behind that `offset` is.
fn split(offset: u64) -> (u64, usize) {
    let inside = offset % SECTOR as u64;
    (offset - inside, to_usize(inside))
}

/// Leaves the first whole sectors of pinned memory. Returns their bytes.
fn whole_sectors(pieces: &mut Vec<Pinned>) -> usize {
    let total: usize = pieces.iter().map(|piece| piece.len).sum();
    let mut surplus = total % SECTOR;
    while surplus > 0 {
        let Some(last) = pieces.last_mut() else { break };
        let cut = surplus.min(last.len);
        last.len -= cut;
        surplus -= cut;
        if last.len == 0 {
            pieces.pop();
        }
    }
    total - total % SECTOR
}

fn whole_frame(frame: Frame, len: usize) -> [Pinned; 1] {
    [Pinned { frame, offset: 0, len, pin: None }]
}

impl BlockFile {
    /// Reads whole sectors into the program's own pages. None are 0.
    fn read_direct(&self, at: u64, want: usize, to: &mut dyn Destination) -> Result<usize, Errno> {
        let mut pieces = Vec::new();
        let Some(pinned) = to.pin(want.min(MOST), &mut pieces) else { return Ok(0) };
        pinned?;
        if whole_sectors(&mut pieces) == 0 {
            return Ok(0);
        }
        let len = self.disk.read(at, &pieces)?;
        to.advance(len);
        Ok(len)
    }

    /// Reads by way of a frame.
    fn read_part(&self, at: u64, want: usize, to: &mut dyn Destination) -> Result<usize, Errno> {
        let (start, inside) = split(at);
        let want = want.min(PAGE_SIZE - inside);
        let [pinned] =
            whole_frame(Frame::uninit().ok_or(Errno::ENOMEM)?, (inside + want).next_multiple_of(SECTOR));
        let pinned = [pinned];
        let got = self.disk.read(start, &pinned)?.saturating_sub(inside).min(want);
        to.put_frame(&pinned[0].frame, inside, got)
    }

    fn write_direct(&self, at: u64, want: usize, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut pieces = Vec::new();
        let Some(pinned) = from.pin(want.min(MOST), &mut pieces) else { return Ok(0) };
        pinned?;
        if whole_sectors(&mut pieces) == 0 {
            return Ok(0);
        }
        let len = self.disk.write(at, &pieces)?;
        from.advance(len);
        Ok(len)
    }

    fn write_part(&self, at: u64, want: usize, from: &mut dyn Source) -> Result<usize, Errno> {
        let (start, inside) = split(at);
        let want = want.min(PAGE_SIZE - inside);
        let len = (inside + want).next_multiple_of(SECTOR);
        let pinned = whole_frame(Frame::zeroed().ok_or(Errno::ENOMEM)?, len);
        let _turn = self.disk.changing().lock();
        if inside > 0 || len > want {
            self.disk.read(start, &pinned)?;
        }
        let taken = from.take_to_frame(&pinned[0].frame, inside, want)?;
        if taken < want && inside == 0 && len == want {
            // The program's memory ended early, and what is behind was not read.
            let kept = taken - taken % SECTOR;
            if kept == 0 {
                return Err(Errno::EFAULT);
            }
            let [whole] = pinned;
            return self.disk.write(start, &[Pinned { len: kept, ..whole }]);
        }
        let written = self.disk.write(start, &pinned)?;
        Ok(written.saturating_sub(inside).min(taken))
    }

    /// Moves bytes from `offset` up to `end`, whole sectors directly if that can be, until a step moves less than nothing more.
    fn move_all(
        offset: u64,
        end: u64,
        mut direct: impl FnMut(u64, usize) -> Result<usize, Errno>,
        mut part: impl FnMut(u64, usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut at = offset;
        while at < end {
            let left = to_usize(end - at);
            let whole = left - left % SECTOR;
            let is_aligned = at.is_multiple_of(SECTOR as u64) && whole > 0;
            let moved = match if is_aligned { direct(at, whole) } else { Ok(0) } {
                Ok(0) => {
                    // Up to where sectors begin again.
                    let (_, inside) = split(at);
                    part(at, if inside > 0 { left.min(SECTOR - inside) } else { left })
                }
                other => other,
            };
            match moved {
                Ok(0) => break,
                Ok(len) => at += len as u64,
                Err(_) if at > offset => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(to_usize(at - offset))
    }

    fn check_range(&self, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.checked_add(len).ok_or(Errno::EINVAL)?;
        let is_whole = (offset | len).is_multiple_of(SECTOR as u64);
        if is_whole && end <= self.disk.facts().bytes { Ok(()) } else { Err(Errno::EINVAL) }
    }
}

const _: () = assert!(PAGE_SIZE.is_multiple_of(SECTOR));

impl File for BlockFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn disk(&self) -> Option<&Arc<dyn Disk>> {
        Some(&self.disk)
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let end = self.disk.facts().bytes.min(offset.saturating_add(to.remaining() as u64));
        let to = core::cell::RefCell::new(to);
        Self::move_all(
            offset,
            end,
            |at, want| self.read_direct(at, want, &mut **to.borrow_mut()),
            |at, want| self.read_part(at, want, &mut **to.borrow_mut()),
        )
    }

    fn write_at(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let size = self.disk.facts().bytes;
        if offset >= size && from.remaining() > 0 {
            return Err(Errno::ENOSPC);
        }
        let end = size.min(offset.saturating_add(from.remaining() as u64));
        let from = core::cell::RefCell::new(from);
        Self::move_all(
            offset,
            end,
            |at, want| self.write_direct(at, want, &mut **from.borrow_mut()),
            |at, want| self.write_part(at, want, &mut **from.borrow_mut()),
        )
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        if self.disk.facts().is_read_only { Ok(()) } else { self.disk.flush() }
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        const KEEP_SIZE: u32 = 1;
        const PUNCH_HOLE: u32 = 2;
        const ZERO_RANGE: u32 = 0x10;
        let may_unmap = match mode & !KEEP_SIZE {
            PUNCH_HOLE => true,
            ZERO_RANGE => false,
            _ => return Err(Errno::EOPNOTSUPP),
        };
        self.check_range(offset, len)?;
        self.disk.zero(offset, len, may_unmap)
    }
}

/// Checks a range that a program names in bytes, and gives it to `work`.
pub fn change_range(
    disk: &dyn Disk,
    offset: u64,
    len: u64,
    work: impl FnOnce(u64, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let end = offset.checked_add(len).ok_or(Errno::EINVAL)?;
    if !(offset | len).is_multiple_of(SECTOR as u64) || end > disk.facts().bytes || len == 0 {
        return Err(Errno::EINVAL);
    }
    work(offset, len)
}
