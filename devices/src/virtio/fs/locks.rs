//! Locks that the guest's programs have on files, taken on the host too: against other partitions and programs of the host.
//!
//! The guest decides who of its own has a lock, and asks for the partition as a whole. So each file has one open description here, whose
//! locks they are: `flock`, and the open file description locks of `fcntl`, which are in the way of those of processes. They end with the
//! descriptor, so with the process, however it ends. Nothing here waits: whoever would is told (EAGAIN), and asks again.
//!
//! A file stays open for as long as something of it is locked. The guest says so: the last lock of a kind goes with a request for all bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, flock};

/// Files that may have locks at once.
const MOST: usize = 4096;
/// Bytes of a request's arguments.
pub(super) const ARGUMENTS: usize = 48;
/// The last byte of any file (`OFFSET_MAX`).
const LAST: u64 = i64::MAX.cast_unsigned();
/// FUSE_LK_FLOCK: a lock of `flock`.
const WHOLE: u32 = 1;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    kind: Kind,
    first: u64,
    last: u64,
    is_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    None,
}

impl Wish {
    /// Takes the arguments of GETLK and SETLK apart; `None` if they make no sense.
    pub(super) fn parse(bytes: &[u8; ARGUMENTS]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let [_handle, _owner, first, last, kind, flags] =
            words.try_into().ok().map(|words: [[u8; 8]; 6]| words.map(u64::from_le_bytes))?;
        let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
        let kind = match half(kind) {
            0 => Kind::Read,
            1 => Kind::Write,
            2 => Kind::None,
            _ => return None,
        };
        let flags = half(flags);
        let is_possible = first <= last && last <= LAST && flags & !WHOLE == 0;
        is_possible.then_some(Self { kind, first, last, is_whole: flags & WHOLE != 0 })
    }

    fn is_everything(&self) -> bool {
        self.is_whole || (self.first == 0 && self.last == LAST)
    }

    fn to_host(self) -> libc::flock {
        let kind = match self.kind {
            Kind::Read => libc::F_RDLCK,
            Kind::Write => libc::F_WRLCK,
            Kind::None => libc::F_UNLCK,
        };
        let small = |number: i32| i16::try_from(number).unwrap_or(0);
        let len = if self.last == LAST { 0 } else { self.last - self.first + 1 };
        libc::flock {
            l_type: small(kind),
            l_whence: small(libc::SEEK_SET),
            l_start: self.first.cast_signed(),
            l_len: len.cast_signed(),
            l_pid: 0,
        }
    }
}

/// A file with locks.
#[derive(Debug)]
struct Locked {
    file: File,
    has_whole: bool,
    has_ranges: bool,
}

/// All files with locks, by the guest's numbers.
#[derive(Debug)]
pub(super) struct Locks {
    files: BTreeMap<u64, Locked>,
    most: usize,
}

impl Default for Locks {
    fn default() -> Self {
        Self { files: BTreeMap::new(), most: MOST }
    }
}

fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

fn of_host(errno: Errno) -> io::Error {
    // As Linux has it, both mean that somebody else has one.
    error(if errno == Errno::EACCES { libc::EAGAIN } else { errno as i32 })
}

impl Locks {
    /// SETLK. `open` opens the file, if it has no locks yet.
    ///
    /// # Errors
    /// EAGAIN if somebody else has a lock in the way; ENOLCK if too many files have locks; what the host says.
    pub(super) fn set(
        &mut self,
        node: u64,
        wish: Wish,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<()> {
        if !self.files.contains_key(&node) {
            if wish.kind == Kind::None {
                return Ok(());
            }
            if self.files.len() >= self.most {
                return Err(error(libc::ENOLCK));
            }
            let locked = Locked { file: open()?, has_whole: false, has_ranges: false };
            self.files.insert(node, locked);
        }
        let Some(locked) = self.files.get_mut(&node) else { return Ok(()) };
        let result = locked.set(wish);
        if !locked.has_whole && !locked.has_ranges {
            self.files.remove(&node);
        }
        result
    }

    /// GETLK: the arguments of the answer.
    ///
    /// # Errors
    /// What the host says.
    pub(super) fn get(
        &self,
        node: u64,
        wish: Wish,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<[u64; 3]> {
        let opened;
        let file = match self.files.get(&node) {
            Some(locked) => &locked.file,
            None => {
                opened = open()?;
                &opened
            }
        };
        if wish.is_whole || wish.kind == Kind::None {
            return Err(error(libc::EINVAL));
        }
        let mut found = wish.to_host();
        fcntl(file.as_raw_fd(), FcntlArg::F_OFD_GETLK(&mut found)).map_err(of_host)?;
        let kind = u64::try_from(found.l_type).unwrap_or(0);
        let first = found.l_start.cast_unsigned();
        let last =
            if found.l_len == 0 { LAST } else { first.saturating_add(found.l_len.cast_unsigned() - 1) };
        // Which process of the host it is, is no business of the guest's.
        Ok([first, last, kind])
    }

    /// Lets go of all.
    pub(super) fn clear(&mut self) {
        self.files.clear();
    }
}

impl Locked {
    fn set(&mut self, wish: Wish) -> io::Result<()> {
        if wish.is_whole {
            let operation = match wish.kind {
                Kind::Read => FlockOperation::NonBlockingLockShared,
                Kind::Write => FlockOperation::NonBlockingLockExclusive,
                Kind::None => FlockOperation::NonBlockingUnlock,
            };
            flock(&self.file, operation)?;
        } else {
            let lock = wish.to_host();
            fcntl(self.file.as_raw_fd(), FcntlArg::F_OFD_SETLK(&lock)).map_err(of_host)?;
        }
        let is_left = wish.kind != Kind::None || !wish.is_everything();
        let has = if wish.is_whole { &mut self.has_whole } else { &mut self.has_ranges };
        *has = is_left && (*has || wish.kind != Kind::None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(kind: u32, first: u64, last: u64, flags: u32) -> Option<Wish> {
        let words = [0, 0, first, last, u64::from(kind), u64::from(flags)];
        Wish::parse(words.map(u64::to_le_bytes).as_flattened().try_into().unwrap())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(wish(0, 0, LAST, 0).is_some() && wish(2, 5, 5, 1).is_some());
        for (kind, first, last, flags) in [
            (3, 0, 1, 0),
            (u32::MAX, 0, 1, 0),
            (0, 2, 1, 0),
            (0, 0, LAST + 1, 0),
            (0, u64::MAX, u64::MAX, 0),
            (0, 0, 1, 2),
        ] {
            assert_eq!(wish(kind, first, last, flags), None);
        }
    }

    #[test]
    fn two_partitions_exclude_each_other_and_nothing_stays_open() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::options().read(true).write(true).open(file.path());
        let (mut one, mut other) = (Locks::default(), Locks::default());
        for flags in [0, WHOLE] {
            let all = |kind| wish(kind, 0, LAST, flags).unwrap();
            one.set(7, all(1), open).unwrap();
            let refused = other.set(9, all(0), open).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EAGAIN));
            assert!(other.files.is_empty());
            one.set(7, all(0), open).unwrap();
            other.set(9, all(0), open).unwrap();
            one.set(7, all(2), open).unwrap();
            other.set(9, all(2), open).unwrap();
            assert!(one.files.is_empty() && other.files.is_empty());
        }
        one.set(7, wish(1, 10, 19, 0).unwrap(), open).unwrap();
        let found = other.get(9, wish(0, 0, LAST, 0).unwrap(), open).unwrap();
        assert_eq!(found, [10, 19, 1]);
        other.set(9, wish(1, 20, LAST, 0).unwrap(), open).unwrap();
        one.clear();
        assert_eq!(other.get(9, wish(1, 0, LAST, 0).unwrap(), open).unwrap()[2], 2);
    }

    #[test]
    fn files_with_locks_are_bounded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut locks = Locks { most: 3, ..Locks::default() };
        let shared = |kind| wish(kind, 0, LAST, WHOLE).unwrap();
        (0..3).for_each(|node| locks.set(node, shared(0), || file.reopen()).unwrap());
        let refused = locks.set(3, shared(0), || file.reopen()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOLCK));
        locks.set(1, shared(2), || unreachable!()).unwrap();
        locks.set(3, shared(0), || file.reopen()).unwrap();
    }
}
