//! `/dev/uio0` …: a function's interrupts, as Linux's userspace I/O has them (Documentation/driver-api/uio-howto.rst).
//!
//! Opening has the function interrupt. Reading four bytes waits for an interrupt that came since they were read last and gives how many there
//! were in all; `poll` tells of it. Writing the number 0 or 1 turns interrupts off or on. Not there: mapping, and sharing a line with
//! others, for there are none.
//!
//! Nobody is woken by name: an interrupt of a device makes all look that wait without a queue.

use super::function;
use crate::fs::devices::device_number;
use crate::fs::inode::{File, poll};
use crate::io::{Destination, Source};
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::Errno;

/// Major number of the device files; Linux takes what is free.
const MAJOR: u8 = 247;

/// Device number of a function's file.
#[must_use]
pub fn number(index: u8) -> u64 {
    device_number(MAJOR, index)
}

/// Opens the device with this number; ENXIO if there is none.
pub fn open(number: u64) -> Result<Arc<dyn File>, Errno> {
    let index = (0..super::count())
        .find(|&index| u8::try_from(index).is_ok_and(|index| self::number(index) == number));
    let index = index.ok_or(Errno::ENXIO)?;
    let function = function(index).ok_or(Errno::ENXIO)?;
    function.set_interrupting(true)?;
    Ok(Arc::new(Interrupts { index, seen: AtomicU32::new(function.interrupts()) }))
}

/// The file, open.
struct Interrupts {
    index: usize,
    /// How many interrupts its reader knows of.
    seen: AtomicU32,
}

impl Interrupts {
    fn count(&self) -> u32 {
        function(self.index).map_or(0, |function| function.interrupts())
    }
}

impl File for Interrupts {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() != size_of::<u32>() {
            return Err(Errno::EINVAL);
        }
        let count = self.count();
        if self.seen.swap(count, Ordering::AcqRel) == count {
            return Err(Errno::EAGAIN);
        }
        to.put(&count.to_le_bytes())
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut bytes = [0; size_of::<u32>()];
        if from.remaining() != bytes.len() {
            return Err(Errno::EINVAL);
        }
        if from.take(&mut bytes)? != bytes.len() {
            return Err(Errno::EFAULT);
        }
        let is_on = match u32::from_le_bytes(bytes) {
            0 => false,
            1 => true,
            _ => return Err(Errno::EINVAL),
        };
        function(self.index).ok_or(Errno::ENODEV)?.set_interrupting(is_on)?;
        Ok(bytes.len())
    }

    fn poll(&self) -> u16 {
        if self.seen.load(Ordering::Acquire) == self.count() { 0 } else { poll::IN }
    }

    fn edge(&self) -> u64 {
        u64::from(self.count())
    }
}
