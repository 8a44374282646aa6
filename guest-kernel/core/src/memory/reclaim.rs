//! Memory that is in use, but need not be: cached pages of files, which can be read again.
//!
//! Who runs out of memory asks for some of it before giving up. Nothing is taken from mappings.

use septum_guest_hal::sync::Once;

/// Frames that are asked for at a time.
const FRAMES: usize = 512;

/// Who has such memory (the host's file system).
pub trait Reclaimer: Send + Sync {
    /// Frees frames, until it was `wanted` of them or there are no more. Returns how many it was. Called without any lock of
    /// an address space or a file.
    fn reclaim(&self, wanted: usize) -> usize;
}

impl<T: Reclaimer> Reclaimer for alloc::sync::Arc<T> {
    fn reclaim(&self, wanted: usize) -> usize {
        T::reclaim(self, wanted)
    }
}

static RECLAIMER: Once<&'static dyn Reclaimer> = Once::new();

/// Sets who has it; the first call counts.
pub fn bind(reclaimer: &'static dyn Reclaimer) {
    RECLAIMER.call_once(|| reclaimer);
}

/// Frees some frames. False if there are none to be freed.
#[must_use]
pub fn reclaim() -> bool {
    RECLAIMER.get().is_some_and(|reclaimer| reclaimer.reclaim(FRAMES) > 0)
}
