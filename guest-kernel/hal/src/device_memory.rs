//! Memory of devices of the host: BARs that programs may map.
//!
//! ```text
//! guest-physical   PCI_WINDOW (below 4 GiB)      HIGH_PCI_WINDOW (above all RAM)
//! ```
//!
//! No RAM is ever there, so whatever is mapped of it, nothing of the kernel's can be reached by way of it: what a range may hold is checked
//! here, once. It has no frames, and nobody counts who has it mapped.

use crate::address::PhysAddr;
use septum_abi::layout::{HIGH_PCI_WINDOW, PAGE_SIZE, PCI_WINDOW};

const PAGE: u64 = PAGE_SIZE as u64;

/// Whole pages of a window for BARs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    start: u64,
    len: u64,
}

impl DeviceMemory {
    /// `len` bytes at `start`, rounded up to whole pages; `None` if they do not lie in a window for BARs, or `start` is on no page.
    #[must_use]
    pub fn new(start: PhysAddr, len: u64) -> Option<Self> {
        let len = len.checked_next_multiple_of(PAGE).filter(|len| *len > 0)?;
        let end = start.0.checked_add(len)?;
        let is_inside = |window: core::ops::Range<u64>| window.start <= start.0 && end <= window.end;
        let is_good = start.0.is_multiple_of(PAGE) && (is_inside(PCI_WINDOW) || is_inside(HIGH_PCI_WINDOW));
        is_good.then_some(Self { start: start.0, len })
    }

    /// Where it is.
    #[must_use]
    pub fn start(&self) -> PhysAddr {
        PhysAddr(self.start)
    }

    /// Its bytes: whole pages.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Up to `count` pages of it from page `first` on; `None` behind its end.
    #[must_use]
    pub fn part(&self, first: u64, count: u64) -> Option<Self> {
        let skipped = first.checked_mul(PAGE).filter(|skipped| *skipped < self.len)?;
        let len = count.saturating_mul(PAGE).min(self.len - skipped);
        (len > 0).then_some(Self { start: self.start + skipped, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_windows_for_bars_are_device_memory() {
        let memory = |start, len| DeviceMemory::new(PhysAddr(start), len);
        let bar = memory(PCI_WINDOW.start, 0x10_0001).unwrap();
        assert_eq!(bar.len(), 0x10_1000);
        assert!(memory(HIGH_PCI_WINDOW.end - PAGE, PAGE).is_some());
        for (start, len) in [
            (0, PAGE),
            (PCI_WINDOW.start - PAGE, 2 * PAGE),
            (PCI_WINDOW.end - PAGE, 2 * PAGE),
            (PCI_WINDOW.start + 1, PAGE),
            (PCI_WINDOW.start, 0),
            (HIGH_PCI_WINDOW.start, u64::MAX),
            (u64::MAX - PAGE + 1, PAGE),
        ] {
            assert_eq!(memory(start, len), None, "{start:#x} {len:#x}");
        }
    }

    #[test]
    fn parts_stay_inside() {
        let bar = DeviceMemory::new(PhysAddr(PCI_WINDOW.start), 4 * PAGE).unwrap();
        assert_eq!(bar.part(1, 512), DeviceMemory::new(PhysAddr(PCI_WINDOW.start + PAGE), 3 * PAGE));
        assert_eq!(bar.part(4, 1), None);
        assert_eq!(bar.part(u64::MAX, 1), None);
        assert_eq!(bar.part(0, 0), None);
    }
}
