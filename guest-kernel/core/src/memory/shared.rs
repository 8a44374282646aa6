//! Anonymous memory that several mappings share (MAP_SHARED | MAP_ANONYMOUS).

use alloc::collections::BTreeMap;
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
}
