//! Standard output and error: the device reads the program's own pages.
//!
//! A write returns when the host has written: what a program's `write` reported is out, and its error belongs to
//! it.

use super::Messages;
use crate::platform;
use crate::virtio::queue::{Queue, Segment};
use crate::virtio::segment;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{File, poll};
use septum_guest_core::io::{Pinned, Source};
use septum_guest_hal::sync::Mutex;

/// Most bytes in one request: with any alignment, 64 pages.
const CHUNK: usize = 63 * PAGE_SIZE;

/// Lists that are kept so that a write allocates nothing.
#[derive(Default)]
struct Scratch {
    pieces: Vec<Pinned>,
    segments: Vec<Segment>,
}

/// A port that the program writes to.
pub struct Output {
    queue: Queue,
    port: u32,
    messages: Arc<Messages>,
    scratch: Mutex<Scratch>,
}

impl Output {
    pub(super) fn new(queue: Queue, port: u32, messages: Arc<Messages>) -> Self {
        Self { queue, port, messages, scratch: Mutex::default() }
    }

    /// Writes once. Returns how many bytes went out; not 0.
    fn write_some(&self, from: &mut dyn Source, scratch: &mut Scratch) -> Result<usize, Errno> {
        let Scratch { pieces, segments } = scratch;
        let bounce;
        let len = match from.pin(CHUNK, pieces) {
            Some(pinned) => {
                pinned?;
                segment::gather(pieces, segments, usize::from(self.queue.size()))
            }
            None => {
                bounce = platform::new_frame().ok_or(Errno::ENOMEM)?;
                let len = from.take_to_frame(&bounce, 0, PAGE_SIZE)?;
                segments.push(segment::of_frame(&bounce, 0, len));
                len
            }
        };
        let is_pinned = !pieces.is_empty();
        let token = self.queue.submit_blocking(segments, &[])?;
        self.queue.wait(token)?;
        if let Some(errno) = self.messages.take_error(self.port) {
            return Err(errno);
        }
        if is_pinned {
            from.advance(len);
        }
        Ok(len)
    }
}

impl File for Output {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        if self.messages.is_closed(self.port) {
            return Err(Errno::EPIPE);
        }
        let mut scratch = core::mem::take(&mut *self.scratch.lock());
        let mut written = 0;
        let mut result = Ok(());
        while result.is_ok() && from.remaining() > 0 {
            match self.write_some(from, &mut scratch) {
                Ok(len) => written += len,
                Err(errno) => result = Err(errno),
            }
            scratch.pieces.clear();
            scratch.segments.clear();
        }
        *self.scratch.lock() = scratch;
        match result {
            Err(errno) if written == 0 => Err(errno),
            _ => Ok(written),
        }
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u16 {
        if self.messages.is_closed(self.port) { poll::OUT | poll::ERR } else { poll::OUT }
    }
}
