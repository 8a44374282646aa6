//! How much memory what is on its way may take: a quarter of the partition's, all sockets together.
//!
//! A program that never reads cannot fill the memory with what others send to it.

use crate::ring::Right;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::frame;

/// Frames taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// The right to some frames; dropping it gives it back.
#[derive(Debug)]
pub struct Budget(u64);

impl Budget {
    /// The right to `frames` more. ENOBUFS if that is too much.
    pub fn take(frames: u64) -> Result<Self, Errno> {
        let budget = Self(frames);
        let taken = TAKEN.fetch_add(frames, Ordering::Relaxed).saturating_add(frames);
        if taken > frame::usage().total / 4 { Err(Errno::ENOBUFS) } else { Ok(budget) }
    }
}

impl Right for Budget {
    const NO_FRAME: Errno = Errno::ENOBUFS;

    fn take() -> Result<Self, Errno> {
        Self::take(1)
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}
