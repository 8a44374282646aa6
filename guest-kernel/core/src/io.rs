//! How bytes move between a file and whoever reads or writes it, without a file knowing who that is.
//!
//! A read is given a [`Destination`], a write a [`Source`]: the program's memory or the kernel's. Both keep
//! their own position. A file that has its bytes in kernel memory copies them over; one whose device can move
//! data itself [pins](Destination::pin) the frames behind the program's memory, so that the device
//! reads or writes them with no copy in between.

use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::{Frame, Pin};

/// A piece of memory that stays where it is for as long as this lives.
#[derive(Debug)]
pub struct Pinned {
    /// The frame.
    pub frame: Frame,
    /// First byte in the frame.
    pub offset: usize,
    /// Bytes; never beyond the frame's end.
    pub len: usize,
    /// Keeps a frame that a device fills the one that the program sees.
    pub pin: Option<Pin>,
}

/// Memory that a read fills, front to back.
pub trait Destination {
    /// Bytes that still fit.
    fn remaining(&self) -> usize;

    /// Copies `bytes` to the front and moves on. Returns how many fit; EFAULT if not one could be stored.
    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Copies `len` bytes at `offset` of `frame`, as [`put`](Self::put).
    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno>;

    /// Makes up to `max` bytes at the front present and writable, and appends them to `pieces` without
    /// moving on ([`advance`](Self::advance) does, when the device is done). Returns their number, or `None` if this memory cannot be pinned.
    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>>;

    /// Moves on by `len` bytes that a device has stored.
    fn advance(&mut self, len: usize);
}

/// Memory that a write empties, front to back.
pub trait Source {
    /// Bytes that are left.
    fn remaining(&self) -> usize;

    /// Copies from the front to `bytes` and moves on. Returns how many there were; EFAULT if not one could be read.
    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno>;

    /// Copies up to `len` bytes to `offset` of `frame`, as [`take`](Self::take).
    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno>;

    /// As [`Destination::pin`], for reading.
    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>>;

    /// Moves on by `len` bytes that a device has taken.
    fn advance(&mut self, len: usize);
}

/// Kernel memory as a destination: what is left of the slice.
pub struct KernelDestination<'a>(pub &'a mut [u8]);

impl Destination for KernelDestination<'_> {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.0.len());
        let (front, rest) = core::mem::take(&mut self.0).split_at_mut(len);
        front.copy_from_slice(&bytes[..len]);
        self.0 = rest;
        Ok(len)
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let len = len.min(self.0.len());
        let (front, rest) = core::mem::take(&mut self.0).split_at_mut(len);
        frame.read(offset, front);
        self.0 = rest;
        Ok(len)
    }

    fn pin(&mut self, _max: usize, _pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        None
    }

    fn advance(&mut self, len: usize) {
        let len = len.min(self.0.len());
        self.0 = &mut core::mem::take(&mut self.0)[len..];
    }
}

/// Kernel memory as a source: what is left of the slice.
pub struct KernelSource<'a>(pub &'a [u8]);

impl Source for KernelSource<'_> {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.0.len());
        bytes[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }

    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let len = len.min(self.0.len());
        frame.write(offset, &self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }

    fn pin(&mut self, _max: usize, _pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        None
    }

    fn advance(&mut self, len: usize) {
        self.0 = &self.0[len.min(self.0.len())..];
    }
}

/// The first bytes of another source.
pub struct Limited<'a> {
    /// The other.
    pub source: &'a mut dyn Source,
    /// How many are left of them.
    pub room: usize,
}

impl Limited<'_> {
    fn used(&mut self, len: Result<usize, Errno>) -> Result<usize, Errno> {
        let len = len?;
        self.room -= len.min(self.room);
        Ok(len)
    }
}

impl Source for Limited<'_> {
    fn remaining(&self) -> usize {
        self.source.remaining().min(self.room)
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.room);
        let taken = self.source.take(&mut bytes[..len]);
        self.used(taken)
    }

    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let taken = self.source.take_to_frame(frame, offset, len.min(self.room));
        self.used(taken)
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        self.source.pin(max.min(self.room), pieces)
    }

    fn advance(&mut self, len: usize) {
        self.room -= len.min(self.room);
        self.source.advance(len);
    }
}
