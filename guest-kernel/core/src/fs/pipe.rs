//! Pipes and fifos.
//!
//! A [`Pipe`] is a [`Ring`] of at first [`CAPACITY`] bytes, with counts of its open ends. The frames
//! come when they are first needed and stay until the pipe goes.
//!
//! Nothing waits here (see [`File`]): empty with a writer left is EAGAIN, empty without one is the end; full is EAGAIN,
//! without a reader EPIPE (the system call makes the signal of it). A write of at most [`ATOMIC`] bytes goes in as a whole or not at all.

mod moves;

pub use moves::{Loan, Reservation};

use super::inode::{Access, File, poll};
use crate::io::{Destination, Source};
use crate::ring::{Ring, Unlimited};
use crate::wait::WaitQueue;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Bytes that fit.
const CAPACITY: usize = 16 * PAGE_SIZE;
/// Most bytes that fit into the pipe of anyone but user 0 (`/proc/sys/fs/pipe-max-size`), and at all.
const MOST: usize = 1 << 20;
const LARGEST: usize = 1 << 30;
/// PIPE_BUF
pub const ATOMIC: usize = PAGE_SIZE;

/// A pipe.
#[derive(Debug, Default)]
pub struct Pipe {
    contents: Mutex<Contents>,
    readers: AtomicU32,
    writers: AtomicU32,
    /// Ends ever opened, for those who wait for the other end of a fifo.
    readers_ever: AtomicU32,
    writers_ever: AtomicU32,
    /// Nobody waits for the other end of one that has no name: both were there from the start.
    is_unnamed: bool,
    queue: WaitQueue,
}

/// What lies between the ends.
#[derive(Debug)]
struct Contents {
    ring: Ring<Unlimited>,
    /// Room that is kept free: for bytes that are on their way here, and for those taken out that may come back.
    kept_free: usize,
    /// Bytes ever written.
    written: u64,
    /// How often reading made room in a pipe that could not be written.
    relieved: u64,
    /// The least room that a writer waits for; 0: none does.
    awaited: usize,
}

impl Default for Contents {
    fn default() -> Self {
        Self { ring: Ring::new(CAPACITY), kept_free: 0, written: 0, relieved: 0, awaited: 0 }
    }
}

impl Contents {
    /// Bytes that can be written now.
    fn room(&self) -> usize {
        self.ring.room().saturating_sub(self.kept_free)
    }

    /// A writer is to be woken when so many bytes fit.
    fn await_room(&mut self, bytes: usize) {
        self.awaited = if self.awaited == 0 { bytes } else { self.awaited.min(bytes) };
    }

    /// There is more room than before. Whether writers are to be woken: a page has become free, as often as Linux tells them, or as much as one waits for.
    fn has_relieved(&mut self, room_before: usize) -> bool {
        let room = self.room();
        let has_page = room_before < ATOMIC && room >= ATOMIC;
        self.relieved += u64::from(has_page);
        let is_enough = self.awaited != 0 && room >= self.awaited;
        if is_enough {
            self.awaited = 0;
        }
        has_page || is_enough
    }
}

impl Pipe {
    /// A pipe without ends.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A pipe that has no name, without ends.
    #[must_use]
    pub fn unnamed() -> Arc<Self> {
        Arc::new(Self { is_unnamed: true, ..Self::default() })
    }

    /// One end for reading and one for writing.
    #[must_use]
    pub fn ends(self: &Arc<Self>) -> (Arc<dyn File>, Arc<dyn File>) {
        let reader = self.end(Access { read: true, write: false });
        let writer = self.end(Access { read: false, write: true });
        (reader, writer)
    }

    /// Opens a fifo: waits for the other end, unless `is_non_blocking`, which for writing is ENXIO.
    pub fn open(self: &Arc<Self>, access: Access, is_non_blocking: bool) -> Result<Arc<dyn File>, Errno> {
        if self.is_unnamed {
            return Ok(self.end(access));
        }
        if access.write && !access.read && is_non_blocking && self.readers.load(Ordering::SeqCst) == 0 {
            return Err(Errno::ENXIO);
        }
        let (others, ever) = match (access.read, access.write) {
            (true, false) => (&self.writers, &self.writers_ever),
            (false, true) => (&self.readers, &self.readers_ever),
            _ => return Ok(self.end(access)),
        };
        let before = ever.load(Ordering::SeqCst);
        // Another end that waited for this one may be done before this one looks again.
        let is_there = others.load(Ordering::SeqCst) > 0;
        let end = self.end(access);
        if !is_non_blocking {
            // Another end that came and went in between counts.
            let has_come =
                || is_there || others.load(Ordering::SeqCst) > 0 || ever.load(Ordering::SeqCst) != before;
            self.queue.wait_until(|| has_come().then_some(()))?;
        }
        Ok(end)
    }

    /// Bytes that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.contents.lock().ring.capacity()
    }

    /// Lets `bytes` fit, rounded up to a power of two; returns how many do now. EBUSY if more are in it, EPERM if that is more than who is
    /// not user 0 may ask for.
    pub fn set_capacity(&self, bytes: usize, is_privileged: bool) -> Result<usize, Errno> {
        if bytes > LARGEST {
            return Err(Errno::EINVAL);
        }
        let bytes = bytes.max(PAGE_SIZE).next_power_of_two();
        if bytes > MOST && !is_privileged {
            return Err(Errno::EPERM);
        }
        let mut contents = self.contents.lock();
        if contents.ring.len() + contents.kept_free > bytes {
            return Err(Errno::EBUSY);
        }
        contents.ring.resize(bytes)?;
        drop(contents);
        self.queue.wake_all();
        Ok(bytes)
    }

    fn end(self: &Arc<Self>, access: Access) -> Arc<dyn File> {
        let open = |present: &AtomicU32, ever: &AtomicU32| {
            present.fetch_add(1, Ordering::SeqCst);
            ever.fetch_add(1, Ordering::SeqCst);
        };
        if access.read {
            open(&self.readers, &self.readers_ever);
        }
        if access.write {
            open(&self.writers, &self.writers_ever);
        }
        self.queue.wake_all();
        Arc::new(PipeEnd { pipe: Arc::clone(self), access, is_released: AtomicBool::new(false) })
    }
}

/// The pipe that `file` is an end of, if it is one.
#[must_use]
pub fn of(file: &dyn File) -> Option<&Arc<Pipe>> {
    file.as_any().downcast_ref().map(|end: &PipeEnd| &end.pipe)
}

/// An end of a pipe.
#[derive(Debug)]
struct PipeEnd {
    pipe: Arc<Pipe>,
    access: Access,
    is_released: AtomicBool,
}

impl File for PipeEnd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        let mut contents = self.pipe.contents.lock();
        if contents.ring.is_empty() {
            let has_writer = self.pipe.writers.load(Ordering::SeqCst) > 0;
            return if has_writer { Err(Errno::EAGAIN) } else { Ok(0) };
        }
        let room = contents.room();
        let len = contents.ring.take(to)?;
        let is_relief = contents.has_relieved(room);
        drop(contents);
        if is_relief {
            self.pipe.queue.wake_all();
        }
        Ok(len)
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let wanted = from.remaining();
        if wanted == 0 {
            return Ok(0);
        }
        if self.pipe.readers.load(Ordering::SeqCst) == 0 {
            return Err(Errno::EPIPE);
        }
        let mut contents = self.pipe.contents.lock();
        let room = contents.room();
        if room == 0 || (wanted <= ATOMIC && room < wanted) {
            contents.await_room(wanted.min(ATOMIC));
            return Err(Errno::EAGAIN);
        }
        let len = contents.ring.put(room, from)?;
        contents.written = contents.written.wrapping_add(len as u64);
        drop(contents);
        self.pipe.queue.wake_all();
        Ok(len)
    }

    fn poll(&self) -> u16 {
        let (len, room) = {
            let contents = self.pipe.contents.lock();
            (contents.ring.len(), contents.room())
        };
        let mut events = 0;
        if self.access.read {
            events |= if len > 0 { poll::IN } else { 0 };
            events |= if self.pipe.writers.load(Ordering::SeqCst) == 0 { poll::HUP } else { 0 };
        }
        if self.access.write {
            events |= if room >= ATOMIC { poll::OUT } else { 0 };
            events |= if self.pipe.readers.load(Ordering::SeqCst) == 0 { poll::ERR } else { 0 };
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.queue)
    }

    fn edge(&self) -> u64 {
        let contents = self.pipe.contents.lock();
        match (self.access.read, self.access.write) {
            (true, false) => contents.written,
            (false, true) => contents.relieved,
            _ => contents.written.wrapping_add(contents.relieved),
        }
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.pipe.contents.lock().ring.len())
    }

    fn release(&self) {
        if self.is_released.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.access.read {
            self.pipe.readers.fetch_sub(1, Ordering::SeqCst);
        }
        if self.access.write {
            self.pipe.writers.fetch_sub(1, Ordering::SeqCst);
        }
        self.pipe.queue.wake_all();
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{KernelDestination, KernelSource};
    use alloc::vec::Vec;

    fn write(file: &Arc<dyn File>, bytes: &[u8]) -> Result<usize, Errno> {
        file.write_at(0, &mut KernelSource(bytes))
    }

    fn read(file: &Arc<dyn File>, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = alloc::vec![0; len];
        let len = file.read_at(0, &mut KernelDestination(&mut bytes))?;
        bytes.truncate(len);
        Ok(bytes)
    }

    #[test]
    fn bytes_come_out_in_order_around_the_ring() {
        let (reader, writer) = Pipe::new().ends();
        let mut expected = 0u8;
        for round in 0..200usize {
            let bytes: Vec<u8> =
                (0..3000usize).map(|i| ((round * 3000 + i) % 251).to_le_bytes()[0]).collect();
            assert_eq!(write(&writer, &bytes), Ok(3000));
            if round % 2 == 0 {
                continue;
            }
            for byte in read(&reader, 6000).unwrap() {
                assert_eq!(byte, expected);
                expected = (expected + 1) % 251;
            }
        }
    }

    #[test]
    fn empty_is_would_block_until_the_writer_goes() {
        let (reader, writer) = Pipe::new().ends();
        assert_eq!(read(&reader, 1), Err(Errno::EAGAIN));
        assert_eq!(reader.poll(), 0);
        write(&writer, b"x").unwrap();
        drop(writer);
        assert_eq!(reader.poll(), poll::IN | poll::HUP);
        assert_eq!(read(&reader, 10).unwrap(), b"x");
        assert_eq!(read(&reader, 10).unwrap(), b"");
    }

    #[test]
    fn full_is_would_block_and_small_writes_are_whole() {
        let (reader, writer) = Pipe::new().ends();
        let most = alloc::vec![1; CAPACITY + 5];
        assert_eq!(write(&writer, &most), Ok(CAPACITY));
        assert_eq!(write(&writer, b"x"), Err(Errno::EAGAIN));
        assert_eq!(read(&reader, 100).unwrap().len(), 100);
        assert_eq!(write(&writer, &most[..101]), Err(Errno::EAGAIN));
        assert_eq!(write(&writer, &most[..100]), Ok(100));
        drop(reader);
        assert_eq!(write(&writer, b"x"), Err(Errno::EPIPE));
        assert_eq!(writer.poll() & poll::ERR, poll::ERR);
    }

    #[test]
    fn writers_are_woken_when_a_page_has_become_free() {
        let (reader, writer) = Pipe::new().ends();
        let wakes = || writer.wait_queue().unwrap().generation();
        assert_eq!(write(&writer, &alloc::vec![1; CAPACITY]), Ok(CAPACITY));
        let full = wakes();
        assert_eq!(read(&reader, ATOMIC - 1).unwrap().len(), ATOMIC - 1);
        assert_eq!(wakes(), full);
        assert_eq!(writer.poll(), 0);
        assert_eq!(read(&reader, 1).unwrap().len(), 1);
        assert_eq!(wakes(), full + 1);
        assert_eq!(writer.poll(), poll::OUT);
        assert_eq!(read(&reader, ATOMIC).unwrap().len(), ATOMIC);
        assert_eq!(wakes(), full + 1, "nobody waits for more");
    }

    #[test]
    fn a_writer_is_woken_when_what_it_has_left_fits() {
        let (reader, writer) = Pipe::new().ends();
        let wakes = || writer.wait_queue().unwrap().generation();
        let most = alloc::vec![1; CAPACITY];
        assert_eq!(write(&writer, &most), Ok(CAPACITY));
        // It was woken late, and its rest is smaller than a page.
        assert_eq!(read(&reader, ATOMIC + 1000).unwrap().len(), ATOMIC + 1000);
        assert_eq!(write(&writer, &most[..ATOMIC + 1500]), Ok(ATOMIC + 1000));
        assert_eq!(write(&writer, &most[..500]), Err(Errno::EAGAIN));
        let full = wakes();
        assert_eq!(read(&reader, 499).unwrap().len(), 499);
        assert_eq!(wakes(), full);
        assert_eq!(read(&reader, 1).unwrap().len(), 1);
        assert_eq!(wakes(), full + 1);
        assert_eq!(write(&writer, &most[..500]), Ok(500));
    }

    #[test]
    fn a_pipe_without_a_name_opens_once_more_whoever_is_gone() {
        let pipe = Pipe::unnamed();
        let (reader, writer) = pipe.ends();
        write(&writer, b"left").unwrap();
        drop((reader, writer));
        let again = pipe.open(Access { read: true, write: false }, false).unwrap();
        assert_eq!(read(&again, 10).unwrap(), b"left");
        assert_eq!(read(&again, 10).unwrap(), b"");
    }

    #[test]
    fn a_fifo_opens_when_both_ends_are_there() {
        let fifo = Pipe::new();
        let (read_only, write_only) =
            (Access { read: true, write: false }, Access { read: false, write: true });
        assert_eq!(fifo.open(write_only, true).err(), Some(Errno::ENXIO));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| fifo.open(write_only, false).unwrap());
            let reader = fifo.open(read_only, false).unwrap();
            let writer = writer.join().unwrap();
            write(&writer, b"hello").unwrap();
            assert_eq!(read(&reader, 10).unwrap(), b"hello");
        });
    }
}
