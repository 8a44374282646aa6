//! The pages of a file in memory, sparse.
//!
//! ```text
//! page   0 .. DENSE          a vector that grows with the file: most files end here
//! page   DENSE ..            chunks of CHUNK pages, found by number: as sparse as the file is
//! ```

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use septum_guest_hal::frame::Frame;

/// Pages in the vector at most.
const DENSE: u64 = 256;
/// Pages a chunk.
const CHUNK: u64 = 256;

type Slots = Box<[Option<Frame>]>;

/// Frames by page number.
#[derive(Default)]
pub struct Pages {
    dense: Vec<Option<Frame>>,
    chunks: BTreeMap<u64, Slots>,
    count: u64,
}

/// Where page `index` is: in the vector, or in a chunk.
fn place(index: u64) -> (Option<u64>, usize) {
    let (chunk, slot) = match index.checked_sub(DENSE) {
        None => (None, index),
        Some(rest) => (Some(rest / CHUNK), rest % CHUNK),
    };
    (chunk, usize::try_from(slot).unwrap_or(0))
}

impl Pages {
    /// Pages that are there.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Page `index`; `None` is a hole.
    pub fn get(&self, index: u64) -> Option<&Frame> {
        let (chunk, slot) = place(index);
        let slots = match chunk {
            None => self.dense.as_slice(),
            Some(chunk) => self.chunks.get(&chunk)?,
        };
        slots.get(slot)?.as_ref()
    }

    /// Sets page `index`. Returns the frame that was there.
    pub fn insert(&mut self, index: u64, frame: Frame) -> Option<Frame> {
        let (chunk, slot) = place(index);
        let slots: &mut [Option<Frame>] = match chunk {
            None => {
                if slot >= self.dense.len() {
                    self.dense.resize(slot + 1, None);
                }
                &mut self.dense
            }
            Some(chunk) => self
                .chunks
                .entry(chunk)
                .or_insert_with(|| (0..CHUNK).map(|_| None).collect::<Vec<_>>().into_boxed_slice()),
        };
        let old = slots[slot].replace(frame);
        self.count += u64::from(old.is_none());
        old
    }

    /// Makes page `index` a hole.
    pub fn remove(&mut self, index: u64) {
        let (chunk, slot) = place(index);
        let slots = match chunk {
            None => Some(self.dense.as_mut_slice()),
            Some(chunk) => self.chunks.get_mut(&chunk).map(AsMut::as_mut),
        };
        let old = slots.and_then(|slots| slots.get_mut(slot)).and_then(Option::take);
        self.count -= u64::from(old.is_some());
    }

    /// Makes every page from `first` on a hole.
    pub fn truncate(&mut self, first: u64) {
        let (chunk, slot) = place(first);
        let Some(chunk) = chunk else {
            self.dense.truncate(slot);
            self.chunks.clear();
            self.recount();
            return;
        };
        drop(self.chunks.split_off(&(chunk + 1)));
        if let Some(slots) = self.chunks.get_mut(&chunk) {
            slots[slot..].iter_mut().for_each(|slot| *slot = None);
        }
        self.recount();
    }

    /// Makes the pages of `range` holes.
    pub fn punch(&mut self, range: core::ops::Range<u64>) {
        for index in range.start..range.end.min(DENSE) {
            self.remove(index);
        }
        let numbers: Vec<u64> = self.chunks.keys().copied().collect();
        for chunk in numbers {
            let first = DENSE + chunk * CHUNK;
            for index in first.max(range.start)..(first + CHUNK).min(range.end) {
                self.remove(index);
            }
        }
    }

    fn recount(&mut self) {
        let slots = self.dense.iter().chain(self.chunks.values().flat_map(|slots| slots.iter()));
        self.count = slots.map(|slot| u64::from(slot.is_some())).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::zeroed().unwrap()
    }

    #[test]
    fn pages_are_found_wherever_they_are() {
        let mut pages = Pages::default();
        let indices = [0, 5, DENSE - 1, DENSE, DENSE + CHUNK, 1 << 50];
        for index in indices {
            assert!(pages.insert(index, frame()).is_none());
        }
        assert_eq!(pages.count(), 6);
        assert!(indices.iter().all(|&index| pages.get(index).is_some()));
        assert!([1, DENSE + 1, 1 << 51].iter().all(|&index| pages.get(index).is_none()));
        assert!(pages.insert(5, frame()).is_some());
        pages.remove(5);
        pages.remove(6);
        assert_eq!(pages.count(), 5);
    }

    #[test]
    fn truncating_and_punching_free_exactly_what_they_name() {
        let mut pages = Pages::default();
        for index in 0..DENSE + 2 * CHUNK {
            pages.insert(index, frame());
        }
        pages.truncate(DENSE + CHUNK + 3);
        assert_eq!(pages.count(), DENSE + CHUNK + 3);
        pages.punch(DENSE - 2..DENSE + 2);
        assert_eq!(pages.count(), DENSE + CHUNK - 1);
        assert!(pages.get(DENSE - 3).is_some() && pages.get(DENSE - 2).is_none());
        assert!(pages.get(DENSE + 1).is_none() && pages.get(DENSE + 2).is_some());
        pages.truncate(2);
        assert_eq!(pages.count(), 2);
        pages.truncate(0);
        assert_eq!(pages.count(), 0);
    }
}
