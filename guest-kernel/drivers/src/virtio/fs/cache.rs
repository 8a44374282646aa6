//! The pages of a file that are in memory.
//!
//! ```text
//! chunks, ascending       pages of a chunk
//! 0                       [frame, frame, -, - ... ] 16
//! 3                       [ ... ]
//! ```
//!
//! A frame here may be mapped by programs at the same time; then the cache is not its only owner. Files are
//! mostly read from the front, so a chunk is mostly the last one or the one asked for before.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use septum_guest_hal::frame::Frame;

/// Pages of a chunk.
pub const CHUNK: u64 = 16;
const CHUNK_PAGES: usize = 16;

type Pages = [Option<Frame>; CHUNK_PAGES];

struct Chunk {
    number: u64,
    pages: Box<Pages>,
}

/// The cached pages of one file. Small while there are none, since most files are never read.
#[derive(Default)]
pub struct PageCache(Option<Box<Chunks>>);

#[derive(Default)]
struct Chunks {
    chunks: Vec<Chunk>,
    /// Where the last search ended.
    hint: usize,
}

fn split(page: u64) -> (u64, usize) {
    (page / CHUNK, usize::try_from(page % CHUNK).unwrap_or(0))
}

impl PageCache {
    /// Whether no page has ever been cached.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.0.is_none()
    }

    /// Whether no page is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|all| all.chunks.is_empty())
    }

    /// The frame of a page.
    pub fn get(&mut self, page: u64) -> Option<&Frame> {
        self.0.as_mut()?.get(page)
    }

    /// Copies the frames of the pages from `first` on to `places`.
    pub fn copy(&mut self, first: u64, places: &mut [Option<Frame>]) {
        let Some(all) = &mut self.0 else { return };
        let mut done = 0;
        while done < places.len() {
            let (number, index) = split(first + done as u64);
            let len = (CHUNK_PAGES - index).min(places.len() - done);
            if let Ok(position) = all.position(number) {
                let from = &all.chunks[position].pages[index..index + len];
                places[done..done + len].clone_from_slice(from);
            }
            done += len;
        }
    }

    /// Caches `frames` as the pages from `first` on, except those that somebody was faster with.
    pub fn insert(&mut self, first: u64, frames: impl IntoIterator<Item = Frame>) {
        self.0.get_or_insert_default().insert(first, frames);
    }

    /// The pages around `page`, which is not cached, that are not cached either, within `limits`.
    pub fn missing_around(&mut self, page: u64, limits: Range<u64>) -> Range<u64> {
        let Some(all) = &mut self.0 else { return limits };
        let (mut start, mut end) = (page, page + 1);
        while start > limits.start && all.get(start - 1).is_none() {
            start -= 1;
        }
        while end < limits.end && all.get(end).is_none() {
            end += 1;
        }
        start..end
    }

    /// Takes all pages from `first` on out.
    pub fn truncate(&mut self, first: u64) {
        let Some(all) = &mut self.0 else { return };
        let (number, index) = split(first);
        all.chunks.retain_mut(|chunk| {
            if chunk.number == number {
                chunk.pages.iter_mut().skip(index).for_each(|page| *page = None);
            }
            chunk.number < number || chunk.number == number && index > 0
        });
        all.hint = 0;
    }

    /// Takes the pages of a range out for which `is_unwanted`.
    pub fn remove_if(&mut self, range: Range<u64>, mut is_unwanted: impl FnMut(u64, &Frame) -> bool) {
        let Some(all) = &mut self.0 else { return };
        for chunk in &mut all.chunks {
            let first = chunk.number * CHUNK;
            if first >= range.end || first + CHUNK <= range.start {
                continue;
            }
            for (page, place) in (first..).zip(chunk.pages.iter_mut()) {
                if range.contains(&page) && place.as_ref().is_some_and(|frame| is_unwanted(page, frame)) {
                    *place = None;
                }
            }
        }
        all.chunks.retain(|chunk| chunk.pages.iter().any(Option::is_some));
        all.hint = 0;
    }
}

impl Chunks {
    fn position(&mut self, number: u64) -> Result<usize, usize> {
        if self.chunks.get(self.hint).is_some_and(|chunk| chunk.number == number) {
            return Ok(self.hint);
        }
        let found = match self.chunks.last() {
            Some(last) if last.number < number => Err(self.chunks.len()),
            _ => self.chunks.binary_search_by_key(&number, |chunk| chunk.number),
        };
        self.hint = found.unwrap_or(self.hint);
        found
    }

    fn get(&mut self, page: u64) -> Option<&Frame> {
        let (number, index) = split(page);
        let position = self.position(number).ok()?;
        self.chunks.get(position)?.pages.get(index)?.as_ref()
    }

    fn insert(&mut self, first: u64, frames: impl IntoIterator<Item = Frame>) {
        let mut frames = frames.into_iter();
        let (mut number, mut index) = split(first);
        let Some(mut next) = frames.next() else { return };
        loop {
            let position = self.chunk(number);
            let Some(chunk) = self.chunks.get_mut(position) else { return };
            for place in chunk.pages.iter_mut().skip(index) {
                place.get_or_insert(next);
                let Some(frame) = frames.next() else { return };
                next = frame;
            }
            (number, index) = (number + 1, 0);
        }
    }

    /// Where chunk `number` is; makes it if need be.
    fn chunk(&mut self, number: u64) -> usize {
        match self.position(number) {
            Ok(position) => position,
            Err(position) => {
                self.chunks.insert(position, Chunk { number, pages: Box::default() });
                self.hint = position;
                position
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PageCache;
    use septum_guest_hal::frame::Frame;

    fn cache(pages: &[u64]) -> PageCache {
        let mut cache = PageCache::default();
        for &page in pages {
            cache.insert(page, [Frame::uninit().unwrap()]);
        }
        cache
    }

    #[test]
    fn pages_are_found_wherever_they_were_put() {
        let pages = [0, 5, 1 << 40, 15, 16, 31, 17, 1000, 999];
        let mut cache = cache(&pages);
        for page in pages {
            assert!(cache.get(page).is_some());
            assert_eq!(cache.get(page + 2).is_some(), page == 15);
        }
        let first = cache.get(5).unwrap().clone();
        cache.insert(4, [Frame::uninit().unwrap(), Frame::uninit().unwrap()]);
        assert_eq!(cache.get(5), Some(&first));
        assert!(cache.get(4).is_some());
        assert_eq!(cache.missing_around(8, 0..100), 6..15);
        assert_eq!(cache.missing_around(8, 7..10), 7..10);
    }

    #[test]
    fn truncation_drops_what_lies_beyond() {
        let mut cache = cache(&[0, 15, 16, 17, 40]);
        cache.truncate(17);
        let left: Vec<_> = (0..50).filter(|&page| cache.get(page).is_some()).collect();
        assert_eq!(left, [0, 15, 16]);
        cache.truncate(0);
        assert!(cache.is_empty());
    }

    #[test]
    fn a_range_is_dropped_selectively() {
        let mut cache = cache(&[0, 15, 16, 17, 40]);
        cache.remove_if(15..40, |page, _| page != 16);
        let left: Vec<_> = (0..50).filter(|&page| cache.get(page).is_some()).collect();
        assert_eq!(left, [0, 16, 40]);
    }
}
