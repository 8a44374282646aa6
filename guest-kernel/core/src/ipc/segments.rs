//! System V shared memory: segments with numbers and keys, which processes map as they like.
//!
//! ```text
//! shmget ──► Segment (key, number) ──IPC_RMID──► without key ──the last mapping goes──► gone
//! ```
//!
//! A segment's pages are [`SharedMemory`], so that mappings keep them, and are kept here until the segment is removed. How often it is
//! mapped is how often somebody else holds them.

use super::table::Table;
use super::{Caller, PRIVATE, Permission, Request, seconds};
use crate::memory::shared::SharedMemory;
use alloc::sync::{Arc, Weak};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Most segments (SHMMNI).
pub const MOST: usize = 4096;

enum Pages {
    Kept(Arc<SharedMemory>),
    /// It was removed: mappings alone keep them.
    Removed(Weak<SharedMemory>),
}

/// A segment.
pub struct Segment {
    /// Whose it is.
    pub permission: Permission,
    /// Bytes, as asked for.
    pub size: u64,
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

    /// How many of its pages are there.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.memory().map_or(0, |memory| memory.count())
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

    /// Removes it: nobody finds it by its key any more.
    pub fn remove(&mut self) {
        if let Pages::Kept(memory) = &self.pages {
            self.permission.key = PRIVATE;
            self.pages = Pages::Removed(Arc::downgrade(memory));
        }
    }
}

/// All segments.
#[derive(Default)]
pub struct Segments {
    segments: Table<Segment>,
}

/// Those of the partition.
pub static SEGMENTS: Mutex<Segments> = Mutex::new(Segments { segments: Table::new() });

impl Segments {
    /// The number of the segment that is asked for, which is made if need be.
    pub fn get(&mut self, request: Request, caller: Caller) -> Result<i32, Errno> {
        self.clear_up();
        let Request { key, size, .. } = request;
        let has_key = |segment: &Segment| key != PRIVATE && segment.permission.key == key;
        if let Some((id, segment)) = self.segments.iter().find(|(_, segment)| has_key(segment)) {
            return request.accepts(&segment.permission, segment.size, caller).map(|()| id);
        }
        request.may_make()?;
        if size == 0 {
            return Err(Errno::EINVAL);
        }
        if self.segments.count() >= MOST {
            return Err(Errno::ENOSPC);
        }
        let permission = Permission::new(&request, caller);
        let (pids, times) = ([caller.pid, 0], [0, 0, seconds()]);
        self.segments.insert(Segment { permission, size, pids, times, pages: Pages::Kept(Arc::default()) })
    }

    /// Forgets those that nobody has any more.
    fn clear_up(&mut self) {
        self.segments.retain(|segment| segment.memory().is_some());
    }

    /// The segments by their numbers and places.
    pub fn table(&mut self) -> &Table<Segment> {
        self.clear_up();
        &self.segments
    }

    /// The segment with this number. EINVAL if there is none.
    pub fn find(&mut self, id: i32) -> Result<&mut Segment, Errno> {
        self.segments.get_mut(id).ok().filter(|segment| segment.memory().is_some()).ok_or(Errno::EINVAL)
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
