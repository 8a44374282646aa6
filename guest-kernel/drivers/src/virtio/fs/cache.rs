//! The pages of a file that are in memory.
//!
//! ```text
//! runs, ascending     first page, and the frames from it on
//! 0                   [frame frame frame ... ]
//! 64                  [frame ... ]
//! ```
//!
//! A run is what one request read, and goes in as it came: caching costs nothing a page. A frame here may be mapped
//! by programs at the same time; then the cache is not its only owner. Files are mostly read from the front, so a
//! search mostly ends at the last run or where the one before ended.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::mem;
use core::ops::Range;
use septum_guest_hal::address::to_usize;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::report;

/// Neighbouring pages, at least one. The report counts them.
struct Run {
    first: u64,
    frames: Vec<Frame>,
}

impl Drop for Run {
    fn drop(&mut self) {
        report::frames_not_cached(self.frames.len());
    }
}

impl Run {
    fn new(first: u64, frames: Vec<Frame>) -> Self {
        report::frames_cached(frames.len());
        Self { first, frames }
    }

    /// Takes the pages out.
    fn take(&mut self) -> Vec<Frame> {
        report::frames_not_cached(self.frames.len());
        mem::take(&mut self.frames)
    }

    fn truncate(&mut self, len: usize) {
        report::frames_not_cached(self.frames.len().saturating_sub(len));
        self.frames.truncate(len);
    }

    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Where a page is, as seen from this run.
    fn place(&self, page: u64) -> Ordering {
        if page < self.first {
            Ordering::Greater
        } else if page >= self.end() {
            Ordering::Less
        } else {
            Ordering::Equal
        }
    }
}

/// The cached pages of one file. Small while there are none, since most files are never read.
#[derive(Default)]
pub struct PageCache(Option<Box<Runs>>);

#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
    /// Where the last search ended.
    hint: usize,
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
        self.0.as_ref().is_none_or(|all| all.runs.is_empty())
    }

    /// The frame of a page.
    pub fn get(&mut self, page: u64) -> Option<&Frame> {
        let all = self.0.as_mut()?;
        let at = all.position(page).ok()?;
        let run = all.runs.get(at)?;
        run.frames.get(to_usize(page - run.first))
    }

    /// Tells of those of the `count` pages from `first` on that are cached: how far from `first`, and the frames.
    pub fn tell(&mut self, first: u64, count: u64, tell: &mut dyn FnMut(u64, &[Frame])) {
        let Some(all) = &mut self.0 else { return };
        let end = first + count;
        let at = all.position(first).unwrap_or_else(|at| at);
        for run in all.runs.iter().skip(at).take_while(|run| run.first < end) {
            let (from, to) = (first.max(run.first), end.min(run.end()));
            let frames = run.frames.get(to_usize(from - run.first)..to_usize(to - run.first));
            tell(from - first, frames.unwrap_or_default());
        }
    }

    /// Caches `frames` as the pages from `first` on, except those that somebody was faster with.
    pub fn insert(&mut self, first: u64, frames: Vec<Frame>) {
        self.0.get_or_insert_default().insert(first, frames);
    }

    /// The pages around `page`, which is not cached, that are not cached either, within `limits`.
    pub fn missing_around(&mut self, page: u64, limits: Range<u64>) -> Range<u64> {
        let Some(all) = &mut self.0 else { return limits };
        let at = all.position(page).unwrap_or_else(|at| at);
        let before = at.checked_sub(1).and_then(|before| all.runs.get(before)).map_or(0, Run::end);
        let after = all.runs.get(at).map_or(u64::MAX, |after| after.first);
        limits.start.max(before)..limits.end.min(after)
    }

    /// Takes all pages from `first` on out.
    pub fn truncate(&mut self, first: u64) {
        let Some(all) = &mut self.0 else { return };
        all.runs.retain_mut(|run| {
            run.truncate(to_usize(first.saturating_sub(run.first)));
            !run.frames.is_empty()
        });
    }

    /// Takes the pages of a range out for which `is_unwanted`.
    pub fn remove_if(&mut self, range: Range<u64>, mut is_unwanted: impl FnMut(u64, &Frame) -> bool) {
        let Some(all) = &mut self.0 else { return };
        let mut at = all.position(range.start).unwrap_or_else(|at| at);
        while let Some(run) = all.runs.get_mut(at).filter(|run| run.first < range.end) {
            let mut left = Vec::new();
            let mut current = (run.first, Vec::new());
            for (page, frame) in (run.first..).zip(run.take()) {
                if range.contains(&page) && is_unwanted(page, &frame) {
                    left.push(mem::replace(&mut current, (page + 1, Vec::new())));
                } else {
                    current.1.push(frame);
                }
            }
            left.push(current);
            left.retain(|(_, frames)| !frames.is_empty());
            let left: Vec<Run> = left.into_iter().map(|(first, frames)| Run::new(first, frames)).collect();
            let next = at + left.len();
            all.runs.splice(at..=at, left);
            at = next;
        }
    }
}

impl Runs {
    /// The run that holds `page`, or where one that does would be.
    fn position(&mut self, page: u64) -> Result<usize, usize> {
        if self.runs.get(self.hint).is_some_and(|run| run.place(page) == Ordering::Equal) {
            return Ok(self.hint);
        }
        let found = match self.runs.last() {
            Some(last) if last.end() <= page => Err(self.runs.len()),
            _ => self.runs.binary_search_by(|run| run.place(page)),
        };
        self.hint = found.unwrap_or(self.hint);
        found
    }

    fn insert(&mut self, mut first: u64, mut frames: Vec<Frame>) {
        while !frames.is_empty() {
            match self.position(first) {
                Err(at) => {
                    let room = self.runs.get(at).map_or(usize::MAX, |next| to_usize(next.first - first));
                    let rest = if frames.len() > room { frames.split_off(room) } else { Vec::new() };
                    let run = Run::new(first, mem::replace(&mut frames, rest));
                    first = run.end();
                    self.runs.insert(at, run);
                    self.hint = at;
                }
                Ok(at) => {
                    let taken = self.runs.get(at).map_or(0, |run| to_usize(run.end() - first));
                    let taken = taken.min(frames.len());
                    frames.drain(..taken);
                    first += taken as u64;
                }
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
            cache.insert(page, vec![Frame::uninit().unwrap()]);
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
        cache.insert(4, (4..20).map(|_| Frame::uninit().unwrap()).collect());
        assert_eq!(cache.get(5), Some(&first));
        assert!((4..20).all(|page| cache.get(page).is_some()));
        assert_eq!(cache.missing_around(30, 0..100), 20..31);
        assert_eq!(cache.missing_around(2, 0..100), 1..4);
        assert_eq!(cache.missing_around(50, 45..60), 45..60);
        let mut told = |first: u64, count: u64| {
            let mut pages = Vec::new();
            cache.tell(first, count, &mut |at, frames| pages.extend((at..).take(frames.len())));
            pages
        };
        assert_eq!(told(14, 8), [0, 1, 2, 3, 4, 5]);
        assert_eq!(told(999, 3), [0, 1]);
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
