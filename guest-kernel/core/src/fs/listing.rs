//! Reading directories from a snapshot.
//!
//! A directory that is kept in memory is listed once, when reading starts (and again when it starts over, as
//! `rewinddir` promises), and read from that list: positions stay valid whatever is removed in between, as `rm -r` needs.
//! All names share one buffer.

use super::inode::{DirectoryEntry, File, FileKind};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// The entries of a directory at one moment.
#[derive(Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// End of its name in `names`; it starts where the previous one ends.
    name_end: usize,
    inode: u64,
    kind: FileKind,
}

impl Listing {
    /// Adds an entry.
    pub fn push(&mut self, name: &[u8], inode: u64, kind: FileKind) {
        self.names.extend_from_slice(name);
        self.entries.push(Entry { name_end: self.names.len(), inode, kind });
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Calls `emit` for the entries from `from` on until it returns false.
    pub fn read(&self, from: u64, emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool) {
        let Ok(first) = usize::try_from(from) else { return };
        let mut start = match first.checked_sub(1) {
            None => 0,
            Some(previous) => match self.entries.get(previous) {
                Some(entry) => entry.name_end,
                None => return,
            },
        };
        for (next, entry) in (from + 1..).zip(&self.entries[first..]) {
            let name = &self.names[start..entry.name_end];
            start = entry.name_end;
            if !emit(DirectoryEntry { name, inode: entry.inode, kind: entry.kind, next }) {
                return;
            }
        }
    }
}

type Fill = dyn Fn(&mut Listing) -> Result<(), Errno> + Send + Sync;

/// An open directory that is read from snapshots.
pub struct ListedDirectory {
    fill: Box<Fill>,
    listing: Mutex<Listing>,
}

impl ListedDirectory {
    /// A directory whose entries `fill` adds.
    pub fn new(fill: impl Fn(&mut Listing) -> Result<(), Errno> + Send + Sync + 'static) -> Self {
        Self { fill: Box::new(fill), listing: Mutex::default() }
    }
}

impl File for ListedDirectory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_directory(
        &self,
        from: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let mut listing = self.listing.lock();
        if from == 0 {
            *listing = Listing::default();
            (self.fill)(&mut listing)?;
        }
        listing.read(from, emit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &ListedDirectory, from: u64, most: usize) -> (Vec<Vec<u8>>, u64) {
        let (mut names, mut next) = (Vec::new(), from);
        directory
            .read_directory(from, &mut |entry| {
                if names.len() == most {
                    return false;
                }
                names.push(entry.name.to_vec());
                next = entry.next;
                true
            })
            .unwrap();
        (names, next)
    }

    #[test]
    fn reading_goes_on_where_it_stopped() {
        let directory = ListedDirectory::new(|listing| {
            for name in [&b"one"[..], b"two", b"three"] {
                listing.push(name, 1, FileKind::Regular);
            }
            Ok(())
        });
        let (first, next) = names(&directory, 0, 2);
        assert_eq!(first, [&b"one"[..], b"two"]);
        let (rest, next) = names(&directory, next, 2);
        assert_eq!(rest, [b"three"]);
        assert_eq!(names(&directory, next, 2).0.len(), 0);
        assert_eq!(names(&directory, 77, 2).0.len(), 0);
    }
}
