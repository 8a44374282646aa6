//! What the host lists of a directory (`fuse_dirent`), and keeping it for directories that never change.
//!
//! A listing that is kept is the host's own bytes. Whoever lists the directory again, or looks for a name that is not in it, has
//! the answer at once.

use super::fuse;
use alloc::vec::Vec;

/// Longest name.
const NAME_LIMIT: usize = 255;
/// The largest listing that is kept, in bytes: some three hundred names.
pub const KEPT: usize = 16 * 1024;

/// An entry of a directory.
pub struct Entry<'a> {
    pub name: &'a [u8],
    pub inode: u64,
    /// The kind, as in the upper bits of a mode.
    pub kind: u32,
    /// The position after it.
    pub next: u64,
}

/// The first entry in `bytes`, and what follows it; nothing if it makes no sense.
fn split(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(fuse::ENTRY_HEADER)?;
    let word = |index: usize| header.get(8 * index..8 * index + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (inode, next, name) = (word(0)?, word(1)?, word(2)?);
    let len = usize::try_from(fuse::low(name)).ok().filter(|len| (1..=NAME_LIMIT).contains(len))?;
    let entry = Entry { name: rest.get(..len)?, inode, kind: fuse::high(name), next };
    let padded = (fuse::ENTRY_HEADER + len).next_multiple_of(8) - fuse::ENTRY_HEADER;
    Some((entry, rest.get(padded..).unwrap_or_default()))
}

/// The entries in `bytes`. Those that no program should see are among them.
pub fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    core::iter::from_fn(move || {
        let (entry, rest) = split(bytes)?;
        bytes = rest;
        Some(entry)
    })
}

/// What follows position `at`, if an entry ends there.
pub fn after(mut bytes: &[u8], at: u64) -> Option<&[u8]> {
    while let Some((entry, rest)) = split(bytes) {
        bytes = rest;
        if entry.next == at {
            return Some(rest);
        }
    }
    None
}

impl Entry<'_> {
    /// Whether it is one of the directory's own.
    pub fn is_sound(&self) -> bool {
        !matches!(self.name, b"." | b"..") && !self.name.contains(&b'/') && !self.name.contains(&0)
    }
}

/// What has been seen of a directory from its beginning on, without a gap.
#[derive(Default)]
pub struct Gathering {
    bytes: Vec<u8>,
    position: u64,
    is_useless: bool,
}

impl Gathering {
    /// Takes in what the host listed from position `from` to `next`. What is not the next piece, or too much, is not kept.
    pub fn add(&mut self, from: u64, bytes: &[u8], next: u64) {
        self.is_useless |= from != self.position || self.bytes.len() + bytes.len() > KEPT;
        if self.is_useless {
            self.bytes = Vec::new();
            return;
        }
        self.bytes.extend_from_slice(bytes);
        self.position = next;
    }

    /// The whole listing, if the directory ends at position `end`.
    pub fn finish(&mut self, end: u64) -> Option<Vec<u8>> {
        let is_whole = !self.is_useless && end == self.position && !self.bytes.is_empty();
        is_whole.then(|| core::mem::take(&mut self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirent(name: &str, next: u64) -> Vec<u8> {
        let mut bytes: Vec<u8> = [7, next].into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend(8_u32.to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn names(bytes: &[u8]) -> Vec<&[u8]> {
        entries(bytes).map(|entry| entry.name).collect()
    }

    #[test]
    fn entries_end_where_they_make_no_sense() {
        let good = [dirent("one", 1), dirent("eight888", 2)].concat();
        assert_eq!(names(&good), [&b"one"[..], b"eight888"]);
        assert!(names(&[]).is_empty());
        assert_eq!(after(&good, 1).map(names), Some(vec![&b"eight888"[..]]));
        assert_eq!((after(&good, 2), after(&good, 3)), (Some(&[][..]), None));
        for cut in 1..good.len() {
            assert!(names(&good[..cut]).len() < 3);
        }
        let mut long = dirent("x", 1);
        for len in [0, 256, u32::MAX] {
            long[16..20].copy_from_slice(&len.to_le_bytes());
            assert!(names(&long).is_empty());
        }
        assert!(entries(&dirent("..", 1)).all(|entry| !entry.is_sound()));
        assert!(entries(&dirent("a/b", 1)).all(|entry| !entry.is_sound()));
    }

    #[test]
    fn a_listing_is_kept_if_it_was_seen_without_a_gap() {
        let mut whole = Gathering::default();
        whole.add(0, &dirent("one", 5), 5);
        whole.add(5, &dirent("two", 9), 9);
        assert_eq!(names(&whole.finish(9).unwrap()), [b"one", b"two"]);
        let mut begun = Gathering::default();
        begun.add(0, &dirent("one", 5), 5);
        assert_eq!(begun.finish(9), None);
        begun.add(6, &dirent("three", 9), 9);
        assert_eq!(begun.finish(9), None);
        let mut large = Gathering::default();
        for position in 0..1000 {
            large.add(position, &dirent("some name", position + 1), position + 1);
        }
        assert_eq!(large.finish(1000), None);
    }
}
