//! What a thread reads, writes and waits: counted for `/proc/PID/io`, `/proc/PID/status` and `getrusage`.

use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::Errno;

/// Sums: bytes read, bytes written, calls that read, calls that write, waits.
pub type Sums = [u64; 5];

/// Of one thread, or of those that are gone.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; 5]);

/// Where waits are among the sums.
pub const WAITS: usize = 4;

impl Counts {
    /// A call has moved so much, or failed.
    pub fn moved(&self, is_write: bool, moved: &Result<usize, Errno>) {
        let index = usize::from(is_write);
        self.0[2 + index].fetch_add(1, Ordering::Relaxed);
        if let Ok(len) = moved {
            self.0[index].fetch_add(*len as u64, Ordering::Relaxed);
        }
    }

    /// It waited.
    pub fn waited(&self) {
        self.0[WAITS].fetch_add(1, Ordering::Relaxed);
    }

    /// All that was counted.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Adds what others counted.
    pub fn add(&self, sums: Sums) {
        for (count, sum) in self.0.iter().zip(sums) {
            count.fetch_add(sum, Ordering::Relaxed);
        }
    }
}
