//! Which virtual machines the host's kernel is still taking apart, when their workers have ended.
//!
//! A worker that has a place has its virtual machine closed late ([`CloseLater`](septum_machine::Core::new)), and nobody waits for that. The kernel closes
//! such files one after the other, for all processes of the host, so that whoever starts partitions faster than they are taken apart must be
//! slowed down: there are [`PLACES`], and a partition that begins when none is free waits at its end, as it would without all this.
//!
//! A place is a byte of a file in the runtime directory, taken by a lock (`F_OFD_SETLK`) that ends with the last descriptor of the file. The kernel
//! has one together with the virtual machine.
#![allow(unsafe_code, reason = "locks of open file descriptions")]

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use septum_registry::directory::ENDING;

/// Each takes the kernel some 10 to 60 ms, most of which it waits.
const PLACES: i64 = 16;

/// A worker's way to a place.
pub(crate) struct Ending {
    file: OwnedFd,
}

impl Ending {
    /// Looks for a free place, which is nobody's before [`begin`](Self::begin). `None` if there is none, or nowhere to look.
    pub(crate) fn find(runtime: &Path) -> Option<Self> {
        // Read-only: whoever takes the worker over gets nothing that could be written to.
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(runtime.join(ENDING), flags, Mode::RUSR | Mode::WUSR).ok()?;
        let ending = Self { file };
        ending.free_place().map(|_| ending)
    }

    /// The end begins: takes a place. If others were faster, one is taken twice, or none.
    pub(crate) fn begin(&self) {
        if let Some(place) = self.free_place() {
            let _ = self.lock(libc::F_OFD_SETLK, libc::F_RDLCK, place);
        }
    }

    fn free_place(&self) -> Option<i64> {
        // Whether anybody has it is asked with the stronger lock.
        (0..PLACES).find(|&place| self.lock(libc::F_OFD_GETLK, libc::F_WRLCK, place) == Some(libc::F_UNLCK))
    }

    /// The lock that is there, or was taken; `None` if that failed.
    fn lock(&self, command: i32, kind: i32, place: i64) -> Option<i32> {
        let kind = i16::try_from(kind).unwrap_or(0);
        let whence = i16::try_from(libc::SEEK_SET).unwrap_or(0);
        let mut lock = libc::flock { l_type: kind, l_whence: whence, l_start: place, l_len: 1, l_pid: 0 };
        // SAFETY: 1. both commands take a pointer to one such structure, which outlives the call.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), command, &raw mut lock) };
        (result == 0).then(|| i32::from(lock.l_type))
    }
}

impl AsFd for Ending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_as_are_said_and_each_becomes_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken: Vec<Ending> = (0..PLACES)
            .map(|_| {
                let ending = Ending::find(folder.path()).expect("a free place");
                ending.begin();
                ending
            })
            .collect();
        assert!(Ending::find(folder.path()).is_none());
        taken.remove(3);
        // A process that another test forks has the file, and with it the lock, until it executes.
        let mut tries = (0..500).map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            Ending::find(folder.path())
        });
        let found = tries.find_map(|found| found).expect("the place that is free again");
        assert_eq!(found.free_place(), Some(3));
    }

    #[test]
    fn where_there_is_no_folder_there_is_no_place() {
        assert!(Ending::find(Path::new("/nowhere/at/all")).is_none());
    }
}
