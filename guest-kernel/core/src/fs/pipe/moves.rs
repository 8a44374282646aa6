//! Moving bytes between a pipe and another file without the program's memory (`splice`, `tee`).
//!
//! ```text
//!   file ── read ──> buffer ── fill ──> pipe     Reservation: its room was kept free meanwhile
//!   pipe ── lend ──> buffer ── write ─> file     Loan: what could not be written goes back to the pipe's front
//! ```
//!
//! No lock is held while the other file is read or written, and nothing is lost, because room in the pipe is kept free for as
//! long as bytes are on their way. Nothing waits here but the two functions whose names say so.

use super::{Contents, Pipe};
use crate::fs::buffer::FrameBuffer;
use crate::io::Source;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;

/// Most bytes that are on their way at once: what a buffer's frames are taken for.
const MOST: usize = 1 << 20;

impl Pipe {
    /// Waits until there is something to read, or nobody who writes.
    pub fn wait_for_bytes(&self) -> Result<(), Errno> {
        let is_ready = || !self.contents.lock().ring.is_empty() || self.writers.load(Ordering::SeqCst) == 0;
        self.queue.wait_until(|| is_ready().then_some(()))
    }

    /// Waits until there is room, or nobody who reads.
    pub fn wait_for_room(&self) -> Result<(), Errno> {
        let is_ready = || {
            let mut contents = self.contents.lock();
            let has_room = contents.room() > 0;
            if !has_room {
                contents.await_room(1);
            }
            has_room || self.readers.load(Ordering::SeqCst) == 0
        };
        self.queue.wait_until(|| is_ready().then_some(()))
    }

    /// Keeps room free for up to `most` bytes. EPIPE if nobody reads, EAGAIN if there is none.
    pub fn reserve(&self, most: usize) -> Result<Reservation<'_>, Errno> {
        if self.readers.load(Ordering::SeqCst) == 0 {
            return Err(Errno::EPIPE);
        }
        let mut contents = self.contents.lock();
        let len = contents.room().min(most).min(MOST);
        if len == 0 {
            return Err(Errno::EAGAIN);
        }
        contents.kept_free += len;
        Ok(Reservation { pipe: self, len })
    }

    /// Takes up to `most` bytes out, none at the end. EAGAIN if there is nothing yet.
    pub fn lend(&self, most: usize) -> Result<Loan<'_>, Errno> {
        let mut buffer = self.buffer(most)?;
        let mut contents = self.contents.lock();
        self.check_for_bytes(&contents)?;
        let len = contents.ring.take(&mut buffer)?;
        contents.kept_free += len;
        drop(contents);
        buffer.turn();
        Ok(Loan { pipe: self, buffer, len })
    }

    /// Copies up to `most` bytes, which stay where they are, none at the end. EAGAIN if there is nothing yet.
    pub fn peek(&self, most: usize) -> Result<FrameBuffer, Errno> {
        let mut buffer = self.buffer(most)?;
        let contents = self.contents.lock();
        self.check_for_bytes(&contents)?;
        contents.ring.copy(0, most, &mut buffer)?;
        drop(contents);
        buffer.turn();
        Ok(buffer)
    }

    /// A buffer for what is in it, up to `most` bytes.
    fn buffer(&self, most: usize) -> Result<FrameBuffer, Errno> {
        let contents = self.contents.lock();
        self.check_for_bytes(&contents)?;
        let len = contents.ring.len();
        drop(contents);
        FrameBuffer::new(len.min(most).min(MOST))
    }

    /// EAGAIN if there is nothing to read, and somebody who may still write.
    fn check_for_bytes(&self, contents: &Contents) -> Result<(), Errno> {
        let has_writer = self.writers.load(Ordering::SeqCst) > 0;
        if contents.ring.is_empty() && has_writer { Err(Errno::EAGAIN) } else { Ok(()) }
    }

    /// Gives up room that was kept free.
    fn release(&self, len: usize) {
        let mut contents = self.contents.lock();
        let room = contents.room();
        contents.kept_free = contents.kept_free.saturating_sub(len);
        let _ = contents.has_relieved(room);
        drop(contents);
        self.queue.wake_all();
    }
}

/// Room in a pipe that nobody else can take.
#[derive(Debug)]
pub struct Reservation<'a> {
    pipe: &'a Pipe,
    len: usize,
}

impl Reservation<'_> {
    /// Bytes that fit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Moves bytes in.
    pub fn fill(self, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut contents = self.pipe.contents.lock();
        let len = contents.ring.put(self.len, from)?;
        contents.written = contents.written.wrapping_add(len as u64);
        Ok(len)
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.pipe.release(self.len);
    }
}

/// Bytes that were taken out of a pipe. What is left of them goes back.
#[derive(Debug)]
pub struct Loan<'a> {
    pipe: &'a Pipe,
    /// The bytes.
    pub buffer: FrameBuffer,
    len: usize,
}

impl Loan<'_> {
    /// Bytes that were taken from the buffer.
    #[must_use]
    pub fn used(&self) -> usize {
        self.len - self.buffer.remaining()
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let left = self.buffer.remaining();
        if left > 0 {
            // If memory ran out, the bytes are gone, and there is nobody to tell.
            let _ = self.pipe.contents.lock().ring.put_back(left, &mut self.buffer);
        }
        self.pipe.release(self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::inode::File;
    use crate::fs::pipe::of;
    use crate::io::{Destination as _, KernelDestination, KernelSource};
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    fn read(file: &Arc<dyn File>) -> Vec<u8> {
        let mut bytes = alloc::vec![0; 100];
        let len = file.read_at(0, &mut KernelDestination(&mut bytes)).unwrap();
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn what_is_not_used_of_a_loan_goes_back_to_the_front() {
        let (reader, writer) = Pipe::unnamed().ends();
        let pipe = of(&*reader).unwrap();
        assert_eq!(pipe.lend(10).err(), Some(Errno::EAGAIN));
        writer.write_at(0, &mut KernelSource(b"abcdef")).unwrap();
        let mut loan = pipe.lend(5).unwrap();
        loan.buffer.take(&mut [0; 2]).unwrap();
        writer.write_at(0, &mut KernelSource(b"gh")).unwrap();
        assert_eq!(loan.used(), 2);
        drop(loan);
        assert_eq!(read(&reader), b"cdefgh");
        assert_eq!(pipe.contents.lock().kept_free, 0);
        drop(writer);
        assert_eq!(pipe.lend(5).unwrap().used(), 0);
    }

    #[test]
    fn reserved_room_is_nobody_elses() {
        let (reader, writer) = Pipe::unnamed().ends();
        let pipe = of(&*reader).unwrap();
        pipe.set_capacity(4096, false).unwrap();
        let reservation = pipe.reserve(4000).unwrap();
        assert_eq!(writer.write_at(0, &mut KernelSource(&[0; 97])), Err(Errno::EAGAIN));
        assert_eq!(pipe.reserve(1000).unwrap().len(), 96);
        let mut buffer = FrameBuffer::new(4000).unwrap();
        buffer.put(b"xyz").unwrap();
        buffer.turn();
        assert_eq!(reservation.fill(&mut buffer), Ok(3));
        assert_eq!(read(&reader), b"xyz");
        assert_eq!(pipe.reserve(usize::MAX).unwrap().len(), 4096);
        drop(reader);
        let pipe = of(&*writer).unwrap();
        assert_eq!(pipe.reserve(1).err(), Some(Errno::EPIPE));
    }
}
