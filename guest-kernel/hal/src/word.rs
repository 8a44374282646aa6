//! Words that the kernel changes while the program may do so too: futexes.

use crate::frame::Frame;
use core::sync::atomic::{AtomicU32, Ordering};

/// The aligned 32-bit word at `offset` of a frame.
fn word(frame: &Frame, offset: usize) -> Option<&AtomicU32> {
    let (pointer, len) = frame.span(offset, size_of::<AtomicU32>());
    if len < size_of::<AtomicU32>() || !offset.is_multiple_of(align_of::<AtomicU32>()) {
        return None;
    }
    // SAFETY: 1. the frame is held, so its memory is there; 2. the word lies within it and is aligned; 3. whoever else uses it
    // (programs, devices) does so by plain or locked loads and stores, and any value is valid.
    Some(unsafe { &*pointer.cast::<AtomicU32>() })
}

/// The word at `offset` of a frame; `None` if it is not aligned or not inside.
#[must_use]
pub fn load(frame: &Frame, offset: usize) -> Option<u32> {
    word(frame, offset).map(|word| word.load(Ordering::SeqCst))
}

/// Replaces the word at `offset` by what `change` makes of it, until it says `None`. Returns the word that it last saw.
#[must_use]
pub fn update(frame: &Frame, offset: usize, change: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
    let result = word(frame, offset)?.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change);
    Some(result.unwrap_or_else(|seen| seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_changed_in_place_and_only_inside() {
        let frame = Frame::zeroed().unwrap();
        assert_eq!(update(&frame, 8, |old| Some(old + 5)), Some(0));
        assert_eq!(load(&frame, 8), Some(5));
        assert_eq!(update(&frame, 8, |_| None), Some(5));
        assert_eq!((load(&frame, 6), load(&frame, 4096)), (None, None));
    }
}
