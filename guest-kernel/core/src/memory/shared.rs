//! Anonymous memory that several mappings share (MAP_SHARED | MAP_ANONYMOUS).

use alloc::collections::BTreeMap;
use core::ops::Range;
use septum_abi::layout::PAGE_SIZE;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::Mutex;

/// Pages by index; those never touched are absent.
#[derive(Debug, Default)]
pub struct SharedMemory {
    pages: Mutex<BTreeMap<u64, Frame>>,
}

impl SharedMemory {
    /// The frame of page `index`, zeros at first. `None` if memory ran out.
    #[must_use]
    pub fn page(&self, index: u64) -> Option<Frame> {
        let mut pages = self.pages.lock();
        if let Some(frame) = pages.get(&index) {
            return Some(frame.clone());
        }
        let frame = Frame::zeroed()?;
        pages.insert(index, frame.clone());
        Some(frame)
    }

    /// How many pages are there.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.pages.lock().len() as u64
    }

    /// Makes the pages of `range` zeros again: those that are mapped in place, the others by giving them up.
    pub fn clear(&self, range: Range<u64>) {
        self.pages.lock().retain(|index, frame| {
            if !range.contains(index) {
                return true;
            }
            if !frame.is_unique() {
                frame.clear(0, PAGE_SIZE);
            }
            !frame.is_unique()
        });
    }
}
