//! Files in the guest's physical memory: mapping requests, and what becomes of a mapping when its file changes its length.
//!
//! ```text
//! unit of 2 MiB     ├── file's pages ──┤── nothing ──┤        nothing: any access is an exit, and the guest is told
//! file                                 ▲ end
//! ```
//!
//! KVM would try for ever to get a page beyond a file's end. So there is nothing behind the last page: at first, and again
//! whenever the length changed. The guest's own changes are followed before it has the reply; those of others when the host's
//! notification (inotify) comes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingFlags};
use fuse_backend_rs::transport::FsCacheReqHandler;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use septum_abi::layout::{FILE_WINDOW_UNIT as UNIT, PAGE_SIZE};

use crate::core::{FileWindow, lock};

const PAGE: u64 = PAGE_SIZE as u64;

/// A file that the guest has mapped.
struct Mapped {
    /// Opened for this; writable once a unit is.
    file: File,
    is_writable: bool,
    watch: i32,
    /// End of its pages, when it was last looked at.
    end: u64,
    /// Offset in the file of each unit, by its place in the window.
    units: BTreeMap<u64, u64>,
}

/// What is mapped in the window.
pub(super) struct Mappings {
    window: Arc<dyn FileWindow>,
    /// By the number under which the guest knows the file.
    files: BTreeMap<u64, Mapped>,
    /// Which file's a unit is, by place.
    owners: BTreeMap<u64, u64>,
    notifications: Option<OwnedFd>,
}

/// End of the last page of a file.
fn end_of(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.size().next_multiple_of(PAGE))
}

impl Mapped {
    /// Makes the unit at `at` show the file up to its end, and nothing behind.
    fn show(&self, window: &dyn FileWindow, at: u64, offset: u64) -> io::Result<()> {
        let len = self.end.saturating_sub(offset).min(UNIT);
        if len > 0 {
            window.map(at, len, self.file.as_raw_fd(), offset, self.is_writable)?;
        }
        if len < UNIT { window.unmap(at + len, UNIT - len) } else { Ok(()) }
    }

    /// Follows a change of the file's length.
    fn follow(&mut self, window: &dyn FileWindow) {
        // What cannot be looked at is shown as it was.
        let Ok(end) = end_of(&self.file) else { return };
        let old = std::mem::replace(&mut self.end, end);
        for (&at, &offset) in &self.units {
            let shown = |end: u64| end.saturating_sub(offset).min(UNIT);
            if shown(old) != shown(end)
                && let Err(error) = self.show(window, at, offset)
            {
                log::warn!("a mapped file changed its length, and its mapping could not follow: {error}");
            }
        }
    }
}

impl Mappings {
    pub(super) fn new(window: Arc<dyn FileWindow>) -> Self {
        Self { window, files: BTreeMap::new(), owners: BTreeMap::new(), notifications: None }
    }

    /// Where the host tells of changes, once there is something to tell of.
    pub(super) fn notifications(&self) -> Option<&OwnedFd> {
        self.notifications.as_ref()
    }

    /// Follows what the host told of. Each file is looked at, so it does not matter what exactly that was.
    pub(super) fn notified(&mut self) {
        let Some(notifications) = &self.notifications else { return };
        let mut events = [0; 4096];
        while rustix::io::read(notifications, &mut events).is_ok_and(|len| len > 0) {}
        self.files.values_mut().for_each(|mapped| mapped.follow(&*self.window));
    }

    /// Follows a change that the guest itself made to `node`.
    pub(super) fn changed(&mut self, node: u64) {
        if let Some(mapped) = self.files.get_mut(&node) {
            mapped.follow(&*self.window);
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        let place = self.window.place();
        if !self.owners.is_empty()
            && let Err(error) = self.window.unmap(0, place.end - place.start)
        {
            log::error!("the file window could not be emptied: {error}");
        }
        self.owners.clear();
        for mapped in std::mem::take(&mut self.files).into_values() {
            self.unwatch(&mapped);
        }
    }

    fn map(
        &mut self,
        node: u64,
        at: u64,
        len: u64,
        file: RawFd,
        offset: u64,
        is_writable: bool,
    ) -> io::Result<()> {
        let size = self.window.place().end - self.window.place().start;
        let is_whole = |value: u64| value.is_multiple_of(UNIT);
        let fits = at.checked_add(len).is_some_and(|end| end <= size);
        let is_in_file = offset.checked_add(len).is_some_and(|end| end <= i64::MAX.cast_unsigned());
        if len == 0 || !fits || !is_in_file || !is_whole(at) || !is_whole(len) || !is_whole(offset) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        self.open(node, file, is_writable)?;
        for step in 0..len / UNIT {
            let (at, offset) = (at + step * UNIT, offset + step * UNIT);
            match self.owners.insert(at, node) {
                Some(old) if old != node => self.take_from(old, at),
                _ => {}
            }
            if let Some(mapped) = self.files.get_mut(&node) {
                mapped.units.insert(at, offset);
                mapped.show(&*self.window, at, offset)?;
            }
        }
        Ok(())
    }

    /// Keeps `file`, which is `node`, for as long as it is mapped, and has the host tell of its changes.
    fn open(&mut self, node: u64, file: RawFd, is_writable: bool) -> io::Result<()> {
        if let Some(mapped) = self.files.get(&node)
            && (mapped.is_writable || !is_writable)
        {
            return Ok(());
        }
        let path = format!("/proc/self/fd/{file}");
        let notifications = match self.notifications.take() {
            Some(notifications) => notifications,
            None => inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
        };
        let notifications = self.notifications.insert(notifications);
        let watch = inotify::add_watch(&*notifications, &path, WatchFlags::MODIFY)?;
        let file = File::options().read(true).write(is_writable).open(&path)?;
        let end = end_of(&file)?;
        let units = self.files.remove(&node).map_or_else(BTreeMap::new, |mapped| mapped.units);
        let mapped = Mapped { file, is_writable, watch, end, units };
        // Those that could only be read so far.
        for (&at, &offset) in &mapped.units {
            mapped.show(&*self.window, at, offset)?;
        }
        self.files.insert(node, mapped);
        Ok(())
    }

    fn unmap(&mut self, at: u64, len: u64) -> io::Result<()> {
        self.window.unmap(at, len)?;
        let last = at.saturating_add(len).div_ceil(UNIT);
        let gone: Vec<u64> = self.owners.range(at / UNIT * UNIT..last * UNIT).map(|(at, _)| *at).collect();
        for at in gone {
            if let Some(node) = self.owners.remove(&at) {
                self.take_from(node, at);
            }
        }
        Ok(())
    }

    /// Takes the unit at `at` from a file, which goes with its last.
    fn take_from(&mut self, node: u64, at: u64) {
        let Some(mapped) = self.files.get_mut(&node) else { return };
        mapped.units.remove(&at);
        if mapped.units.is_empty()
            && let Some(mapped) = self.files.remove(&node)
        {
            self.unwatch(&mapped);
        }
    }

    fn unwatch(&self, mapped: &Mapped) {
        if let Some(notifications) = &self.notifications {
            // Whoever deleted the file has ended the watch already.
            let _ = inotify::remove_watch(notifications, mapped.watch);
        }
    }
}

/// The mappings as the FUSE server wants them, for one request about `node`.
pub(super) struct Mapper {
    pub mappings: Arc<Mutex<Mappings>>,
    pub node: u64,
}

impl FsCacheReqHandler for Mapper {
    fn map(&mut self, offset: u64, at: u64, len: u64, flags: u64, file: RawFd) -> io::Result<()> {
        let is_writable = flags & SetupmappingFlags::WRITE.bits() != 0;
        lock(&self.mappings).map(self.node, at, len, file, offset, is_writable)
    }

    fn unmap(&mut self, requests: Vec<RemovemappingOne>) -> io::Result<()> {
        let mut mappings = lock(&self.mappings);
        requests.iter().try_for_each(|request| mappings.unmap(request.moffset, request.len))
    }
}
