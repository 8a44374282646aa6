//! An open regular file.
//!
//! ```text
//! read_at   large, or contents that may have changed    READ straight into the program's pages
//!           small                                       cached pages, read ahead
//!           mapped for writing                          cached pages: they are newer than the host's
//! write_at, append                                      see write.rs
//! ```

use super::fuse::{self, Opcode};
use super::handle::Handle;
use super::node::Node;
use super::pages::{Ahead, READ};
use super::session::Data;
use super::write::Target;
use crate::platform;
use crate::virtio::queue::Segment;
use crate::virtio::segment;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{Access, File};
use septum_guest_core::fs::locks::HostLocks;
use septum_guest_core::io::{Destination, Pinned, Source};
use septum_guest_hal::address::to_usize;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::frame::large::LargeFrame;
use septum_guest_hal::sync::Mutex;

const PAGE: u64 = PAGE_SIZE as u64;
/// Reads of this size and above go past the cache.
const DIRECT: usize = 16 * 1024;
/// Programs of up to this size are read with one request: most of their pages are needed anyway.
const WHOLE: u64 = 1 << 20;
/// Pages read along with a small read of the beginning.
const FIRST_AHEAD: u64 = 4;
/// Pages read along with small reads that follow each other.
const NEXT_AHEAD: u64 = 16;

/// Lists that are kept so that a transfer allocates nothing.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) pieces: Vec<Pinned>,
    pub(super) segments: Vec<Segment>,
}

impl Scratch {
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.segments.clear();
    }
}

/// An open regular file.
pub struct RegularFile {
    pub(super) node: Arc<Node>,
    pub(super) handle: Arc<Handle>,
    access: Access,
    /// Where the last small read ended.
    last_end: AtomicU64,
    scratch: Mutex<Scratch>,
}

impl RegularFile {
    pub(super) fn new(node: Arc<Node>, handle: Arc<Handle>, access: Access) -> Self {
        Self { node, handle, access, last_end: AtomicU64::new(u64::MAX), scratch: Mutex::default() }
    }

    pub(super) fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = core::mem::take(&mut *self.scratch.lock());
        let result = work(&mut scratch);
        scratch.clear();
        *self.scratch.lock() = scratch;
        result
    }

    /// Reads once past the cache, at most `want` bytes. Returns how many were asked for, and how many there were.
    fn read_direct(
        &self,
        offset: u64,
        want: usize,
        to: &mut dyn Destination,
        scratch: &mut Scratch,
    ) -> Result<(usize, usize), Errno> {
        scratch.clear();
        let want = want.min(self.node.volume.limits.data);
        let Some(pinned) = to.pin(want, &mut scratch.pieces) else {
            return self.read_bounced(offset, want, to);
        };
        pinned?;
        let limit = self.node.volume.session.segment_limit();
        let asked = segment::gather(&scratch.pieces, &mut scratch.segments, limit);
        let got = self.node.read_into(&self.handle, offset, asked, &scratch.segments)?;
        to.advance(got);
        Ok((asked, got))
    }

    /// As [`read_direct`](Self::read_direct), through a frame.
    fn read_bounced(
        &self,
        offset: u64,
        want: usize,
        to: &mut dyn Destination,
    ) -> Result<(usize, usize), Errno> {
        let frame = platform::new_frame().ok_or(Errno::ENOMEM)?;
        let asked = want.min(PAGE_SIZE);
        let got = self.node.read_into(&self.handle, offset, asked, &[segment::of_frame(&frame, 0, asked)])?;
        let stored = if got == 0 { 0 } else { to.put_frame(&frame, 0, got)? };
        Ok((asked, stored))
    }

    fn read_past_cache(&self, offset: u64, want: usize, to: &mut dyn Destination) -> Result<usize, Errno> {
        self.with_scratch(|scratch| {
            let mut total = 0;
            while total < want {
                match self.read_direct(offset + total as u64, want - total, to, scratch) {
                    Ok((asked, got)) => {
                        total += got;
                        if got < asked || asked == 0 {
                            break;
                        }
                    }
                    Err(errno) if total == 0 => return Err(errno),
                    Err(_) => break,
                }
            }
            Ok(total)
        })
    }

    /// Reads up to `want` bytes of a file of `size` bytes from cached pages.
    fn read_cached(
        &self,
        offset: u64,
        want: usize,
        size: u64,
        to: &mut dyn Destination,
    ) -> Result<usize, Errno> {
        let end = size.min(offset.saturating_add(want as u64));
        let is_next = self.last_end.load(Ordering::Relaxed) == offset;
        let mut at = offset;
        while at < end {
            let count = match offset {
                _ if is_next => NEXT_AHEAD,
                0 => FIRST_AHEAD,
                // Who reads here and there reads no further.
                _ => end.div_ceil(PAGE) - at / PAGE,
            };
            let page = self.node.page_frame(&self.handle, at / PAGE, Ahead::Pages(count), size);
            let frame = match page {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(errno) if at == offset => return Err(errno),
                Err(_) => break,
            };
            let start = to_usize(at % PAGE);
            let len = (PAGE_SIZE - start).min(to_usize(end - at));
            match to.put_frame(&frame, start, len) {
                Ok(stored) => {
                    at += stored as u64;
                    if stored < len {
                        break;
                    }
                }
                Err(errno) if at == offset => return Err(errno),
                Err(_) => break,
            }
        }
        self.last_end.store(at, Ordering::Relaxed);
        Ok(to_usize(at - offset))
    }
}

impl File for RegularFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn host_locks(&self) -> Option<Arc<dyn HostLocks>> {
        self.node.host_locks()
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let want = to.remaining();
        if want == 0 {
            return Ok(0);
        }
        let has_newer = self.node.is_mapped_writable.load(Ordering::Relaxed);
        let known = if has_newer { Some(self.node.attributes()?) } else { self.node.known_attributes() };
        let Some(size) = known.map(|known| known.size()) else {
            return self.read_past_cache(offset, want, to);
        };
        let want = want.min(to_usize(size.saturating_sub(offset)));
        if want == 0 && (has_newer || self.node.tree.is_immutable()) {
            return Ok(0);
        }
        // Of a file in the window nothing is cached but what did not fit there.
        let is_cacheable = !self.node.manner.is_windowed();
        if has_newer || (is_cacheable && want > 0 && want < DIRECT) {
            return self.read_cached(offset, want, size, to);
        }
        self.read_past_cache(offset, want.max(1), to)
    }

    fn write_at(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        self.write_all(Target { offset, flags: 0 }, from)
    }

    fn append(&self, from: &mut dyn Source) -> Option<Result<(usize, u64), Errno>> {
        let _turn = self.node.appending.lock();
        Some(self.append_in_turn(from))
    }

    fn page(&self, index: u64) -> Result<Option<Frame>, Errno> {
        if let Some(frame) = self.cached_page(index) {
            return Ok(Some(frame));
        }
        let mut size = self.node.attributes()?.size();
        if index >= size.div_ceil(PAGE) && !self.node.tree.is_immutable() {
            // It may have grown since the host told; what is here is no reason for a signal.
            self.node.expire();
            size = self.node.attributes()?.size();
        }
        if index >= size.div_ceil(PAGE) {
            return Ok(None);
        }
        if self.node.map_in_window_for_sure(index, size, self.access.write)?
            && let Some(frame) = self.node.window_frame(index, self.access.write)
        {
            return Ok(Some(frame));
        }
        if self.access.write {
            self.node.is_mapped_writable.store(true, Ordering::Relaxed);
        }
        if self.handle.allows(READ) {
            return self.node.page_frame(&self.handle, index, Ahead::Around, size);
        }
        self.node.page_frame(&*self.node.handle(READ)?, index, Ahead::Around, size)
    }

    fn cached_page(&self, index: u64) -> Option<Frame> {
        if self.node.manner.is_windowed() {
            let is_within = index < self.node.last_size().div_ceil(PAGE);
            return if is_within { self.node.window_frame(index, self.access.write) } else { None };
        }
        // Before it is decided how the file is mapped, nothing can be told at once.
        let frame = if self.node.manner.is_cached() { self.node.cached_page(index) } else { None };
        if frame.is_some() && self.access.write {
            self.node.is_mapped_writable.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn expect_to_be_mapped(&self) {
        let size = self.node.known_attributes().map_or(0, |known| known.size());
        if (1..=WHOLE).contains(&size) && !self.node.manner.is_windowed() {
            // Who needs the pages tries again, and tells what is wrong.
            let _ = self.node.page_frame(&self.handle, 0, Ahead::Pages(WHOLE / PAGE), size);
        }
    }

    fn cached_pages(&self, first: u64, count: u64, tell: &mut dyn FnMut(u64, &[Frame])) {
        if self.node.manner.is_windowed() {
            let end = self.node.last_size().div_ceil(PAGE).min(first + count);
            return self.node.window_frames(first, end, self.access.write, tell);
        }
        self.node.cached_pages(first, count, tell);
    }

    fn large_page(&self, first: u64) -> Option<LargeFrame> {
        let is_within = first.checked_add(512)? <= self.node.last_size() / PAGE;
        if is_within && self.node.manner.is_windowed() {
            self.node.window_large(first, self.access.write)
        } else {
            None
        }
    }

    fn pages_now(&self) -> Option<u64> {
        if !self.node.manner.is_windowed() {
            return None;
        }
        self.node.expire();
        self.node.attributes().ok().map(|now| now.size().div_ceil(PAGE))
    }

    fn write_back(&self, index: u64, frame: &Frame) -> Result<(), Errno> {
        if frame.is_in_window() {
            // It is the host's own page.
            return Ok(());
        }
        let offset = index.checked_mul(PAGE).ok_or(Errno::EINVAL)?;
        let len = to_usize(self.node.attributes()?.size().saturating_sub(offset)).min(PAGE_SIZE);
        let mut done = 0;
        while done < len {
            let part = segment::of_frame(frame, done, len - done);
            let target = Target { offset: offset + done as u64, flags: 0 };
            match self.write_out(target, len - done, &[part])? {
                0 => return Err(Errno::EIO),
                taken => done += taken,
            }
        }
        self.node.outdate();
        Ok(())
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        self.node.sync(Opcode::Sync, &self.handle, data_only)
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let number = self.handle.number()?;
        let mut exchange = self.node.volume.session.begin(Opcode::Allocate, self.node.id)?;
        exchange.words([number, offset, len, fuse::pair(mode, 0)]);
        match exchange.call(0, Data::None) {
            Ok(_) => {}
            Err(Errno::ENOSYS) => return Err(Errno::EOPNOTSUPP),
            Err(errno) => return Err(errno),
        }
        drop(exchange);
        self.node.outdate();
        if mode != 0 {
            // Holes and the like change contents, of cached pages too.
            self.node.refresh_pages();
        }
        Ok(())
    }
}
