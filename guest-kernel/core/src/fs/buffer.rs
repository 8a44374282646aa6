//! Frames as a place to read to and to write from: how bytes go from one file to another.
//!
//! A [`FrameBuffer`] is first a [`Destination`]; [`turn`](FrameBuffer::turn) makes what was read the contents of a [`Source`].
//! Its frames can be pinned, so that a device reads straight into them.

use crate::io::{Destination, Pinned, Source};
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;

/// Neighbouring bytes in frames that need not be neighbours.
#[derive(Debug)]
pub struct FrameBuffer {
    frames: Vec<Frame>,
    position: usize,
    end: usize,
}

impl FrameBuffer {
    /// Room for `len` bytes; ENOMEM if there is none.
    pub fn new(len: usize) -> Result<Self, Errno> {
        let frames = (0..len.div_ceil(PAGE_SIZE)).map(|_| Frame::uninit().ok_or(Errno::ENOMEM));
        Ok(Self { frames: frames.collect::<Result<_, _>>()?, position: 0, end: len })
    }

    /// Makes what was put in the contents, to be taken from the start.
    pub fn turn(&mut self) {
        self.end = self.position;
        self.position = 0;
    }

    /// The frames; what was not filled of them is unspecified.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        self.frames
    }

    /// Calls `step` with frame, offset, length and bytes done before, for the next `len` bytes.
    fn each(&mut self, len: usize, mut step: impl FnMut(&Frame, usize, usize, usize)) -> usize {
        let len = len.min(self.end - self.position);
        let mut done = 0;
        while done < len {
            let offset = self.position % PAGE_SIZE;
            let piece = (len - done).min(PAGE_SIZE - offset);
            let Some(frame) = self.frames.get(self.position / PAGE_SIZE) else { break };
            step(frame, offset, piece, done);
            self.position += piece;
            done += piece;
        }
        done
    }

    fn pin_all(&self, max: usize, pieces: &mut Vec<Pinned>) -> usize {
        let end = self.end.min(self.position.saturating_add(max));
        let mut at = self.position;
        while at < end {
            let offset = at % PAGE_SIZE;
            let len = (end - at).min(PAGE_SIZE - offset);
            let Some(frame) = self.frames.get(at / PAGE_SIZE) else { break };
            pieces.push(Pinned { frame: frame.clone(), offset, len, pin: None });
            at += len;
        }
        at - self.position
    }
}

/// Copies between frames.
fn copy(from: &Frame, from_offset: usize, to: &Frame, to_offset: usize, len: usize) {
    if len == PAGE_SIZE {
        return to.copy_from(from);
    }
    let mut bytes = [0; 512];
    for done in (0..len).step_by(bytes.len()) {
        let piece = &mut bytes[..(len - done).min(512)];
        from.read(from_offset + done, piece);
        to.write(to_offset + done, piece);
    }
}

impl Destination for FrameBuffer {
    fn remaining(&self) -> usize {
        self.end - self.position
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        Ok(self.each(bytes.len(), |frame, offset, len, done| frame.write(offset, &bytes[done..done + len])))
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        Ok(self.each(len, |to, to_offset, len, done| copy(frame, offset + done, to, to_offset, len)))
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        Some(Ok(self.pin_all(max, pieces)))
    }

    fn advance(&mut self, len: usize) {
        self.position = self.end.min(self.position + len);
    }
}

impl Source for FrameBuffer {
    fn remaining(&self) -> usize {
        self.end - self.position
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let len = bytes.len();
        Ok(self.each(len, |frame, offset, len, done| frame.read(offset, &mut bytes[done..done + len])))
    }

    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        Ok(self.each(len, |from, from_offset, len, done| copy(from, from_offset, frame, offset + done, len)))
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        Some(Ok(self.pin_all(max, pieces)))
    }

    fn advance(&mut self, len: usize) {
        self.position = self.end.min(self.position + len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_across_frames() {
        let bytes: Vec<u8> = (0..=250u8).cycle().take(9000).collect();
        let mut buffer = FrameBuffer::new(9000).unwrap();
        for piece in bytes.chunks(700) {
            assert_eq!(buffer.put(piece), Ok(piece.len()));
        }
        assert_eq!(buffer.put(b"x"), Ok(0));
        buffer.turn();
        let mut second = FrameBuffer::new(9000).unwrap();
        let frame = Frame::zeroed().unwrap();
        while Source::remaining(&buffer) > 0 {
            let len = buffer.take_to_frame(&frame, 100, 1000).unwrap();
            second.put_frame(&frame, 100, len).unwrap();
        }
        second.turn();
        let mut out = alloc::vec![0; 9000];
        assert_eq!(second.take(&mut out), Ok(9000));
        assert_eq!(out, bytes);
    }
}
