//! Watching many files at once (`epoll`).
//!
//! An [`Epoll`] is a list of interests: a descriptor's number and file, the events it is watched for, and a word that the
//! program gets back. Nothing is kept about who is ready: whoever asks looks at all of them, and whoever
//! waits does so on the queues of all of them (see `crate::syscall::files::poll::wait`).
//!
//! ```text
//!            ADD / MOD                        reported, EPOLLONESHOT
//!  (not there) ──────> watched ───────────────────────────────────────> disabled ──MOD──> watched
//!                      │ └ reported, EPOLLET: silent until the file's edge() moves or another event comes true
//!                      └ DEL, or the last descriptor of the file is closed: gone
//! ```
//!
//! Files are held weakly, so that watching one does not keep it open. Epolls that watch epolls form no circle and at most
//! [`DEEPEST`] levels, so that looking at one ends.

use super::descriptors::OpenFile;
use super::inode::{File, poll};
use crate::wait::WaitQueue;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicUsize, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// EPOLLEXCLUSIVE: of several epolls that watch a file so, one tells what has happened. All of them look, and who comes first
/// [claims](OpenFile::claim) it.
pub const EXCLUSIVE: u32 = 1 << 28;
/// EPOLLONESHOT
const ONE_SHOT: u32 = 1 << 30;
/// EPOLLET
const EDGE: u32 = 1 << 31;
/// What is not an event: the above, and EPOLLWAKEUP.
const MODES: u32 = 0xf << 28;
/// Fewer interests than these are not looked through for closed files.
const LEAST_CROWD: usize = 64;
/// Levels of epolls that watch epolls.
const DEEPEST: usize = 5;

/// What a program watches a file for: `struct epoll_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Events and modes.
    pub events: u32,
    /// Given back with an event.
    pub data: u64,
}

/// A descriptor's number, and which file it stood for.
type Key = (i32, usize);

fn key(fd: i32, file: &Arc<OpenFile>) -> Key {
    (fd, Arc::as_ptr(file).addr())
}

struct Interest {
    file: Weak<OpenFile>,
    wish: Wish,
    /// Reported once, and only then (EPOLLONESHOT).
    is_disabled: bool,
    /// The file's edge and the events that were true when they were last reported.
    seen: Option<(u64, u32)>,
    /// It was true when it was first wished for: told whoever else tells (EPOLLEXCLUSIVE).
    is_owed: bool,
}

impl Interest {
    /// Events that are true of `file`, wished for, and not reported before (if by edge).
    fn ready(&self, file: &OpenFile) -> u32 {
        if self.is_disabled {
            return 0;
        }
        let always = u32::from(poll::ERR | poll::HUP);
        let found = u32::from(poll::state(file.file().poll())) & (self.wish.events & !MODES | always);
        match self.seen {
            Some((edge, events)) if self.wish.events & EDGE != 0 => {
                if found & !events != 0 || edge != file.edge() { found } else { 0 }
            }
            _ => found,
        }
    }

    fn is_exclusive(&self) -> bool {
        self.wish.events & EXCLUSIVE != 0
    }
}

/// What is watched.
#[derive(Default)]
struct Watched {
    interests: BTreeMap<Key, Interest>,
    /// Behind the one that was reported last: where looking begins, so that everyone's turn comes.
    next: Key,
    /// With so many, those whose files are closed are looked for.
    crowd: usize,
}

impl Watched {
    /// Forgets those whose files are closed, if there are many more than when that was done last.
    fn clear_up(&mut self) {
        if self.interests.len() >= self.crowd {
            self.interests.retain(|_, interest| interest.file.strong_count() > 0);
            self.crowd = (self.interests.len() * 2).max(LEAST_CROWD);
        }
    }
}

/// An epoll instance.
#[derive(Default)]
pub struct Epoll {
    watched: Mutex<Watched>,
    /// Woken when what is watched changes.
    queue: WaitQueue,
    /// Most levels of epolls that ever watched this one.
    levels_above: AtomicUsize,
}

/// Held while one epoll is made to watch another, so that two cannot close a circle together.
static NESTING: Mutex<()> = Mutex::new(());

impl Epoll {
    /// Watches nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The epoll that `file` is, if it is one.
    #[must_use]
    pub fn of(file: &dyn File) -> Option<&Self> {
        file.as_any().downcast_ref()
    }

    /// EPOLL_CTL_ADD. EPERM for files on which nothing ever waits (regular ones, directories), EEXIST if it is watched,
    /// ELOOP for a circle of epolls.
    pub fn add(&self, fd: i32, file: &Arc<OpenFile>, wish: Wish) -> Result<(), Errno> {
        if file.is_seekable() {
            return Err(Errno::EPERM);
        }
        let nesting = Self::of(&**file.file()).map(|inner| (NESTING.lock(), inner));
        if let Some((_, inner)) = &nesting
            && inner
                .depth_below(self, (DEEPEST - 1).saturating_sub(self.levels_above.load(Ordering::SeqCst)))
                .is_none()
        {
            return Err(Errno::ELOOP);
        }
        let mut watched = self.watched.lock();
        watched.clear_up();
        if watched.interests.contains_key(&key(fd, file)) {
            return Err(Errno::EEXIST);
        }
        let mut interest =
            Interest { file: Arc::downgrade(file), wish, is_disabled: false, seen: None, is_owed: false };
        interest.is_owed = interest.is_exclusive() && interest.ready(file) != 0;
        watched.interests.insert(key(fd, file), interest);
        drop(watched);
        if let Some((_, inner)) = &nesting {
            inner.sink_below(self.levels_above.load(Ordering::SeqCst) + 1);
        }
        self.queue.wake_all();
        Ok(())
    }

    /// EPOLL_CTL_MOD. ENOENT if it is not watched; EINVAL if EPOLLEXCLUSIVE was or is among the events.
    pub fn modify(&self, fd: i32, file: &Arc<OpenFile>, wish: Wish) -> Result<(), Errno> {
        let mut watched = self.watched.lock();
        let interest = watched.interests.get_mut(&key(fd, file)).ok_or(Errno::ENOENT)?;
        if (interest.wish.events | wish.events) & EXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        (interest.wish, interest.is_disabled, interest.seen) = (wish, false, None);
        drop(watched);
        self.queue.wake_all();
        Ok(())
    }

    /// EPOLL_CTL_DEL. ENOENT if it is not watched.
    pub fn remove(&self, fd: i32, file: &Arc<OpenFile>) -> Result<(), Errno> {
        self.watched.lock().interests.remove(&key(fd, file)).map(|_| ()).ok_or(Errno::ENOENT)
    }

    /// Reports up to `most` events. Those behind the last that was reported come first, so that everyone's turn comes.
    pub fn take(&self, most: usize) -> Vec<Wish> {
        // Dropped after the lock: the last reference may be this one.
        let mut files = Vec::new();
        let mut found = Vec::new();
        let mut watched = self.watched.lock();
        let Watched { interests, next, .. } = &mut *watched;
        let first = *next;
        let mut look = |(key, interest): (&Key, &mut Interest)| {
            let Some(file) = interest.file.upgrade() else { return false };
            let edge = file.edge();
            let mut events = interest.ready(&file);
            if interest.is_exclusive() {
                let must = core::mem::take(&mut interest.is_owed);
                if events != 0 && !file.claim(edge, self.identity(), must) {
                    events = 0;
                }
            }
            if events != 0 {
                found.push(Wish { events, data: interest.wish.data });
                interest.seen = Some((edge, events));
                interest.is_disabled = interest.wish.events & ONE_SHOT != 0;
                *next = (key.0, key.1.saturating_add(1));
            }
            files.push(file);
            found.len() >= most
        };
        if !interests.range_mut(first..).any(&mut look) {
            interests.range_mut(..first).any(&mut look);
        }
        drop(watched);
        found
    }

    fn identity(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// The files that are watched and can still be reported. Whoever has them does not keep them open.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<dyn File>> {
        self.enabled().iter().map(|file| Arc::clone(file.file())).collect()
    }

    fn enabled(&self) -> Vec<Arc<OpenFile>> {
        let watched = self.watched.lock();
        let enabled = watched.interests.values().filter(|interest| !interest.is_disabled);
        enabled.filter_map(|interest| interest.file.upgrade()).collect()
    }

    /// Every file that this one watches.
    fn inner(&self) -> Vec<Arc<OpenFile>> {
        self.watched.lock().interests.values().filter_map(|interest| interest.file.upgrade()).collect()
    }

    /// Remembers that so many levels are above this one, and more above those below.
    fn sink_below(&self, levels: usize) {
        self.levels_above.fetch_max(levels, Ordering::SeqCst);
        for file in self.inner() {
            if let Some(epoll) = Self::of(&**file.file()) {
                epoll.sink_below(levels + 1);
            }
        }
    }

    /// Levels from here down; `None` if there are more than `most`, or if `above` is among them.
    fn depth_below(&self, above: &Self, most: usize) -> Option<usize> {
        if core::ptr::eq(self, above) || most == 0 {
            return None;
        }
        let inner = self.inner();
        let depths = inner.iter().filter_map(|file| Self::of(&**file.file()));
        depths
            .map(|epoll| epoll.depth_below(above, most - 1))
            .try_fold(1, |deepest, depth| depth.map(|depth| deepest.max(depth + 1)))
    }
}

impl File for Epoll {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u16 {
        let is_ready = |file: Arc<OpenFile>, interest: &Interest| {
            let is_others = || !interest.is_owed && file.is_claimed(file.edge(), self.identity());
            interest.ready(&file) != 0 && !(interest.is_exclusive() && is_others())
        };
        // Files are dropped without the lock, in case they are the last reference.
        let mut files = Vec::new();
        let watched = self.watched.lock();
        let any = watched.interests.values().any(|interest| {
            interest.file.upgrade().is_some_and(|file| {
                files.push(Arc::clone(&file));
                is_ready(file, interest)
            })
        });
        drop(watched);
        if any { poll::IN } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn edge(&self) -> u64 {
        self.enabled().iter().fold(self.queue.generation(), |sum, file| sum.wrapping_add(file.edge()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::anonymous;
    use crate::fs::inode::FileKind;
    use crate::fs::open::OpenFlags;
    use crate::io::{KernelDestination, KernelSource};
    use crate::syscall::files::poll::wait;
    use septum_guest_hal::clock::monotonic_ns;

    const IN: u32 = 1;

    fn open(file: Arc<dyn File>) -> Arc<OpenFile> {
        anonymous::open(b"test", FileKind::Regular, file, OpenFlags::READ_WRITE)
    }

    fn wish(events: u32, data: u64) -> Wish {
        Wish { events, data }
    }

    #[test]
    fn levels_edges_and_single_shots() {
        let epoll = Epoll::new();
        let (reader, writer) = anonymous::open_pipe(OpenFlags::empty());
        let write = || writer.write(&mut KernelSource(b"xy")).unwrap();
        epoll.add(3, &reader, wish(IN, 7)).unwrap();
        assert_eq!(epoll.add(3, &reader, wish(IN, 7)), Err(Errno::EEXIST));
        assert_eq!(epoll.take(9), []);
        write();
        assert_eq!((epoll.take(9), epoll.take(9)), ([wish(IN, 7)].into(), [wish(IN, 7)].into()));
        epoll.modify(3, &reader, wish(IN | EDGE, 8)).unwrap();
        assert_eq!((epoll.take(9), epoll.take(9)), ([wish(IN, 8)].into(), [].into()));
        write();
        assert_eq!((epoll.take(9), epoll.take(9)), ([wish(IN, 8)].into(), [].into()));
        reader.read(&mut KernelDestination(&mut [0])).unwrap();
        assert_eq!(epoll.take(9), []);
        epoll.modify(3, &reader, wish(IN | ONE_SHOT, 9)).unwrap();
        write();
        assert_eq!((epoll.take(9), epoll.take(9)), ([wish(IN, 9)].into(), [].into()));
        assert_eq!(epoll.remove(4, &reader), Err(Errno::ENOENT));
        epoll.remove(3, &reader).unwrap();
        assert_eq!(epoll.remove(3, &reader), Err(Errno::ENOENT));
    }

    #[test]
    fn one_of_several_exclusive_ones_tells() {
        let epolls = [Epoll::new(), Epoll::new(), Epoll::new()];
        let (reader, writer) = anonymous::open_pipe(OpenFlags::empty());
        for epoll in &epolls[..2] {
            epoll.add(3, &reader, wish(IN | EXCLUSIVE, 7)).unwrap();
        }
        epolls[2].add(3, &reader, wish(IN, 7)).unwrap();
        let told = || epolls.each_ref().map(|epoll| epoll.take(9).len());
        assert_eq!(told(), [0, 0, 0]);
        writer.write(&mut KernelSource(b"x")).unwrap();
        assert_eq!((told(), told()), ([1, 0, 1], [1, 0, 1]));
        assert_eq!(epolls.each_ref().map(Epoll::poll), [poll::IN, 0, poll::IN]);
        writer.write(&mut KernelSource(b"x")).unwrap();
        assert_eq!((epolls[1].take(9).len(), told()), (1, [0, 1, 1]));
        let late = Epoll::new();
        late.add(3, &reader, wish(IN | EXCLUSIVE, 7)).unwrap();
        assert_eq!((late.take(9).len(), told()), (1, [0, 0, 1]));
    }

    #[test]
    fn what_is_closed_is_not_watched_and_everyone_gets_a_turn() {
        let epoll = Epoll::new();
        let ends = [(); 2].map(|()| anonymous::open_pipe(OpenFlags::empty()));
        for (fd, (_, writer)) in (0..).zip(&ends) {
            epoll.add(fd, writer, wish(4, 0)).unwrap();
            epoll.modify(fd, writer, wish(4, u64::try_from(fd).unwrap())).unwrap();
        }
        let turns: Vec<u64> = (0..4).flat_map(|_| epoll.take(1)).map(|event| event.data).collect();
        assert_eq!(turns, [0, 1, 0, 1]);
        drop(ends);
        assert_eq!(epoll.take(9), []);
        assert!(epoll.members().is_empty());
    }

    #[test]
    fn who_waits_keeps_nothing_open() {
        const HUNG_UP: u32 = 0x10;
        let outer = open(Arc::new(Epoll::new()));
        let epoll = Epoll::of(&**outer.file()).unwrap();
        let (reader, writer) = anonymous::open_pipe(OpenFlags::empty());
        epoll.add(3, &reader, wish(IN | EDGE, 3)).unwrap();
        epoll.add(4, &writer, wish(EDGE, 4)).unwrap();
        let deadline = monotonic_ns() + 20_000_000_000;
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut found = Vec::new();
                let files = core::slice::from_ref(&outer);
                wait(files, Some(deadline), || {
                    found = epoll.take(8);
                    found.len()
                })
                .unwrap();
                found
            });
            while epoll.queue.sleepers() == 0 {
                std::thread::yield_now();
            }
            drop(writer);
            assert_eq!(waiter.join().unwrap(), [wish(HUNG_UP, 3)]);
        });
    }

    #[test]
    fn epolls_may_watch_each_other_but_in_no_circle() {
        let epolls: Vec<_> = (0..7).map(|_| open(Arc::new(Epoll::new()))).collect();
        let add = |outer: usize, inner: usize| {
            Epoll::of(&**epolls[outer].file()).unwrap().add(9, &epolls[inner], wish(IN, 0))
        };
        assert_eq!(add(0, 0), Err(Errno::ELOOP));
        assert_eq!((add(1, 0), add(2, 1), add(3, 2), add(4, 3)), (Ok(()), Ok(()), Ok(()), Ok(())));
        assert_eq!(add(0, 4), Err(Errno::ELOOP));
        assert_eq!(add(5, 4), Err(Errno::ELOOP));
        assert_eq!(add(0, 5), Err(Errno::ELOOP));
        assert_eq!((add(2, 5), add(5, 6)), (Ok(()), Ok(())));
        let (reader, writer) = anonymous::open_pipe(OpenFlags::empty());
        Epoll::of(&**epolls[0].file()).unwrap().add(1, &reader, wish(IN, 0)).unwrap();
        assert_eq!(epolls[4].file().poll(), 0);
        writer.write(&mut KernelSource(b"x")).unwrap();
        assert_eq!(epolls[4].file().poll(), poll::IN);
    }
}
