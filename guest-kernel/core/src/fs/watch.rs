//! Being told what happens to files (`inotify`).
//!
//! What is done through this kernel is seen, whatever file system the file is in; what the host does to a shared directory is not. The layers
//! that open, change and name files [tell](tell) of it. As long as nobody watches, that is one load.
//!
//! ```text
//!  a file's own watch:        event, no name
//!  its directory's watch:     event, the file's name
//! ```
//!
//! A file is known by its number. Events wait in the [`Watcher`]'s queue; one that is the same as the last is told once; of too many the last
//! says that there were more.

use super::dentry::Dentry;
use super::inode::{File, poll};
use crate::io::Destination;
use crate::wait::WaitQueue;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Events (linux/inotify.h).
pub mod event {
    /// IN_ACCESS
    pub const ACCESS: u32 = 1;
    /// IN_MODIFY
    pub const MODIFY: u32 = 2;
    /// IN_ATTRIB
    pub const ATTRIBUTES: u32 = 4;
    /// IN_CLOSE_WRITE
    pub const CLOSE_WRITTEN: u32 = 8;
    /// IN_CLOSE_NOWRITE
    pub const CLOSE_UNWRITTEN: u32 = 0x10;
    /// IN_OPEN
    pub const OPEN: u32 = 0x20;
    /// IN_MOVED_FROM
    pub const MOVED_FROM: u32 = 0x40;
    /// IN_MOVED_TO
    pub const MOVED_TO: u32 = 0x80;
    /// IN_CREATE
    pub const CREATE: u32 = 0x100;
    /// IN_DELETE
    pub const DELETE: u32 = 0x200;
    /// IN_DELETE_SELF
    pub const DELETE_SELF: u32 = 0x400;
    /// IN_MOVE_SELF
    pub const MOVE_SELF: u32 = 0x800;
    /// All of the above.
    pub const ALL: u32 = 0xfff;
    /// IN_Q_OVERFLOW
    pub const OVERFLOW: u32 = 0x4000;
    /// IN_IGNORED
    pub const IGNORED: u32 = 0x8000;
    /// IN_ISDIR
    pub const DIRECTORY: u32 = 0x4000_0000;
    /// IN_ONESHOT
    pub const ONCE: u32 = 0x8000_0000;
}

/// Most events that wait (fs.inotify.max_queued_events), and most watches of one watcher.
const MOST_EVENTS: usize = 16_384;
const MOST_WATCHES: usize = 65_536;
/// Bytes of an `inotify_event` without its name, and to what names are padded.
const HEADER: usize = 16;

/// Watches of all watchers.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static WATCHERS: Mutex<Vec<Weak<Watcher>>> = Mutex::new(Vec::new());

/// Device and inode number.
type Key = (u64, u64);

struct Watch {
    number: i32,
    key: Key,
    mask: u32,
}

#[derive(PartialEq, Eq)]
struct Event {
    watch: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

#[derive(Default)]
struct State {
    watches: Vec<Watch>,
    events: VecDeque<Event>,
    last_number: i32,
}

/// An inotify instance.
#[derive(Default)]
pub struct Watcher {
    state: Mutex<State>,
    queue: WaitQueue,
}

/// What `inotify_add_watch` does if there is a watch already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It gets the new events.
    Replace,
    /// It gets the new ones too (IN_MASK_ADD).
    Add,
    /// EEXIST (IN_MASK_CREATE).
    Refuse,
}

fn key(dentry: &Dentry) -> Option<Key> {
    dentry.inode().metadata().ok().map(|metadata| (metadata.device, metadata.inode))
}

impl Watcher {
    /// One that watches nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let watcher = Arc::new(Self::default());
        let mut watchers = WATCHERS.lock();
        watchers.retain(|other| other.strong_count() > 0);
        watchers.push(Arc::downgrade(&watcher));
        watcher
    }

    /// Watches `dentry`; returns the watch's number.
    pub fn add(&self, dentry: &Dentry, mask: u32, existing: Existing) -> Result<i32, Errno> {
        let key = key(dentry).ok_or(Errno::ENOENT)?;
        let mut state = self.state.lock();
        if let Some(watch) = state.watches.iter_mut().find(|watch| watch.key == key) {
            match existing {
                Existing::Refuse => return Err(Errno::EEXIST),
                Existing::Add => watch.mask |= mask,
                Existing::Replace => watch.mask = mask,
            }
            return Ok(watch.number);
        }
        if state.watches.len() >= MOST_WATCHES {
            return Err(Errno::ENOSPC);
        }
        state.last_number = state.last_number.checked_add(1).ok_or(Errno::ENOSPC)?;
        let number = state.last_number;
        state.watches.push(Watch { number, key, mask });
        COUNT.fetch_add(1, Ordering::SeqCst);
        Ok(number)
    }

    /// Ends a watch, which is told. EINVAL if there is no such.
    pub fn remove(&self, number: i32) -> Result<(), Errno> {
        let mut state = self.state.lock();
        let index = state.watches.iter().position(|watch| watch.number == number).ok_or(Errno::EINVAL)?;
        state.end(index);
        drop(state);
        self.queue.wake_all();
        Ok(())
    }

    fn notice(&self, of: Key, mask: u32, cookie: u32, name: &[u8]) {
        let mut state = self.state.lock();
        let Some(index) = state.watches.iter().position(|watch| watch.key == of) else { return };
        let (number, wanted) = (state.watches[index].number, state.watches[index].mask);
        if wanted & mask & event::ALL != 0 {
            state.push(Event { watch: number, mask, cookie, name: name.into() });
        }
        let is_over =
            mask & event::DELETE_SELF != 0 || (wanted & event::ONCE != 0 && wanted & mask & event::ALL != 0);
        if is_over {
            state.end(index);
        }
        drop(state);
        self.queue.wake_all();
    }
}

impl State {
    fn push(&mut self, new: Event) {
        if self.events.back() == Some(&new) {
            return;
        }
        match self.events.len() {
            MOST_EVENTS.. => {}
            len if len == MOST_EVENTS - 1 => {
                self.events.push_back(Event {
                    watch: -1,
                    mask: event::OVERFLOW,
                    cookie: 0,
                    name: Vec::new(),
                });
            }
            _ => self.events.push_back(new),
        }
    }

    fn end(&mut self, index: usize) {
        let watch = self.watches.remove(index);
        COUNT.fetch_sub(1, Ordering::SeqCst);
        self.push(Event { watch: watch.number, mask: event::IGNORED, cookie: 0, name: Vec::new() });
    }
}

impl Event {
    fn layout(&self) -> Vec<u8> {
        let padded = if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEADER) };
        let mut bytes = Vec::with_capacity(HEADER + padded);
        bytes.extend_from_slice(&self.watch.to_le_bytes());
        bytes.extend_from_slice(&self.mask.to_le_bytes());
        bytes.extend_from_slice(&self.cookie.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(padded).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&self.name);
        bytes.resize(HEADER + padded, 0);
        bytes
    }
}

fn watchers() -> Vec<Arc<Watcher>> {
    WATCHERS.lock().iter().filter_map(Weak::upgrade).collect()
}

/// Whether there is anyone to tell.
#[must_use]
pub fn is_watched() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Something happens to a file: who watches it is told, and who watches its directory.
pub fn tell(dentry: &Dentry, mask: u32) {
    if !is_watched() {
        return;
    }
    let kind = if dentry.is_directory() { event::DIRECTORY } else { 0 };
    let own = key(dentry);
    let parent = dentry.parent().and_then(|parent| key(&parent));
    let name = dentry.name();
    for watcher in watchers() {
        if let Some(parent) = parent.filter(|_| !dentry.is_removed()) {
            watcher.notice(parent, mask | kind, 0, &name);
        }
        if let Some(own) = own {
            watcher.notice(own, mask | kind, 0, &[]);
        }
    }
}

/// Something happens to a file, of which only itself is told.
fn tell_itself(dentry: &Dentry, mask: u32) {
    if let Some(own) = key(dentry) {
        watchers().iter().for_each(|watcher| watcher.notice(own, mask, 0, &[]));
    }
}

fn tell_directory(directory: &Dentry, name: &[u8], mask: u32, cookie: u32) {
    if let Some(key) = key(directory) {
        watchers().iter().for_each(|watcher| watcher.notice(key, mask, cookie, name));
    }
}

fn kind_of(dentry: &Dentry) -> u32 {
    if dentry.is_directory() { event::DIRECTORY } else { 0 }
}

/// A directory has a new entry.
pub fn tell_created(directory: &Dentry, name: &[u8], made: &Dentry) {
    if is_watched() {
        tell_directory(directory, name, event::CREATE | kind_of(made), 0);
    }
}

/// A file has one more name.
pub fn tell_linked(directory: &Dentry, name: &[u8], file: &Dentry) {
    if is_watched() {
        tell_itself(file, event::ATTRIBUTES);
        tell_directory(directory, name, event::CREATE, 0);
    }
}

/// An entry is removed.
pub fn tell_removed(directory: &Dentry, name: &[u8], removed: &Dentry) {
    if !is_watched() {
        return;
    }
    let links = removed.inode().metadata().map_or(0, |metadata| metadata.links);
    let is_directory = removed.is_directory();
    if !is_directory {
        tell_itself(removed, event::ATTRIBUTES);
    }
    if is_directory || links == 0 {
        tell_itself(removed, event::DELETE_SELF);
    }
    tell_directory(directory, name, event::DELETE | kind_of(removed), 0);
}

/// An entry is moved, perhaps in place of another.
pub fn tell_moved(from: (&Dentry, &[u8]), to: (&Dentry, &[u8]), moved: &Dentry, replaced: Option<&Dentry>) {
    static COOKIE: AtomicU32 = AtomicU32::new(1);
    if !is_watched() {
        return;
    }
    let (cookie, kind) = (COOKIE.fetch_add(1, Ordering::Relaxed), kind_of(moved));
    tell_directory(from.0, from.1, event::MOVED_FROM | kind, cookie);
    tell_directory(to.0, to.1, event::MOVED_TO | kind, cookie);
    tell_itself(moved, event::MOVE_SELF);
    if let Some(replaced) = replaced {
        tell_itself(replaced, event::ATTRIBUTES);
        tell_itself(replaced, event::DELETE_SELF);
    }
}

impl File for Watcher {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        if state.events.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let mut taken = Vec::new();
        while let Some(event) = state.events.front() {
            let bytes = event.layout();
            if taken.len() + bytes.len() > to.remaining() {
                break;
            }
            taken.extend_from_slice(&bytes);
            state.events.pop_front();
        }
        // Copied without the lock: touching the program's memory may read a file.
        drop(state);
        if taken.is_empty() { Err(Errno::EINVAL) } else { to.put(&taken) }
    }

    fn poll(&self) -> u16 {
        if self.state.lock().events.is_empty() { 0 } else { poll::IN }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.state.lock().events.iter().map(|event| event.layout().len()).sum())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        COUNT.fetch_sub(self.state.get_mut().watches.len(), Ordering::SeqCst);
    }
}
