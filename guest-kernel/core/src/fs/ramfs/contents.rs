//! The bytes of a regular file in memory.
//!
//! The lock is never held while bytes move to or from a program: its memory may be a mapping of this very file,
//! and touching it may come back here for a page. So every piece is moved with a reference to its frame, and a new page is
//! filled before it becomes part of the file.

use super::super::pages::Pages;
use super::{MAX_SIZE, RamFs, Seal, Seals};
use crate::io::{Destination, Source};
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::ops::Range;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::Mutex;

const PAGE: u64 = PAGE_SIZE as u64;
/// What holes read as, a piece at a time.
static ZEROS: [u8; 512] = [0; 512];

/// Size and pages. Beyond the size, pages there are hold zeros.
#[derive(Default)]
struct Inner {
    size: u64,
    pages: Pages,
}

/// The contents of a regular file.
pub struct Contents {
    fs: Arc<RamFs>,
    inner: Mutex<Inner>,
    /// What may not be done to it.
    pub seals: Seals,
    /// Held from reading the size to having written there.
    appending: Mutex<()>,
}

/// The page of `offset`, the offset in it, and how much of `len` lies in it.
fn piece(offset: u64, len: usize) -> (u64, usize, usize) {
    let in_page = usize::try_from(offset % PAGE).unwrap_or(0);
    (offset / PAGE, in_page, len.min(PAGE_SIZE - in_page))
}

impl Contents {
    pub fn new(fs: Arc<RamFs>) -> Self {
        Self { fs, inner: Mutex::default(), seals: Seals::default(), appending: Mutex::new(()) }
    }

    pub fn size(&self) -> u64 {
        self.inner.lock().size
    }

    /// Size in bytes, and pages it takes.
    pub fn extent(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.size, inner.pages.count())
    }

    pub fn read(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let mut total = 0;
        loop {
            let at = offset.saturating_add(total as u64);
            let (frame, in_page, len) = {
                let inner = self.inner.lock();
                let left = usize::try_from(inner.size.saturating_sub(at)).unwrap_or(usize::MAX);
                let (index, in_page, len) = piece(at, left.min(to.remaining()));
                if len == 0 {
                    return Ok(total);
                }
                (inner.pages.get(index).cloned(), in_page, len)
            };
            let moved = match frame {
                Some(frame) => to.put_frame(&frame, in_page, len),
                None => to.put(&ZEROS[..len.min(ZEROS.len())]),
            };
            match moved {
                Ok(0) => return Ok(total),
                Ok(len) => total += len,
                Err(_) if total > 0 => return Ok(total),
                Err(errno) => return Err(errno),
            }
        }
    }

    pub fn write(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let seals = self.seals.get();
        if seals.intersects(Seal::WRITE | Seal::FUTURE_WRITE) {
            return Err(Errno::EPERM);
        }
        let mut total = 0;
        while from.remaining() > 0 {
            let at = offset + total as u64;
            let (index, in_page, len) = piece(at, from.remaining());
            if seals.contains(Seal::GROW) && at + len as u64 > self.size() {
                if total == 0 {
                    return Err(Errno::EPERM);
                }
                break;
            }
            match self.write_piece(index, in_page, len, from) {
                Ok(0) => break,
                Ok(len) => {
                    let mut inner = self.inner.lock();
                    inner.size = inner.size.max(at + len as u64);
                    total += len;
                }
                Err(_) if total > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(total)
    }

    /// Writes at the end. Returns how much, and where the end is then.
    pub fn append(&self, from: &mut dyn Source) -> Result<(usize, u64), Errno> {
        let _appending = self.appending.lock();
        let end = self.size();
        if from.remaining() as u64 > MAX_SIZE - end {
            return Err(Errno::EFBIG);
        }
        self.write(end, from).map(|len| (len, end + len as u64))
    }

    /// Writes `len` bytes to page `index`; they lie in it.
    fn write_piece(
        &self,
        index: u64,
        in_page: usize,
        len: usize,
        from: &mut dyn Source,
    ) -> Result<usize, Errno> {
        let present = self.inner.lock().pages.get(index).cloned();
        if let Some(frame) = present {
            return from.take_to_frame(&frame, in_page, len);
        }
        let frame = self.fs.take_frame(Frame::uninit)?;
        let moved = from.take_to_frame(&frame, in_page, len);
        let filled = moved.unwrap_or(0);
        if filled == 0 {
            self.fs.give_back(1);
            return moved;
        }
        frame.clear(0, in_page);
        frame.clear(in_page + filled, PAGE_SIZE - in_page - filled);
        let mut inner = self.inner.lock();
        if let Some(faster) = inner.pages.get(index) {
            // Another thread made the page meanwhile: add to it what was read.
            let mut bytes = alloc::vec![0; filled];
            frame.read(in_page, &mut bytes);
            faster.write(in_page, &bytes);
            self.fs.give_back(1);
        } else {
            inner.pages.insert(index, frame);
        }
        moved
    }

    /// Makes the size `size`; what is cut off is freed. EPERM if the file is sealed against that.
    pub fn set_size(&self, size: u64) -> Result<(), Errno> {
        let mut inner = self.inner.lock();
        match size.cmp(&inner.size) {
            Ordering::Less => self.seals.check(Seal::SHRINK)?,
            Ordering::Greater => self.seals.check(Seal::GROW)?,
            Ordering::Equal => {}
        }
        if size < inner.size {
            let before = inner.pages.count();
            inner.pages.truncate(size.div_ceil(PAGE));
            let (index, in_page, _) = piece(size, 0);
            if let Some(frame) = inner.pages.get(index) {
                frame.clear(in_page, PAGE_SIZE - in_page);
            }
            self.fs.give_back(before - inner.pages.count());
        }
        inner.size = size;
        Ok(())
    }

    /// The frame of page `index`, made if it is a hole; `None` beyond the end.
    pub fn page(&self, index: u64) -> Result<Option<Frame>, Errno> {
        let mut inner = self.inner.lock();
        if index >= inner.size.div_ceil(PAGE) {
            return Ok(None);
        }
        if let Some(frame) = inner.pages.get(index) {
            return Ok(Some(frame.clone()));
        }
        let frame = self.fs.take_frame(Frame::zeroed)?;
        inner.pages.insert(index, frame.clone());
        Ok(Some(frame))
    }

    /// Makes page `index` be `frame`, which nobody else changes; used by copy-up.
    pub fn set_page(&self, index: u64, frame: Frame) -> Result<(), Errno> {
        let frame = self.fs.take_frame(|| Some(frame))?;
        if self.inner.lock().pages.insert(index, frame).is_some() {
            self.fs.give_back(1);
        }
        Ok(())
    }

    /// Makes `range` (bytes) read as zeros, freeing the whole pages in it.
    pub fn punch(&self, range: Range<u64>) {
        let mut inner = self.inner.lock();
        let before = inner.pages.count();
        let (first, last) = (range.start.div_ceil(PAGE), range.end / PAGE);
        // What is mapped somewhere stays the file's, and is zeros there too.
        let mut hole = first;
        for index in first..last.max(first).min(inner.size.div_ceil(PAGE)) {
            if let Some(frame) = inner.pages.get(index).filter(|frame| !frame.is_unique()) {
                frame.clear(0, PAGE_SIZE);
                inner.pages.punch(hole..index);
                hole = index + 1;
            }
        }
        inner.pages.punch(hole..last.max(hole));
        self.fs.give_back(before - inner.pages.count());
        let clear = |from: u64, to: u64| {
            let (index, in_page, len) = piece(from, usize::try_from(to.saturating_sub(from)).unwrap_or(0));
            if let Some(frame) = inner.pages.get(index) {
                frame.clear(in_page, len);
            }
        };
        clear(range.start, range.end.min(first * PAGE));
        if last >= first {
            clear(last * PAGE, range.end);
        }
    }

    /// Gives every page of `range` (bytes) a frame. What was got stays if memory runs out.
    pub fn reserve(&self, range: Range<u64>) -> Result<(), Errno> {
        for index in range.start / PAGE..range.end.div_ceil(PAGE) {
            let mut inner = self.inner.lock();
            if inner.pages.get(index).is_none() {
                let frame = self.fs.take_frame(Frame::zeroed)?;
                inner.pages.insert(index, frame);
            }
        }
        Ok(())
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.fs.give_back(self.inner.get_mut().pages.count());
    }
}
