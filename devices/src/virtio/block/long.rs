//! A long read that the host has in memory: two threads copy a piece of it at a time.
//!
//! ```text
//!   who serves ── offer ──► pieces ── next, next, … ──► the copy ends when nobody is at a piece
//!   who is free ─────────────┘   (the vCPU's thread that rang, or the device thread)
//! ```
//!
//! One thread copies about as fast as a process that reads. The vCPU that asked can do nothing else meanwhile, and the device thread looks on, so the other of
//! the two helps. Nobody waits for a helper that has not come: a piece belongs to whoever takes it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use septum_host_io::Buffers;

use super::disk::Disk;
use crate::core::lock;

/// Bytes that are copied at a time: long enough that taking a piece costs nothing, short enough that nobody waits long for the last.
const PIECE: usize = 128 << 10;

/// A read that is being copied.
#[derive(Debug)]
pub(super) struct Long {
    pieces: Vec<(u64, Buffers)>,
    next: AtomicUsize,
    /// The first piece of which something is missing.
    missing: AtomicUsize,
    /// Threads that may be at a piece.
    helpers: Mutex<usize>,
    alone: Condvar,
}

impl Long {
    /// The read of `buffers` from `offset` on.
    pub(super) fn new(buffers: &Buffers, offset: u64) -> Self {
        let starts = (0..buffers.len()).step_by(PIECE);
        let pieces = starts.map(|at| (offset + at as u64, buffers.part(at, PIECE)));
        Self {
            pieces: pieces.collect(),
            next: AtomicUsize::new(0),
            missing: AtomicUsize::new(usize::MAX),
            helpers: Mutex::new(0),
            alone: Condvar::new(),
        }
    }

    /// Copies pieces until none is left, or the host lacks one.
    fn copy(&self, disk: &Disk) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((offset, buffers)) = self.pieces.get(index) else { return };
            let result = septum_host_io::read_now(disk.file(), buffers, *offset);
            if !matches!(result, Ok(Some(count)) if count == buffers.len()) {
                self.missing.fetch_min(index, Ordering::Relaxed);
                self.next.store(self.pieces.len(), Ordering::Relaxed);
                return;
            }
        }
    }

    /// Waits until no helper is at a piece. Returns how many bytes from the start are copied.
    fn end(&self) -> usize {
        let mut helpers = lock(&self.helpers);
        while *helpers > 0 {
            helpers = match self.alone.wait(helpers) {
                Ok(helpers) => helpers,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        drop(helpers);
        let whole = self.missing.load(Ordering::Relaxed).min(self.pieces.len());
        self.pieces.iter().take(whole).map(|(_, buffers)| buffers.len()).sum()
    }
}

/// Where a thread that has nothing else to do finds a long read.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// There is one.
    is_there: AtomicBool,
    long: Mutex<Option<Arc<Long>>>,
}

impl Offer {
    /// Copies a long read with whoever comes. Returns how many bytes from its start are copied; the rest is not in the host's memory.
    ///
    /// `call` is to bring a helper, if it can.
    pub(super) fn copy(&self, disk: &Disk, buffers: &Buffers, offset: u64, call: impl FnOnce()) -> usize {
        let long = Arc::new(Long::new(buffers, offset));
        let is_offered = self.put(&long);
        if is_offered {
            call();
        }
        long.copy(disk);
        if is_offered {
            self.withdraw();
        }
        long.end()
    }

    /// Helps with what is offered. False if that is nothing.
    pub(super) fn help(&self, disk: &Disk) -> bool {
        if !self.is_there.load(Ordering::Acquire) {
            return false;
        }
        // Counted before it can be withdrawn, so that whoever offers it waits.
        let place = lock(&self.long);
        let Some(long) = place.as_ref().map(Arc::clone) else { return false };
        *lock(&long.helpers) += 1;
        drop(place);
        long.copy(disk);
        leave(lock(&long.helpers), &long.alone);
        true
    }

    /// False if another one is being copied.
    fn put(&self, long: &Arc<Long>) -> bool {
        let mut place = lock(&self.long);
        if place.is_some() {
            return false;
        }
        *place = Some(Arc::clone(long));
        self.is_there.store(true, Ordering::Release);
        true
    }

    fn withdraw(&self) {
        let mut place = lock(&self.long);
        *place = None;
        self.is_there.store(false, Ordering::Release);
    }
}

fn leave(mut helpers: MutexGuard<'_, usize>, alone: &Condvar) {
    *helpers -= 1;
    if *helpers == 0 {
        alone.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use vm_memory::{Bytes as _, GuestAddress, GuestAddressSpace as _, GuestMemoryAtomic, GuestMemoryMmap};

    use super::*;

    const LEN: usize = 5 * PIECE + 512;

    fn disk(bytes: &[u8]) -> Disk {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Disk::new(file.reopen().unwrap(), true, b"").unwrap()
    }

    #[test]
    fn every_byte_is_copied_once_whoever_helps() {
        let bytes: Vec<u8> = (0..LEN).map(|at| (at / 7).to_le_bytes()[0]).collect();
        let disk = disk(&bytes);
        let memory =
            GuestMemoryAtomic::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 2 * LEN)]).unwrap());
        let buffers =
            Buffers::new(memory.memory(), &[(GuestAddress(LEN as u64), 1000), (GuestAddress(8), LEN - 1000)]);
        let (buffers, offer, is_over) = (buffers.unwrap(), Offer::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        offer.help(&disk);
                    }
                });
            }
            for _ in 0..200 {
                memory.memory().write_slice(&vec![0xff; 2 * LEN], GuestAddress(0)).unwrap();
                let copied = offer.copy(&disk, &buffers, 0, || {});
                let mut got = vec![0; LEN];
                memory.memory().read_slice(&mut got[..1000], GuestAddress(LEN as u64)).unwrap();
                memory.memory().read_slice(&mut got[1000..], GuestAddress(8)).unwrap();
                assert!(got[..copied] == bytes[..copied]);
                // A file in memory may have no such reads, or all of it.
                assert!(copied == 0 || copied == LEN, "{copied}");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(!offer.help(&disk));
    }

    #[test]
    fn what_is_beyond_the_end_is_not_copied() {
        let disk = disk(&vec![1; 2 * PIECE]);
        let memory = GuestMemoryAtomic::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), LEN)]).unwrap());
        let buffers = Buffers::new(memory.memory(), &[(GuestAddress(0), 4 * PIECE)]).unwrap();
        let copied = Offer::default().copy(&disk, &buffers, PIECE as u64, || {});
        assert!(copied == 0 || copied == PIECE, "{copied}");
    }
}
