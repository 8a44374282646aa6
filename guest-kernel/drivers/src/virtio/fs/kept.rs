//! Files of a tree that never changes, which stay open on the host for whoever opens them next.
//!
//! A program that is started again and again opens the same few files each time: itself, its interpreter, its libraries. Their pages
//! are cached, so opening and closing them would be all that the host is asked for. Only what was open for reading is kept, and the
//! oldest goes first.

use super::handle::Handle;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use septum_guest_hal::sync::Mutex;

/// Files that are kept open for each tree: as many descriptors of the worker.
pub const MOST: usize = 64;

/// Handles that nobody may need.
#[derive(Default)]
pub struct Kept(Mutex<VecDeque<Arc<Handle>>>);

impl Kept {
    /// Keeps one, for a while.
    pub fn add(&self, handle: &Arc<Handle>) {
        let oldest = {
            let mut kept = self.0.lock();
            kept.push_back(Arc::clone(handle));
            if kept.len() > MOST { kept.pop_front() } else { None }
        };
        // Closing it is a request, which is no business of the lock's.
        drop(oldest);
    }
}

impl core::fmt::Debug for Kept {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Kept").field(&self.0.lock().len()).finish()
    }
}
