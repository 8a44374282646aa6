//! Words that the kernel changes while the program may do so too: futexes.
//!
//! A word may lie in a page of a file of the host, which is gone at once when the file is cut. So it is touched by instructions only that
//! may fault and are prepared for it, as the [copy](crate::user_copy) to and from the program is.

use crate::frame::Frame;
use core::sync::atomic::AtomicU32;

/// The aligned 32-bit word at `offset` of a frame, which is there for as long as the frame is held, unless it is one of the window.
fn word(frame: &Frame, offset: usize) -> Option<*mut u32> {
    let (pointer, len) = frame.span(offset, size_of::<AtomicU32>());
    let is_whole = len >= size_of::<AtomicU32>() && offset.is_multiple_of(align_of::<AtomicU32>());
    is_whole.then_some(pointer.cast())
}

/// The word at `offset` of a frame; `None` if it is not aligned, not inside, or gone.
#[must_use]
pub fn load(frame: &Frame, offset: usize) -> Option<u32> {
    let word = word(frame, offset)?;
    // The eight aligned bytes around it, which lie in the frame too.
    let bytes = crate::user_copy::copy_word(word.map_addr(|address| address & !7))?.to_le_bytes();
    let at = offset % 8;
    Some(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
}

/// Replaces the word at `offset` by what `change` makes of it, until it says `None`. Returns the word that it last saw; `None` if it is not
/// aligned, not inside, or gone.
#[must_use]
pub fn update(frame: &Frame, offset: usize, mut change: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
    let word = word(frame, offset)?;
    // A software KVM that emulates ring 0 gives up at a locked instruction on a page that is gone; at a copy it faults.
    let mut seen = load(frame, offset)?;
    while let Some(new) = change(seen) {
        match imp::exchange(word, seen, new)? {
            now if now == seen => break,
            now => seen = now,
        }
    }
    Some(seen)
}

#[cfg(target_os = "none")]
mod imp {
    use core::arch::global_asm;

    // RDI = the word, ESI = what it should be, EDX = what it becomes then. Returns what it was, or a number with more bits.
    global_asm!(
        ".global septum_word_exchange",
        ".global septum_word_change",
        ".global septum_word_failed",
        "septum_word_exchange:",
        "mov eax, esi",
        "septum_word_change:",
        "lock cmpxchg dword ptr [rdi], edx",
        "ret",
        "septum_word_failed:",
        "mov rax, -1",
        "ret",
    );

    unsafe extern "C" {
        fn septum_word_exchange(word: *mut u32, old: u32, new: u32) -> u64;
    }

    /// Replaces the word if it is `old`; returns what it was, or `None` if it is not there.
    pub fn exchange(word: *mut u32, old: u32, new: u32) -> Option<u32> {
        // SAFETY: 1. the word lies within a frame that the caller holds, and is aligned; 2. whoever else uses it (programs, devices) does so by
        // plain or locked loads and stores, and any value is valid; 3. a fault is caught.
        u32::try_from(unsafe { septum_word_exchange(word, old, new) }).ok()
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    //! Tests: what is held is there.
    use core::sync::atomic::{AtomicU32, Ordering};

    pub fn exchange(word: *mut u32, old: u32, new: u32) -> Option<u32> {
        // SAFETY: as below `target_os = "none"`.
        let word = unsafe { AtomicU32::from_ptr(word) };
        Some(word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).unwrap_or_else(|seen| seen))
    }
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
