//! Advisory locks: `flock` on whole files, `fcntl` on ranges of bytes.
//!
//! All locks of the kernel are in one list: there are few, and whoever wants one asks about all of a file's anyway.
//!
//! ```text
//! family   owner              conflicts with
//! Whole    open description   another owner's Whole, unless both are shared
//! Range    process, or        another owner's Range that overlaps, unless both are shared
//!          open description
//! ```
//!
//! Of one owner the ranges of a file never overlap: setting one cuts it out of those that are there. The locks of
//! an open file description go with it, the ranges of a process with the first descriptor of the file that it closes.
//! A file is recognised by device and inode number, so that every name of it means the same locks.
//!
//! Files of volumes have locks on the host, too ([`outside`]): what is had here is asked for there. Whoever waits for somebody outside asks again
//! and again, since nobody tells.
//!
//! Processes that would wait for each other's ranges for ever are told (EDEADLK), as POSIX has it; `flock` and open file descriptions
//! know no such thing.

mod outside;

pub use self::outside::{HostLocks, Outside};
use crate::wait::{WaitQueue, wait_for_any};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;

/// Device and inode number.
pub type FileNumber = (u64, u64);

/// All bytes that there may ever be.
pub const EVERYTHING: Range<u64> = 0..u64::MAX;

/// What kind of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `flock`
    Whole,
    /// `fcntl`
    Range,
}

/// Who holds a lock; the first number is the address of what it stands for.
#[derive(Clone, Copy, Debug)]
pub enum Owner {
    /// An open file description.
    Description(usize),
    /// A process, or several that share their descriptors; the number is that of the one that took the lock.
    Process(usize, u32),
    /// Somebody outside the partition.
    Elsewhere,
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Description(one), Self::Description(other)) => one == other,
            (Self::Process(one, _), Self::Process(other, _)) => one == other,
            (Self::Elsewhere, Self::Elsewhere) => true,
            _ => false,
        }
    }
}

impl Eq for Owner {}

/// A lock, held or wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Which file.
    pub file: FileNumber,
    /// What kind.
    pub family: Family,
    /// Whose.
    pub owner: Owner,
    /// Which bytes; an end of `u64::MAX` is the end of the file, wherever that will be.
    pub bytes: Range<u64>,
    /// Whether nobody else may hold one, not even a shared one.
    pub is_exclusive: bool,
    /// Whom else to ask.
    pub outside: Outside,
}

impl Lock {
    fn is_same_owners(&self, other: &Self) -> bool {
        (self.file, self.family, self.owner) == (other.file, other.family, other.owner)
    }

    fn conflicts_with(&self, other: &Self) -> bool {
        (self.file, self.family) == (other.file, other.family)
            && self.owner != other.owner
            && (self.is_exclusive || other.is_exclusive)
            && self.bytes.start < other.bytes.end
            && other.bytes.start < self.bytes.end
    }
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Had,
    /// Somebody in here has one in the way, and will tell.
    NotFromInside,
    /// Somebody outside has, and nobody tells.
    NotFromOutside,
    Never(Errno),
}

/// For how long whoever waits for somebody outside sleeps before the next question, ns: at first, and in the end.
const PAUSES: [u64; 2] = [250_000, 8_000_000];

/// Locks that are held, and those that somebody waits for.
struct Locks {
    held: Vec<Lock>,
    awaited: Vec<Lock>,
}

impl Locks {
    /// Whether somebody in here holds a conflicting one.
    fn is_refused(&self, wanted: &Lock) -> bool {
        self.held.iter().any(|held| held.conflicts_with(wanted))
    }

    /// Whether the partition has it, whoever of its owners it is.
    fn is_had(&self, wanted: &Lock) -> bool {
        self.held.iter().any(|held| {
            (held.file, held.family, held.is_exclusive) == (wanted.file, wanted.family, wanted.is_exclusive)
                && held.bytes.start <= wanted.bytes.start
                && wanted.bytes.end <= held.bytes.end
        })
    }

    /// Gives a lock to who wants it, if nobody holds a conflicting one.
    fn take(&mut self, wanted: &Lock) -> Taken {
        if self.is_refused(wanted) {
            return Taken::NotFromInside;
        }
        if let Some(host) = &wanted.outside.0
            && !self.is_had(wanted)
        {
            match host.lock(wanted.family, &wanted.bytes, wanted.is_exclusive) {
                Ok(()) => {}
                Err(Errno::EAGAIN) => return Taken::NotFromOutside,
                Err(errno) => return Taken::Never(errno),
            }
        }
        cut(&mut self.held, wanted);
        self.held.push(wanted.clone());
        COUNT.store(self.held.len(), Ordering::SeqCst);
        Taken::Had
    }

    /// Whether who holds what is wanted waits, perhaps by way of others, for who wants it.
    fn is_circle(&self, wanted: &Lock) -> bool {
        let is_process =
            |lock: &Lock| lock.family == Family::Range && matches!(lock.owner, Owner::Process(..));
        let in_the_way = |wish: &Lock| {
            let wish = wish.clone();
            self.held.iter().filter(move |held| held.conflicts_with(&wish)).map(|held| held.owner)
        };
        if !is_process(wanted) {
            return false;
        }
        let mut seen: Vec<Owner> = Vec::new();
        let mut ahead: Vec<Owner> = in_the_way(wanted).collect();
        while let Some(owner) = ahead.pop() {
            if owner == wanted.owner {
                return true;
            }
            if !seen.contains(&owner) {
                seen.push(owner);
                let wishes = self.awaited.iter().filter(|wish| is_process(wish) && wish.owner == owner);
                ahead.extend(wishes.flat_map(in_the_way));
            }
        }
        false
    }

    fn forget_wish(&mut self, wanted: &Lock) {
        if let Some(at) = self.awaited.iter().position(|wish| wish == wanted) {
            self.awaited.swap_remove(at);
        }
    }
}

/// Every lock.
static LOCKS: Mutex<Locks> = Mutex::new(Locks { held: Vec::new(), awaited: Vec::new() });
/// How many are held, so that closing a file without locks costs one load.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Whoever waits for any lock.
static RELEASED: WaitQueue = WaitQueue::new();

/// The first lock of the file that keeps `wanted` from being had; of those outside only if nobody in here has one.
#[must_use]
pub fn conflict(wanted: &Lock) -> Option<Lock> {
    let inside = {
        let locks = LOCKS.lock();
        let conflicting = locks.held.iter().filter(|held| held.conflicts_with(wanted));
        conflicting.min_by_key(|held| held.bytes.start).cloned()
    };
    inside.or_else(|| {
        let (bytes, is_exclusive) =
            wanted.outside.0.as_ref()?.conflict(&wanted.bytes, wanted.is_exclusive)?;
        Some(Lock { owner: Owner::Elsewhere, bytes, is_exclusive, ..wanted.clone() })
    })
}

/// Takes a lock, in place of what its owner held of these bytes. EAGAIN, or waiting, while somebody else holds a conflicting one;
/// EDEADLK if that would be for ever.
///
/// A `flock` that is converted is let go first, so that another may be faster; the ranges of `fcntl` stay until the new one is had.
pub fn acquire(wanted: &Lock, may_wait: bool) -> Result<(), Errno> {
    let is_held = |held: &Lock| held.is_same_owners(wanted) && held.is_exclusive == wanted.is_exclusive;
    if wanted.family == Family::Whole {
        if LOCKS.lock().held.iter().any(is_held) {
            return Ok(());
        }
        release(wanted);
    }
    let mut is_announced = false;
    let result = wait_to_take(wanted, may_wait, &mut is_announced);
    if is_announced {
        LOCKS.lock().forget_wish(wanted);
    }
    result?;
    // An exclusive lock that became a shared one lets others in.
    RELEASED.wake_all();
    Ok(())
}

fn wait_to_take(wanted: &Lock, may_wait: bool, is_announced: &mut bool) -> Result<(), Errno> {
    let [mut pause, longest] = PAUSES;
    loop {
        let taken = LOCKS.lock().take(wanted);
        match taken {
            Taken::Had => return Ok(()),
            Taken::Never(errno) => return Err(errno),
            Taken::NotFromInside | Taken::NotFromOutside if !may_wait => return Err(Errno::EAGAIN),
            Taken::NotFromInside => RELEASED.wait_until(|| {
                let mut locks = LOCKS.lock();
                if !locks.is_refused(wanted) {
                    return Some(Ok(()));
                }
                if locks.is_circle(wanted) {
                    return Some(Err(Errno::EDEADLK));
                }
                if !*is_announced {
                    locks.awaited.push(wanted.clone());
                    *is_announced = true;
                }
                None
            })??,
            Taken::NotFromOutside => {
                wait_for_any(&[], Some(monotonic_ns().saturating_add(pause)), || None::<()>)?;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// Lets go of what the owner of `given` holds of these bytes.
pub fn release(given: &Lock) {
    change(|held| cut(held, given));
}

/// Lets go of every lock of `owner`.
pub fn release_all(owner: Owner) {
    change(|held| held.extract_if(.., |lock| lock.owner == owner).collect());
}

/// Lets go of every lock of `owner` on one file. The file is only asked for when there are locks.
pub fn release_file(owner: Owner, file: impl FnOnce() -> Option<FileNumber>) {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return;
    }
    if let Some(file) = file() {
        change(|held| held.extract_if(.., |lock| lock.owner == owner && lock.file == file).collect());
    }
}

/// Takes locks away; `change` returns them.
fn change(change: impl FnOnce(&mut Vec<Lock>) -> Vec<Lock>) {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return;
    }
    let mut locks = LOCKS.lock();
    let gone = change(&mut locks.held);
    COUNT.store(locks.held.len(), Ordering::SeqCst);
    outside::settle(&locks.held, &gone);
    drop(locks);
    RELEASED.wake_all();
    // With them files may go.
    drop(gone);
}

/// Cuts the bytes of `given` out of what its owner holds. Returns what was cut out.
fn cut(held: &mut Vec<Lock>, given: &Lock) -> Vec<Lock> {
    let (mut rest, mut gone) = (Vec::new(), Vec::new());
    held.retain(|lock| {
        if !lock.is_same_owners(given)
            || lock.bytes.end <= given.bytes.start
            || given.bytes.end <= lock.bytes.start
        {
            return true;
        }
        let part = |bytes: Range<u64>| Lock { bytes, ..lock.clone() };
        let sides = [lock.bytes.start..given.bytes.start, given.bytes.end..lock.bytes.end];
        rest.extend(sides.into_iter().filter(|bytes| bytes.start < bytes.end).map(part));
        gone.push(part(lock.bytes.start.max(given.bytes.start)..lock.bytes.end.min(given.bytes.end)));
        false
    });
    held.append(&mut rest);
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(file: u64, owner: usize, bytes: Range<u64>, is_exclusive: bool) -> Lock {
        Lock {
            file: (0xf00d, file),
            family: Family::Range,
            owner: Owner::Description(owner),
            bytes,
            is_exclusive,
            outside: Outside::default(),
        }
    }

    #[test]
    fn ranges_are_cut_and_conflict_where_they_overlap() {
        acquire(&lock(1, 1, 0..100, true), false).unwrap();
        assert_eq!(acquire(&lock(1, 2, 50..60, false), false), Err(Errno::EAGAIN));
        release(&lock(1, 1, 40..70, true));
        acquire(&lock(1, 2, 50..60, false), false).unwrap();
        assert_eq!(conflict(&lock(1, 3, 0..10, false)).unwrap().bytes, 0..40);
        assert_eq!(conflict(&lock(1, 3, 55..58, false)), None);
        assert_eq!(conflict(&lock(1, 3, 90..EVERYTHING.end, false)).unwrap().bytes, 70..100);
        release_all(Owner::Description(1));
        release_file(Owner::Description(2), || Some((0xf00d, 1)));
        assert_eq!(conflict(&lock(1, 3, EVERYTHING, true)), None);
    }

    #[test]
    fn who_would_wait_in_a_circle_is_told() {
        let of = |file, process| Lock { owner: Owner::Process(process, 7), ..lock(file, 0, 0..10, true) };
        for process in 0..3 {
            acquire(&of(10 + process as u64, process), false).unwrap();
        }
        std::thread::scope(|scope| {
            let waiters = [0, 1]
                .map(|process: usize| scope.spawn(move || acquire(&of(11 + process as u64, process), true)));
            while LOCKS.lock().awaited.len() < 2 {
                std::thread::yield_now();
            }
            assert_eq!(acquire(&of(10, 2), true), Err(Errno::EDEADLK));
            assert_eq!(acquire(&of(10, 2), false), Err(Errno::EAGAIN));
            release_all(Owner::Process(2, 7));
            let [first, second] = waiters;
            assert_eq!(second.join().unwrap(), Ok(()));
            release_all(Owner::Process(1, 7));
            assert_eq!(first.join().unwrap(), Ok(()));
        });
        release_all(Owner::Process(0, 7));
        assert!(LOCKS.lock().awaited.is_empty());
    }

    #[test]
    fn a_whole_lock_is_let_go_before_it_is_converted() {
        let whole =
            |owner, is_exclusive| Lock { family: Family::Whole, ..lock(2, owner, EVERYTHING, is_exclusive) };
        acquire(&whole(1001, false), false).unwrap();
        acquire(&whole(1002, false), false).unwrap();
        assert_eq!(acquire(&whole(1001, true), false), Err(Errno::EAGAIN));
        acquire(&whole(1002, true), false).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| acquire(&whole(1001, true), true));
            release(&whole(1002, true));
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
        release_all(Owner::Description(1001));
    }
}
