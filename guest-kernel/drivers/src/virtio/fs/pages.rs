//! Keeping a file's cached pages filled and true.
//!
//! ```text
//! page, small read ──► missing pages around it, in one READ, straight into their frames
//! write            ──► cached pages it overlaps: dropped if nobody maps them, else given the new bytes, before anybody else
//!                      reads or writes
//! contents changed on the host ──► dropped if nobody maps them, else read again
//! ```
//!
//! A page that a program may have changed through a mapping is never dropped nor read again: it is newer
//! than what the host has, until it is written back.

use super::fuse::{self, Opcode};
use super::handle::Handle;
use super::node::Node;
use super::session::Data;
use crate::platform;
use crate::virtio::queue::Segment;
use crate::virtio::segment;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::Access;
use septum_guest_core::io::Pinned;
use septum_guest_hal::address::to_usize;
use septum_guest_hal::frame::Frame;

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages that are read along with one that a program touches, aligned to their number.
const AROUND: u64 = 64;
/// Frames to get back when memory is short.
const RECLAIM: usize = 256;

/// Which pages to read along with one that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// Those around it.
    Around,
    /// So many from it on, itself included.
    Pages(u64),
}

impl Node {
    /// Has the host read `len` bytes at `offset` into `segments`. Returns how many there were.
    pub(super) fn read_into(
        &self,
        handle: &Handle,
        offset: u64,
        len: usize,
        segments: &[Segment],
    ) -> Result<usize, Errno> {
        let number = handle.number_for_reading()?;
        let mut exchange = self.volume.session.begin(Opcode::Read, self.id)?;
        let size = u32::try_from(len).map_err(|_| Errno::EIO)?;
        exchange.words([number, offset, fuse::pair(size, 0), 0, 0]);
        Ok(exchange.call(0, Data::In(segments))?.min(len))
    }

    /// The frame of a page that is cached.
    pub(super) fn cached_page(&self, index: u64) -> Option<Frame> {
        self.pages.lock().get(index).cloned()
    }

    /// Tells of those of the `count` pages from `first` on that are cached.
    pub(super) fn cached_pages(&self, first: u64, count: u64, tell: &mut dyn FnMut(u64, &[Frame])) {
        self.pages.lock().tell(first, count, tell);
    }

    /// The frame of page `index` of the file, which is `size` bytes long; `None` beyond its end.
    pub(super) fn page_frame(
        &self,
        handle: &Handle,
        index: u64,
        ahead: Ahead,
        size: u64,
    ) -> Result<Option<Frame>, Errno> {
        if let Some(frame) = self.cached_page(index) {
            return Ok(Some(frame));
        }
        let end = size.div_ceil(PAGE);
        let _moving = self.moving();
        let missing = {
            let mut pages = self.pages.lock();
            if let Some(frame) = pages.get(index) {
                return Ok(Some(frame.clone()));
            }
            if index >= end {
                return Ok(None);
            }
            let most = (self.volume.limits.data as u64 / PAGE).max(1);
            let wanted = match ahead {
                Ahead::Around => {
                    let window = AROUND.min(most);
                    let start = index - index % window;
                    start..start.saturating_add(window)
                }
                Ahead::Pages(count) => index..index.saturating_add(count.min(most)),
            };
            pages.missing_around(index, wanted.start..wanted.end.min(end))
        };
        self.fill(handle, missing, size)?;
        Ok(self.pages.lock().get(index).cloned())
    }

    /// Reads pages that are not cached.
    fn fill(&self, handle: &Handle, missing: Range<u64>, size: u64) -> Result<(), Errno> {
        let count = to_usize(missing.end - missing.start);
        let mut frames = self.frames(count)?;
        if let Some(last) = frames.last().filter(|_| missing.end * PAGE > size) {
            // What follows the file's end in its last page is zero.
            last.clear(to_usize(size % PAGE), PAGE_SIZE);
        }
        let segments = segment::of_frames(&frames);
        let len = count * PAGE_SIZE;
        let expected = to_usize(size.saturating_sub(missing.start * PAGE)).min(len);
        let got = self.read_into(handle, missing.start * PAGE, len, &segments)?;
        if got < expected {
            // The file is shorter than we were told.
            frames.truncate(got.div_ceil(PAGE_SIZE));
            if let Some(last) = frames.last().filter(|_| !got.is_multiple_of(PAGE_SIZE)) {
                last.clear(got % PAGE_SIZE, PAGE_SIZE);
            }
        }
        let is_first = {
            let mut pages = self.pages.lock();
            let is_first = pages.is_new();
            pages.insert(missing.start, frames);
            is_first
        };
        if is_first {
            self.volume.add_cached(self.weak());
        }
        Ok(())
    }

    /// Frames for the cache; pages that nobody maps make room for them if need be.
    fn frames(&self, count: usize) -> Result<Vec<Frame>, Errno> {
        let mut frames = Vec::with_capacity(count);
        platform::new_frames(count, &mut frames);
        if frames.len() < count {
            self.volume.reclaim(RECLAIM);
            platform::new_frames(count - frames.len(), &mut frames);
        }
        if frames.len() == count { Ok(frames) } else { Err(Errno::ENOMEM) }
    }

    /// Whether a cached page may go: nobody maps it, or has changed it.
    fn is_droppable(&self, frame: &Frame) -> bool {
        frame.is_unique() && !self.is_mapped_writable.load(Ordering::Relaxed)
    }

    /// Gives up cached pages that nobody maps. Returns how many frames that frees.
    pub(super) fn drop_pages(&self) -> usize {
        let mut count = 0;
        self.pages.lock().remove_if(0..u64::MAX, |_, frame| {
            let is_droppable = self.is_droppable(frame);
            count += usize::from(is_droppable);
            is_droppable
        });
        count
    }

    /// Makes cached pages show what the host has now. Not for who is moving contents.
    pub(super) fn refresh_pages(&self) {
        let _moving = self.moving();
        if self.pages.lock().is_empty() || self.is_mapped_writable.load(Ordering::Relaxed) {
            return;
        }
        let mut mapped = Vec::new();
        self.pages.lock().remove_if(0..u64::MAX, |page, frame| {
            let is_mapped = !frame.is_unique();
            if is_mapped {
                mapped.push((page, frame.clone()));
            }
            !is_mapped
        });
        if mapped.is_empty() {
            return;
        }
        let Ok(handle) = self.handle(Access { read: true, write: false }) else { return };
        for (page, frame) in mapped {
            let whole = [segment::of_frame(&frame, 0, PAGE_SIZE)];
            // A page that cannot be read keeps what it has: the mapping is there, and has to show something.
            if let Ok(len) = self.read_into(&handle, page * PAGE, PAGE_SIZE, &whole) {
                frame.clear(len, PAGE_SIZE);
            }
        }
    }

    /// Follows a change of the file's length. For who is moving contents.
    pub(super) fn truncate_pages(&self, size: u64) {
        let mut pages = self.pages.lock();
        if pages.is_empty() {
            return;
        }
        pages.truncate(size.div_ceil(PAGE));
        if let Some(last) = pages.get(size / PAGE) {
            last.clear(to_usize(size % PAGE), PAGE_SIZE);
        }
    }

    /// Follows a write of `len` bytes from `pieces` to `offset`. For who is moving contents.
    pub(super) fn update_pages(&self, offset: u64, pieces: &[Pinned], len: usize) {
        let mut pages = self.pages.lock();
        if pages.is_empty() || len == 0 {
            return;
        }
        let end = offset + len as u64;
        pages.remove_if(offset / PAGE..end.div_ceil(PAGE), |page, frame| {
            if self.is_droppable(frame) {
                return true;
            }
            let start = offset.max(page * PAGE);
            let part = to_usize(end.min((page + 1) * PAGE) - start);
            copy(pieces, to_usize(start - offset), frame, to_usize(start % PAGE), part);
            false
        });
    }
}

/// Copies `len` bytes that begin `skip` bytes into `pieces` to `offset` of `frame`.
fn copy(pieces: &[Pinned], skip: usize, frame: &Frame, offset: usize, len: usize) {
    let mut buffer = [0; 512];
    let (mut skip, mut offset, mut left) = (skip, offset, len);
    for piece in pieces {
        let mut at = skip.min(piece.len);
        skip -= at;
        while at < piece.len && left > 0 {
            let part = (piece.len - at).min(left).min(buffer.len());
            if let Some(buffer) = buffer.get_mut(..part) {
                piece.frame.read(piece.offset + at, buffer);
                frame.write(offset, buffer);
            }
            (at, offset, left) = (at + part, offset + part, left - part);
        }
    }
}

/// The access that reading needs.
pub const READ: Access = Access { read: true, write: false };

impl Node {
    /// Has the host store what it holds back of this file.
    pub(super) fn sync(&self, opcode: Opcode, handle: &Handle, data_only: bool) -> Result<(), Errno> {
        let number = handle.number()?;
        let mut exchange = self.volume.session.begin(opcode, self.id)?;
        exchange.words([number, fuse::pair(if data_only { fuse::SYNC_DATA } else { 0 }, 0)]);
        match exchange.call(0, Data::None) {
            Ok(_) | Err(Errno::ENOSYS) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}
