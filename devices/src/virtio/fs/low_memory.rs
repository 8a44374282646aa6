//! Host memory for the guest's first megabytes, before a file is read there.
//!
//! The bulk of guest memory has large pages on the host; what lies below has small ones. When the host's kernel copies a file's pages there, it
//! takes a page fault for each, and the guest's first look at each is one more. Memory that comes sixteen pages at a time costs a
//! third of that, and KVM, which finds neighbours present, maps them along.

use std::sync::Arc;

use septum_abi::layout::{BULK_RAM_START, PAGE_SIZE};

use super::super::ring::Chain;
use crate::core::MemoryPopulator;

/// Bytes that come together.
const STEP: u64 = 16 * PAGE_SIZE as u64;
const STEPS: u64 = BULK_RAM_START / STEP;
const _: () = assert!(STEPS <= u128::BITS as u64, "a bit for each");

/// Which parts have been seen to.
pub(super) struct LowMemory {
    populator: Arc<dyn MemoryPopulator>,
    done: u128,
}

impl LowMemory {
    pub(super) fn new(populator: Arc<dyn MemoryPopulator>) -> Self {
        Self { populator, done: 0 }
    }

    /// The device is about to fill the writable part of `chain`. Nothing in it has been checked.
    pub(super) fn prepare(&mut self, chain: &Chain) {
        if self.done == u128::MAX {
            return;
        }
        let whole_pages = chain.clone().writable().filter(|range| u64::from(range.len()) >= PAGE_SIZE as u64);
        for range in whole_pages {
            let start = range.addr().0;
            if start >= BULK_RAM_START {
                continue;
            }
            for step in start / STEP..=((start + u64::from(range.len()) - 1) / STEP).min(STEPS - 1) {
                if self.done >> step & 1 == 0 {
                    self.done |= 1 << step;
                    // Without it the copy takes its faults.
                    drop(self.populator.populate(step * STEP, STEP));
                }
            }
        }
    }
}
