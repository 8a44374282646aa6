//! Event counters (`eventfd`): a number that writing adds to and reading takes.

use super::inode::{File, poll};
use crate::io::{Destination, Source};
use crate::wait::WaitQueue;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// A counter. Reading waits (EAGAIN) while it is 0, writing while it would reach `u64::MAX`.
#[derive(Debug)]
pub struct EventCounter {
    count: Mutex<u64>,
    /// Reading takes one, not all.
    is_semaphore: bool,
    queue: WaitQueue,
}

impl EventCounter {
    /// A counter at `initial`.
    #[must_use]
    pub fn new(initial: u64, is_semaphore: bool) -> Self {
        Self { count: Mutex::new(initial), is_semaphore, queue: WaitQueue::new() }
    }
}

impl File for EventCounter {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let taken = {
            let mut count = self.count.lock();
            if *count == 0 {
                return Err(Errno::EAGAIN);
            }
            let taken = if self.is_semaphore { 1 } else { *count };
            *count -= taken;
            taken
        };
        self.queue.wake_all();
        to.put(&taken.to_le_bytes())
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut bytes = [0; 8];
        if from.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        if from.take(&mut bytes)? < 8 {
            return Err(Errno::EFAULT);
        }
        let added = u64::from_le_bytes(bytes);
        if added == u64::MAX {
            return Err(Errno::EINVAL);
        }
        {
            let mut count = self.count.lock();
            // Full: Linux would wait for a reader; the bytes are already taken, so it is told at once.
            *count = count.checked_add(added).filter(|&sum| sum < u64::MAX).ok_or(Errno::EAGAIN)?;
        }
        self.queue.wake_all();
        Ok(8)
    }

    fn poll(&self) -> u16 {
        let count = *self.count.lock();
        (if count > 0 { poll::IN } else { 0 }) | if count < u64::MAX - 1 { poll::OUT } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{KernelDestination, KernelSource};

    fn read(counter: &EventCounter) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        counter.read_at(0, &mut KernelDestination(&mut bytes))?;
        Ok(u64::from_le_bytes(bytes))
    }

    #[test]
    fn reading_takes_all_or_one() {
        let counter = EventCounter::new(2, false);
        counter.write_at(0, &mut KernelSource(&3u64.to_le_bytes())).unwrap();
        assert_eq!(read(&counter), Ok(5));
        assert_eq!(read(&counter), Err(Errno::EAGAIN));
        let semaphore = EventCounter::new(2, true);
        assert_eq!((read(&semaphore), read(&semaphore)), (Ok(1), Ok(1)));
        assert_eq!(read(&semaphore), Err(Errno::EAGAIN));
        assert_eq!(semaphore.write_at(0, &mut KernelSource(&[0xff; 8])), Err(Errno::EINVAL));
    }
}
