//! Bytes on their way: a ring in frames that come when they are first needed.
//!
//! ```text
//! frame 0     frame 1     …     last frame
//! ........xxx|xxxxxxxxxxx| … |..........       x: bytes that were written and not yet read
//!         ^read                             write = (read + len) mod capacity
//! ```
//!
//! Whenever it runs empty it starts again at its first frame, and gives back those that small traffic does not need.

use crate::io::{Destination, KernelDestination, KernelSource, Source};
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;

/// Frames that an empty ring keeps.
const KEPT: usize = 16;

/// The right of a ring to have one frame more, given back when it is dropped.
pub trait Right: Sized {
    /// What a writer is told if there is no frame.
    const NO_FRAME: Errno;

    /// Takes it.
    fn take() -> Result<Self, Errno>;
}

/// As many frames as there are.
#[derive(Debug)]
pub struct Unlimited;

impl Right for Unlimited {
    const NO_FRAME: Errno = Errno::ENOMEM;

    fn take() -> Result<Self, Errno> {
        Ok(Self)
    }
}

/// A ring of bytes, each of whose frames needs a right.
#[derive(Debug)]
pub struct Ring<R> {
    frames: Vec<(Frame, R)>,
    /// Bytes that fit, a multiple of the page size.
    capacity: usize,
    read: usize,
    len: usize,
}

impl<R: Right> Ring<R> {
    /// An empty ring for at least `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, 1 << 30).next_multiple_of(PAGE_SIZE);
        Self { frames: Vec::new(), capacity, read: 0, len: 0 }
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// Bytes that fit in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Copies up to `most` bytes that lie `skip` bytes behind the front, and leaves them where they are.
    pub fn copy(&self, skip: usize, most: usize, to: &mut dyn Destination) -> Result<usize, Errno> {
        let most = most.min(self.len.saturating_sub(skip));
        let mut total = 0;
        while total < most && to.remaining() > 0 {
            let at = (self.read + skip + total) % self.capacity;
            let offset = at % PAGE_SIZE;
            let len = (most - total).min(PAGE_SIZE - offset).min(to.remaining());
            let Some((frame, _)) = self.frames.get(at / PAGE_SIZE) else { break };
            match to.put_frame(frame, offset, len) {
                Ok(0) => break,
                Ok(len) => total += len,
                Err(_) if total > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(total)
    }

    /// Moves bytes out.
    pub fn take(&mut self, to: &mut dyn Destination) -> Result<usize, Errno> {
        let len = self.copy(0, self.len, to)?;
        self.consume(len);
        Ok(len)
    }

    /// Makes it one for at least `capacity` bytes. EBUSY if more are in it.
    pub fn resize(&mut self, capacity: usize) -> Result<(), Errno> {
        let mut other = Self::new(capacity);
        if other.capacity < self.len {
            return Err(Errno::EBUSY);
        }
        let mut bytes = alloc::vec![0; PAGE_SIZE];
        while other.len < self.len {
            let len = (self.len - other.len).min(bytes.len());
            let copied = self.copy(other.len, len, &mut KernelDestination(&mut bytes[..len]))?;
            if copied == 0 || other.put(copied, &mut KernelSource(&bytes[..copied]))? < copied {
                return Err(R::NO_FRAME);
            }
        }
        *self = other;
        Ok(())
    }

    /// Forgets `len` bytes at the front.
    pub fn consume(&mut self, len: usize) {
        let len = len.min(self.len);
        self.read = (self.read + len) % self.capacity;
        self.len -= len;
        if self.len == 0 {
            self.read = 0;
            self.frames.truncate(KEPT);
        }
    }

    /// Moves up to `len` bytes in before the front, where there is room for them.
    pub fn put_back(&mut self, len: usize, from: &mut dyn Source) -> Result<(), Errno> {
        let mut left = len.min(self.room()).min(from.remaining());
        if left == 0 {
            return Ok(());
        }
        let start = if self.len == 0 { 0 } else { (self.read + self.capacity - left) % self.capacity };
        // The frames first, so that nothing fails in the middle.
        for at in (start..start + left).step_by(PAGE_SIZE).chain([start + left - 1]) {
            self.frame(at % self.capacity / PAGE_SIZE)?;
        }
        self.read = start;
        let mut done = 0;
        while left > 0 {
            let at = (start + done) % self.capacity;
            let offset = at % PAGE_SIZE;
            let frame = self.frame(at / PAGE_SIZE)?;
            let len = from.take_to_frame(&frame, offset, left.min(PAGE_SIZE - offset))?;
            if len == 0 {
                break;
            }
            (done, left) = (done + len, left - len);
        }
        self.len += done;
        Ok(())
    }

    /// Moves bytes in, as many as fit and at most `most`.
    pub fn put(&mut self, most: usize, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut total = 0;
        while total < most && self.len < self.capacity && from.remaining() > 0 {
            let write = (self.read + self.len) % self.capacity;
            let offset = write % PAGE_SIZE;
            let len = self.room().min(PAGE_SIZE - offset).min(most - total);
            match self.frame(write / PAGE_SIZE).and_then(|frame| from.take_to_frame(&frame, offset, len)) {
                Ok(0) => break,
                Ok(len) => {
                    self.len += len;
                    total += len;
                }
                Err(_) if total > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(total)
    }

    fn frame(&mut self, index: usize) -> Result<Frame, Errno> {
        while self.frames.len() <= index {
            let right = R::take()?;
            self.frames.push((Frame::uninit().ok_or(R::NO_FRAME)?, right));
        }
        Ok(self.frames[index].0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{KernelDestination, KernelSource};

    #[test]
    fn another_size_keeps_what_is_in_it() {
        let mut ring: Ring<Unlimited> = Ring::new(2 * PAGE_SIZE);
        let bytes: Vec<u8> = (0..=250).cycle().take(2 * PAGE_SIZE).collect();
        let mut out = alloc::vec![0; PAGE_SIZE];
        ring.put(usize::MAX, &mut KernelSource(&bytes)).unwrap();
        ring.take(&mut KernelDestination(&mut out)).unwrap();
        ring.put(usize::MAX, &mut KernelSource(&bytes[..100])).unwrap();
        assert_eq!(ring.resize(PAGE_SIZE), Err(Errno::EBUSY));
        ring.resize(4 * PAGE_SIZE).unwrap();
        assert_eq!((ring.capacity(), ring.len()), (4 * PAGE_SIZE, PAGE_SIZE + 100));
        let mut out = alloc::vec![0; PAGE_SIZE + 100];
        assert_eq!(ring.take(&mut KernelDestination(&mut out)), Ok(PAGE_SIZE + 100));
        assert_eq!((&out[..PAGE_SIZE], &out[PAGE_SIZE..]), (&bytes[PAGE_SIZE..], &bytes[..100]));
        ring.resize(PAGE_SIZE).unwrap();
        assert_eq!(ring.room(), PAGE_SIZE);
    }

    #[test]
    fn bytes_come_out_in_order_around_the_ring() {
        let mut ring = Ring::<Unlimited>::new(10_000);
        assert_eq!(ring.capacity(), 12_288);
        let (mut written, mut expected) = (0u8, 0u8);
        for round in 0..50 {
            let bytes: Vec<u8> = (0..=255u8).cycle().skip(usize::from(written)).take(5000).collect();
            let len = ring.put(usize::MAX, &mut KernelSource(&bytes)).unwrap();
            written = written.wrapping_add(len.to_le_bytes()[0]);
            let mut out = alloc::vec![0; 1000 + round * 100];
            let len = ring.copy(0, usize::MAX, &mut KernelDestination(&mut out)).unwrap();
            for byte in &out[..len] {
                assert_eq!(*byte, expected);
                expected = expected.wrapping_add(1);
            }
            ring.consume(len);
        }
    }

    #[test]
    fn looking_takes_nothing() {
        let mut ring = Ring::<Unlimited>::new(4096);
        ring.put(5, &mut KernelSource(b"hello world")).unwrap();
        let mut out = [0; 3];
        assert_eq!(ring.copy(2, 10, &mut KernelDestination(&mut out)), Ok(3));
        assert_eq!((&out, ring.len(), ring.room()), (b"llo", 5, 4091));
    }

    #[test]
    fn bytes_that_are_put_back_come_out_first() {
        let mut ring = Ring::<Unlimited>::new(8192);
        for round in 0..40 {
            ring.put(3000, &mut KernelSource(&[1; 3000])).unwrap();
            ring.consume(3000 - 7);
            let back: alloc::vec::Vec<u8> =
                (0..5000).map(|index| u8::try_from(index % 251).unwrap()).collect();
            ring.put_back(5000, &mut KernelSource(&back)).unwrap();
            let mut bytes = [0; 5007];
            assert_eq!(ring.take(&mut KernelDestination(&mut bytes)), Ok(5007), "round {round}");
            assert_eq!((&bytes[..5000], &bytes[5000..]), (&back[..], &[1; 7][..]), "round {round}");
            // The next round begins elsewhere.
            ring.put(100 + round, &mut KernelSource(&[2; 200])).unwrap();
            ring.put(1, &mut KernelSource(&[3])).unwrap();
            ring.consume(100 + round);
            assert_eq!(ring.len(), 1);
            ring.consume(1);
        }
    }
}
