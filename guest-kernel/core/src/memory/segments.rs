//! System V shared memory: segments with numbers and keys, which processes map as they like.
//!
//! ```text
//! shmget ──► Segment (key, number) ──IPC_RMID──► without key ──the last mapping goes──► gone
//! ```
//!
//! A segment's pages are [`SharedMemory`], so that mappings keep them, and are kept here until the segment is removed. How often it is
//! mapped is how often somebody else holds them.

use super::shared::SharedMemory;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use septum_abi::linux::Errno;
use septum_guest_hal::clock::realtime_ns;
use septum_guest_hal::sync::Mutex;

/// Most segments (SHMMNI).
pub const MOST: usize = 4096;
/// IPC_PRIVATE: a segment that has no key.
const PRIVATE: i32 = 0;

/// Whoever asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Process.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

enum Pages {
    Kept(Arc<SharedMemory>),
    /// It was removed: mappings alone keep them.
    Removed(Weak<SharedMemory>),
}

/// A segment.
pub struct Segment {
    /// 0: none.
    pub key: i32,
    /// Bytes, as asked for.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
    /// Owner and group, and those of who made it.
    pub owner: [u32; 2],
    /// See above.
    pub creator: [u32; 2],
    /// Process that made it, and the last that mapped it.
    pub pids: [u32; 2],
    /// Seconds since 1970 of the last mapping, unmapping and change.
    pub times: [u64; 3],
    pages: Pages,
}

impl Segment {
    /// Its pages, while it is there.
    #[must_use]
    pub fn memory(&self) -> Option<Arc<SharedMemory>> {
        match &self.pages {
            Pages::Kept(memory) => Some(Arc::clone(memory)),
            Pages::Removed(memory) => memory.upgrade(),
        }
    }

    /// Whether it was removed.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        matches!(self.pages, Pages::Removed(_))
    }

    /// How often it is mapped.
    #[must_use]
    pub fn mappings(&self) -> u64 {
        match &self.pages {
            Pages::Kept(memory) => Arc::strong_count(memory) as u64 - 1,
            Pages::Removed(memory) => memory.strong_count() as u64,
        }
    }

    /// EACCES unless `caller` may read (4) or write (2), as `wanted` says.
    pub fn check(&self, caller: Caller, wanted: u32) -> Result<(), Errno> {
        let Caller { uid, gid, .. } = caller;
        let class = match () {
            () if uid == 0 => return Ok(()),
            () if uid == self.owner[0] || uid == self.creator[0] => self.mode >> 6,
            () if gid == self.owner[1] || gid == self.creator[1] => self.mode >> 3,
            () => self.mode,
        };
        if wanted & !class & 7 == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM unless `caller` may change or remove it.
    pub fn check_owner(&self, caller: Caller) -> Result<(), Errno> {
        let is_owner = [0, self.owner[0], self.creator[0]].contains(&caller.uid);
        if is_owner { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Removes it: nobody finds it by its key any more.
    pub fn remove(&mut self) {
        if let Pages::Kept(memory) = &self.pages {
            self.key = PRIVATE;
            self.pages = Pages::Removed(Arc::downgrade(memory));
        }
    }
}

/// Seconds since 1970.
#[must_use]
pub fn seconds() -> u64 {
    realtime_ns() / 1_000_000_000
}

/// All segments.
#[derive(Default)]
pub struct Segments {
    segments: BTreeMap<i32, Segment>,
    next: i32,
}

/// Those of the partition.
pub static SEGMENTS: Mutex<Segments> = Mutex::new(Segments { segments: BTreeMap::new(), next: 0 });

/// What `shmget` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Key, or 0 for none.
    pub key: i32,
    /// Bytes.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
    /// It may be made.
    pub creates: bool,
    /// It must not be there.
    pub is_exclusive: bool,
}

impl Segments {
    /// The number of the segment that is asked for, which is made if need be.
    pub fn get(&mut self, request: Request, caller: Caller) -> Result<i32, Errno> {
        self.segments.retain(|_, segment| segment.memory().is_some());
        let Request { key, size, mode, creates, is_exclusive } = request;
        let found = self.segments.iter().find(|(_, segment)| key != PRIVATE && segment.key == key);
        if let Some((&id, segment)) = found {
            if creates && is_exclusive {
                return Err(Errno::EEXIST);
            }
            if size > segment.size {
                return Err(Errno::EINVAL);
            }
            segment.check(caller, (mode >> 6 | mode >> 3 | mode) & 6)?;
            return Ok(id);
        }
        if key != PRIVATE && !creates {
            return Err(Errno::ENOENT);
        }
        if size == 0 {
            return Err(Errno::EINVAL);
        }
        if self.segments.len() >= MOST {
            return Err(Errno::ENOSPC);
        }
        while self.segments.contains_key(&self.next) {
            self.next = self.next.checked_add(1).unwrap_or(0);
        }
        let id = self.next;
        self.next = id.checked_add(1).unwrap_or(0);
        let owner = [caller.uid, caller.gid];
        let (pids, times) = ([caller.pid, 0], [0, 0, seconds()]);
        let pages = Pages::Kept(Arc::default());
        self.segments
            .insert(id, Segment { key, size, mode: mode & 0o777, owner, creator: owner, pids, times, pages });
        Ok(id)
    }

    /// The segment with this number. EINVAL if there is none.
    pub fn find(&mut self, id: i32) -> Result<&mut Segment, Errno> {
        self.segments.get_mut(&id).filter(|segment| segment.memory().is_some()).ok_or(Errno::EINVAL)
    }

    /// The one whose pages these are.
    pub fn of(&mut self, memory: &Arc<SharedMemory>) -> Option<&mut Segment> {
        let is_it = |segment: &&mut Segment| match &segment.pages {
            Pages::Kept(own) => Arc::ptr_eq(own, memory),
            Pages::Removed(own) => core::ptr::eq(own.as_ptr(), Arc::as_ptr(memory)),
        };
        self.segments.values_mut().find(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Caller = Caller { pid: 1, uid: 0, gid: 0 };

    fn request(key: i32, size: u64) -> Request {
        Request { key, size, mode: 0o600, creates: true, is_exclusive: false }
    }

    #[test]
    fn keys_lead_to_segments_until_they_are_removed_and_mappings_keep_them() {
        let mut segments = Segments::default();
        let id = segments.get(request(7, 100), ROOT).unwrap();
        assert_eq!(segments.get(request(7, 50), ROOT), Ok(id));
        assert_eq!(segments.get(request(7, 101), ROOT), Err(Errno::EINVAL));
        assert_eq!(segments.get(Request { is_exclusive: true, ..request(7, 1) }, ROOT), Err(Errno::EEXIST));
        assert_eq!(segments.get(Request { creates: false, ..request(8, 1) }, ROOT), Err(Errno::ENOENT));
        assert_ne!(segments.get(request(0, 1), ROOT), segments.get(request(0, 1), ROOT));
        let other = Caller { uid: 5, ..ROOT };
        assert_eq!(segments.get(request(7, 1), other), Err(Errno::EACCES));
        let mapping = segments.find(id).unwrap().memory().unwrap();
        assert_eq!(segments.find(id).unwrap().mappings(), 1);
        segments.find(id).unwrap().remove();
        assert!(segments.find(id).is_ok_and(|segment| segment.is_removed()));
        assert!(segments.get(request(7, 1), ROOT).is_ok_and(|new| new != id));
        assert!(segments.of(&mapping).is_some());
        drop(mapping);
        assert_eq!(segments.find(id).err(), Some(Errno::EINVAL));
    }
}
