//! Signals as something to read (`signalfd`).
//!
//! Reading takes signals of the [set](SignalFile) that wait for the thread that reads, or for its process; those are the blocked ones,
//! as others are delivered. Nothing is kept here: what waits is in [`Pending`](crate::process::signal::Pending), and whatever is added there wakes
//! all who watch such a file, [to look](ARRIVALS).
//!
//! ```text
//! signalfd_siginfo   +0 number  +8 code  +12 process  +16 user  +40 status  +44 int  +48 pointer  +72 address  +128
//! ```

use super::inode::{File, poll};
use crate::io::Destination;
use crate::process::signal::{Info, UNSTOPPABLE};
use crate::process::vcpus::current_task;
use crate::wait::WaitQueue;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::{Errno, signal};

/// Bytes of a `signalfd_siginfo`.
const ENTRY: usize = 128;
/// SI_QUEUE
const QUEUED: i32 = -1;

/// Woken when a signal begins to wait, for whomever.
pub static ARRIVALS: WaitQueue = WaitQueue::new();

/// A set of signals to be read.
#[derive(Debug)]
pub struct SignalFile {
    set: AtomicU64,
}

impl SignalFile {
    /// Of these signals.
    #[must_use]
    pub fn new(set: u64) -> Self {
        Self { set: AtomicU64::new(set & !UNSTOPPABLE) }
    }

    /// Changes the set.
    pub fn set(&self, set: u64) {
        self.set.store(set & !UNSTOPPABLE, Ordering::SeqCst);
        ARRIVALS.wake_all();
    }

    fn wanted(&self) -> u64 {
        self.set.load(Ordering::SeqCst)
    }

    fn take(&self) -> Option<Info> {
        let task = current_task()?;
        let own = task.signals.lock().pending.take(self.wanted());
        own.or_else(|| task.process.pending.lock().take(self.wanted()))
    }
}

fn layout(info: Info) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &info.signal.to_le_bytes());
    put(8, &info.code.to_le_bytes());
    let (detail, value) = (info.detail.to_le_bytes(), info.value.to_le_bytes());
    let is_fault = info.code > 0
        && matches!(info.signal, signal::SIGSEGV | signal::SIGBUS | signal::SIGILL | signal::SIGFPE);
    if is_fault {
        put(72, &detail);
    } else {
        put(12, &detail[..4]);
        put(16, &detail[4..]);
    }
    if info.signal == signal::SIGCHLD && info.code > 0 {
        put(40, &value[..4]);
    } else if info.code <= QUEUED {
        put(44, &value[..4]);
        put(48, &value);
    }
    bytes
}

impl File for SignalFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() < ENTRY {
            return Err(Errno::EINVAL);
        }
        let mut total = 0;
        while to.remaining() >= ENTRY {
            let Some(info) = self.take() else { break };
            total += to.put(&layout(info))?;
        }
        if total == 0 { Err(Errno::EAGAIN) } else { Ok(total) }
    }

    fn poll(&self) -> u16 {
        let Some(task) = current_task() else { return 0 };
        let waiting = task.signals.lock().pending.set() | task.process.pending.lock().set();
        if waiting & self.wanted() != 0 { poll::IN } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&ARRIVALS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::KernelDestination;

    #[test]
    fn without_signals_there_is_nothing_to_read() {
        let file = SignalFile::new(u64::MAX);
        assert_eq!(file.read_at(0, &mut KernelDestination(&mut [0; 127])), Err(Errno::EINVAL));
        assert_eq!(file.read_at(0, &mut KernelDestination(&mut [0; 128])), Err(Errno::EAGAIN));
        assert_eq!(file.poll(), 0);
    }

    #[test]
    fn where_it_came_from_is_told() {
        let bytes = layout(Info::from_user(10, 7, 1000));
        assert_eq!((bytes[0], bytes[12], &bytes[16..18]), (10, 7, &[0xe8, 3][..]));
        let queued = layout(Info { signal: 34, code: QUEUED, detail: 1, value: 0x1_0000_0002 });
        assert_eq!((&queued[44..48], queued[52]), (&[2, 0, 0, 0][..], 1));
    }
}
