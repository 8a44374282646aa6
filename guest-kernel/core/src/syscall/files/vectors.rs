//! `iovec`: several pieces of the program's memory as one.

use super::FileContext;
use super::arguments::{MOST_BYTES, field, size};
use crate::io::{Destination, Pinned, Source};
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;

/// UIO_MAXIOV
const MOST: usize = 1024;

/// The pieces that are left, the first one's used part cut off.
pub struct Vectors<'a, C> {
    ctx: &'a C,
    /// Address and length.
    pieces: Vec<(u64, usize)>,
    /// The first piece that is left.
    index: usize,
    remaining: usize,
}

impl<'a, C: FileContext> Vectors<'a, C> {
    /// The `count` vectors at `address`. EINVAL if there are too many, or too many bytes for a number.
    pub fn read(ctx: &'a C, address: u64, count: usize) -> Result<Self, Errno> {
        if count > MOST {
            return Err(Errno::EINVAL);
        }
        let mut bytes = alloc::vec![0; count * 16];
        ctx.copy_in(address, &mut bytes)?;
        let mut total = 0usize;
        let mut pieces = Vec::with_capacity(count);
        for vector in bytes.chunks_exact(16) {
            let len = size(field(vector, 8));
            if len > usize::MAX / 2 {
                return Err(Errno::EINVAL);
            }
            let len = len.min(MOST_BYTES - total);
            total += len;
            pieces.push((field(vector, 0), len));
        }
        Ok(Self { ctx, pieces, index: 0, remaining: total })
    }

    /// The first piece that is not empty.
    fn first(&mut self) -> Option<(u64, usize)> {
        while let Some(&(address, len)) = self.pieces.get(self.index) {
            if len > 0 {
                return Some((address, len));
            }
            self.index += 1;
        }
        None
    }

    fn skip(&mut self, mut len: usize) {
        while len > 0 && self.first().is_some() {
            let (address, left) = &mut self.pieces[self.index];
            let step = len.min(*left);
            *address = address.wrapping_add(step as u64);
            *left -= step;
            self.remaining -= step;
            len -= step;
        }
    }

    /// Moves up to `len` bytes by `step`, which is given address, length of a piece, and bytes moved before.
    fn each(
        &mut self,
        len: usize,
        mut step: impl FnMut(&'a C, u64, usize, usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut total = 0;
        while total < len {
            let Some((address, left)) = self.first() else { break };
            let wanted = left.min(len - total);
            match step(self.ctx, address, wanted, total) {
                Ok(moved) => {
                    self.skip(moved);
                    total += moved;
                    if moved < wanted {
                        break;
                    }
                }
                Err(_) if total > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(total)
    }

    /// Pins up to `max` bytes by `pin`, which is given address and length of a piece.
    fn pin_each(
        &self,
        max: usize,
        mut pin: impl FnMut(u64, usize) -> Option<Result<usize, Errno>>,
    ) -> Option<Result<usize, Errno>> {
        let mut total = 0;
        for &(address, len) in &self.pieces[self.index..] {
            let wanted = len.min(max - total);
            if wanted == 0 {
                continue;
            }
            match pin(address, wanted) {
                None if total == 0 => return None,
                None => break,
                Some(Ok(pinned)) => {
                    total += pinned;
                    if pinned < wanted {
                        break;
                    }
                }
                Some(Err(_)) if total > 0 => break,
                Some(Err(errno)) => return Some(Err(errno)),
            }
        }
        Some(Ok(total))
    }
}

impl<C: FileContext> Destination for Vectors<'_, C> {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.each(bytes.len(), |ctx, address, len, done| {
            ctx.destination(address, len)?.put(&bytes[done..done + len])
        })
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        self.each(len, |ctx, address, len, done| {
            ctx.destination(address, len)?.put_frame(frame, offset + done, len)
        })
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        let ctx = self.ctx;
        self.pin_each(max, |address, len| match ctx.destination(address, len) {
            Ok(mut destination) => destination.pin(len, pieces),
            Err(errno) => Some(Err(errno)),
        })
    }

    fn advance(&mut self, len: usize) {
        self.skip(len);
    }
}

impl<C: FileContext> Source for Vectors<'_, C> {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        self.each(bytes.len(), |ctx, address, len, done| {
            ctx.source(address, len)?.take(&mut bytes[done..done + len])
        })
    }

    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        self.each(len, |ctx, address, len, done| {
            ctx.source(address, len)?.take_to_frame(frame, offset + done, len)
        })
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        let ctx = self.ctx;
        self.pin_each(max, |address, len| match ctx.source(address, len) {
            Ok(mut source) => source.pin(len, pieces),
            Err(errno) => Some(Err(errno)),
        })
    }

    fn advance(&mut self, len: usize) {
        self.skip(len);
    }
}
