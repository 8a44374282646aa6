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
//!
//! Where the host has a file in small pages, KVM maps each by an exit of its own. A program that goes through a file in order is
//! sooner done with copies of 2 MiB ([`copies`](super::copies)): they take the place of the units ahead of it, and the file itself comes back
//! when others follow, and whenever it is written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingFlags};
use fuse_backend_rs::transport::FsCacheReqHandler;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use septum_abi::layout::{FILE_WINDOW_UNIT as UNIT, PAGE_SIZE};

use super::copies::{Copier, MOST_COPIES};
use crate::core::{FileWindow, index, lock};

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
    /// Where the guest goes on if it maps the file in order.
    next: u64,
    /// It was written since it is mapped, or may be: somebody has it open for that.
    is_changing: bool,
}

/// What is mapped in the window.
pub(super) struct Mappings {
    window: Arc<dyn FileWindow>,
    /// By the number under which the guest knows the file.
    files: BTreeMap<u64, Mapped>,
    /// Which file's a unit is, by place.
    owners: BTreeMap<u64, u64>,
    notifications: Option<OwnedFd>,
    /// Places of units that are copies, the oldest first.
    copies: VecDeque<u64>,
    copier: Option<Copier>,
}

/// Told instead of a watch if there was more to tell than the host remembers.
const OVERFLOW: i32 = -1;

/// The watches that notifications are about, and whether that is only that somebody opened the file (inotify(7): watch, mask, cookie, length of
/// a name that follows).
fn watches_of(mut events: &[u8]) -> Vec<(i32, bool)> {
    let mut watches = Vec::new();
    while let Some((event, rest)) = events.split_first_chunk::<16>() {
        let [w0, w1, w2, w3, m0, m1, m2, m3, .., l0, l1, l2, l3] = *event;
        let mask = u32::from_ne_bytes([m0, m1, m2, m3]);
        watches.push((i32::from_ne_bytes([w0, w1, w2, w3]), mask == WatchFlags::OPEN.bits()));
        events = rest.get(index(u32::from_ne_bytes([l0, l1, l2, l3]))..).unwrap_or_default();
    }
    watches
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
        Self {
            window,
            files: BTreeMap::new(),
            owners: BTreeMap::new(),
            notifications: None,
            copies: VecDeque::new(),
            copier: None,
        }
    }

    /// Where the host tells of changes, once there is something to tell of.
    pub(super) fn notifications(&self) -> Option<&OwnedFd> {
        self.notifications.as_ref()
    }

    /// Follows what the host told of. Each file is looked at, so it does not matter what exactly that was.
    pub(super) fn notified(&mut self) {
        let Some(notifications) = &self.notifications else { return };
        let mut watches = BTreeSet::new();
        let mut events = [0; 4096];
        while let Ok(len) = rustix::io::read(notifications, &mut events)
            && len > 0
        {
            watches.extend(watches_of(&events[..len]));
        }
        let is_told = |mapped: &Mapped| {
            let is_changed = watches.contains(&(mapped.watch, false)) || watches.contains(&(OVERFLOW, false));
            // Whoever opened it may only read, as this process does.
            let is_opened = watches.contains(&(mapped.watch, true)) && !mapped.is_changing;
            is_changed || is_opened && !self.window.lies_still(mapped.file.as_fd())
        };
        let told: Vec<u64> =
            self.files.iter().filter(|(_, mapped)| is_told(mapped)).map(|(node, _)| *node).collect();
        told.into_iter().for_each(|node| self.changed(node));
        self.files.values_mut().for_each(|mapped| mapped.follow(&*self.window));
    }

    /// Follows a change that the guest itself made to `node`.
    pub(super) fn changed(&mut self, node: u64) {
        self.show_originals(|owner| owner == node);
        if let Some(mapped) = self.files.get_mut(&node) {
            mapped.is_changing = true;
            mapped.follow(&*self.window);
        }
    }

    /// Shows the files themselves where there are copies of those that `is_concerned`.
    fn show_originals(&mut self, is_concerned: impl Fn(u64) -> bool) {
        let owners = &self.owners;
        let concerned = |at: &u64| owners.get(at).is_none_or(|&owner| is_concerned(owner));
        let (shown, kept): (VecDeque<_>, VecDeque<_>) = self.copies.iter().copied().partition(concerned);
        self.copies = kept;
        shown.into_iter().for_each(|at| self.show_original(at));
    }

    fn show_original(&self, at: u64) {
        let mapped = self.owners.get(&at).and_then(|node| self.files.get(node));
        if let Some((mapped, &offset)) = mapped.and_then(|mapped| Some((mapped, mapped.units.get(&at)?)))
            && let Err(error) = mapped.show(&*self.window, at, offset)
        {
            log::warn!("a mapped file cannot be shown instead of its copy: {error}");
        }
    }

    /// Has copies made of units that were just mapped, if the program seems to go through the file in order.
    fn copy_ahead(&mut self, this: &Arc<Mutex<Self>>, node: u64, at: u64, len: u64, offset: u64) {
        let Some(mapped) = self.files.get_mut(&node) else { return };
        let is_next = std::mem::replace(&mut mapped.next, offset + len) == offset && offset > 0;
        if is_next && !mapped.is_changing && !mapped.is_writable {
            let copier = self.copier.get_or_insert_with(|| Copier::new(this));
            (0..len / UNIT).for_each(|unit| copier.ask_for(at + unit * UNIT));
        }
    }

    /// Puts a copy where a unit of a file is mapped, if that is still so and the file lies still.
    pub(super) fn copy(&mut self, at: u64) {
        let Some(mapped) = self.owners.get(&at).and_then(|node| self.files.get(node)) else { return };
        let Some(&offset) = mapped.units.get(&at) else { return };
        let is_whole = offset.checked_add(UNIT).is_some_and(|end| end <= mapped.end);
        if !is_whole || mapped.is_changing || mapped.is_writable || self.copies.contains(&at) {
            return;
        }
        match self.window.copy(at, UNIT, mapped.file.as_fd(), offset) {
            Ok(()) => self.copies.push_back(at),
            Err(error) => {
                log::debug!("no copy of a mapped file: {error}");
                self.show_original(at);
            }
        }
        if self.copies.len() > MOST_COPIES
            && let Some(oldest) = self.copies.pop_front()
        {
            self.show_original(oldest);
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.copies.clear();
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
            self.copies.retain(|copy| *copy != at);
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
        let watch = inotify::add_watch(&*notifications, &path, WatchFlags::MODIFY | WatchFlags::OPEN)?;
        let file = File::options().read(true).write(is_writable).open(&path)?;
        let end = end_of(&file)?;
        let units = self.files.remove(&node).map_or_else(BTreeMap::new, |mapped| mapped.units);
        self.copies.retain(|copy| !units.contains_key(copy));
        let mapped = Mapped { file, is_writable, watch, end, units, next: 0, is_changing: false };
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
            self.copies.retain(|copy| *copy != at);
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
        let mut mappings = lock(&self.mappings);
        mappings.map(self.node, at, len, file, offset, is_writable)?;
        mappings.copy_ahead(&self.mappings, self.node, at, len, offset);
        Ok(())
    }

    fn unmap(&mut self, requests: Vec<RemovemappingOne>) -> io::Result<()> {
        let mut mappings = lock(&self.mappings);
        requests.iter().try_for_each(|request| mappings.unmap(request.moffset, request.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_tell_which_watches_they_are_about() {
        let event = |watch: i32, mask: u32, name: &[u8]| {
            let len = u32::try_from(name.len()).unwrap();
            [&watch.to_ne_bytes()[..], &mask.to_ne_bytes(), &[0; 4], &len.to_ne_bytes(), name].concat()
        };
        let events =
            [event(3, 2, b""), event(OVERFLOW, 0x4000, b"name\0\0\0\0"), event(70_000, 0x20, b"")].concat();
        assert_eq!(watches_of(&events), [(3, false), (OVERFLOW, false), (70_000, true)]);
        assert_eq!(watches_of(&events[..20]), [(3, false)]);
        assert_eq!(watches_of(&event(4, 2, b"long")[..17]), [(4, false)]);
        assert_eq!(watches_of(&[]), []);
    }
}
