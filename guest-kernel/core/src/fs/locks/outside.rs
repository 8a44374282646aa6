//! Locks that others outside the partition respect, too.
//!
//! To the host a partition is one owner. Who of its owners may have a lock is decided here first; then the host is asked for the same
//! bytes, once for all owners: where one has an exclusive lock nobody else has any, and where several have shared ones the host's is shared.
//! So taking a lock is at most one question, and letting go of one gives back those bytes that no other owner has.

use super::{EVERYTHING, Family, Lock};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use septum_abi::linux::Errno;

/// The locks of one file, as those outside have them. All are the partition's; they end with it.
pub trait HostLocks: Send + Sync {
    /// Takes a lock, in place of what the partition has of these bytes. Does not wait: EAGAIN while somebody outside has one in the way. From then
    /// on nothing is believed that was known before of any file that others change.
    fn lock(&self, family: Family, bytes: &Range<u64>, is_exclusive: bool) -> Result<(), Errno>;

    /// Lets go of what the partition has of these bytes.
    fn unlock(&self, family: Family, bytes: &Range<u64>);

    /// What somebody outside has in the way of a lock on ranges: which bytes, and whether exclusively.
    fn conflict(&self, bytes: &Range<u64>, is_exclusive: bool) -> Option<(Range<u64>, bool)>;
}

/// Whom else to ask about a lock, if anybody.
#[derive(Clone, Default)]
pub struct Outside(pub Option<Arc<dyn HostLocks>>);

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outside").field(&self.0.is_some()).finish()
    }
}

/// It goes with the file, which is compared.
impl PartialEq for Outside {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Outside {}

/// Gives back to those outside what of the locks that are `gone` nobody who is left holds.
pub(super) fn settle(held: &[Lock], gone: &[Lock]) {
    for (at, lock) in gone.iter().enumerate() {
        let Some(host) = &lock.outside.0 else { continue };
        let is_same = |other: &&Lock| (other.file, other.family) == (lock.file, lock.family);
        let mut left = held.iter().filter(is_same).peekable();
        if left.peek().is_none() {
            // One answer for all of them, by which the host also knows that there are no more.
            if !gone.iter().take(at).any(|other| is_same(&other)) {
                host.unlock(lock.family, &EVERYTHING);
            }
            continue;
        }
        let mut free = alloc::vec![lock.bytes.clone()];
        for other in left {
            let without = |bytes: Range<u64>| {
                [bytes.start..bytes.end.min(other.bytes.start), bytes.start.max(other.bytes.end)..bytes.end]
            };
            free = free
                .into_iter()
                .flat_map(without)
                .filter(|bytes| bytes.start < bytes.end)
                .collect::<Vec<_>>();
        }
        free.iter().for_each(|bytes| host.unlock(lock.family, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, acquire, conflict, release, release_all};
    use super::*;
    use std::sync::Mutex;

    /// A host that writes down what it is asked, and refuses what it is told to.
    #[derive(Default)]
    struct Host {
        asked: Mutex<Vec<(Range<u64>, Option<bool>)>>,
        refuses: Mutex<usize>,
    }

    impl HostLocks for Host {
        fn lock(&self, _: Family, bytes: &Range<u64>, is_exclusive: bool) -> Result<(), Errno> {
            let mut refuses = self.refuses.lock().unwrap();
            if *refuses > 0 {
                *refuses -= 1;
                return Err(Errno::EAGAIN);
            }
            self.asked.lock().unwrap().push((bytes.clone(), Some(is_exclusive)));
            Ok(())
        }

        fn unlock(&self, _: Family, bytes: &Range<u64>) {
            self.asked.lock().unwrap().push((bytes.clone(), None));
        }

        fn conflict(&self, _: &Range<u64>, _: bool) -> Option<(Range<u64>, bool)> {
            Some((7..9, true))
        }
    }

    fn lock(host: &Arc<Host>, file: u64, owner: usize, bytes: Range<u64>, is_exclusive: bool) -> Lock {
        Lock {
            file: (0xbeef, file),
            family: Family::Range,
            owner: Owner::Description(0xb000 + owner),
            bytes,
            is_exclusive,
            outside: Outside(Some(Arc::clone(host) as _)),
        }
    }

    #[test]
    fn the_host_is_asked_once_for_all_owners() {
        let host = Arc::new(Host::default());
        let of = |owner, bytes, is_exclusive| lock(&host, 1, owner, bytes, is_exclusive);
        let asked = || core::mem::take(&mut *host.asked.lock().unwrap());
        acquire(&of(1, 0..100, false), false).unwrap();
        acquire(&of(2, 20..40, false), false).unwrap();
        assert_eq!(acquire(&of(2, 20..40, true), false), Err(Errno::EAGAIN));
        acquire(&of(2, 200..300, true), false).unwrap();
        assert_eq!(asked(), [(0..100, Some(false)), (200..300, Some(true))]);
        release(&of(1, 0..EVERYTHING.end, false));
        assert_eq!(asked(), [(0..20, None), (40..100, None)]);
        assert_eq!(conflict(&of(1, 20..30, true)).unwrap().owner, Owner::Description(0xb002));
        let theirs = conflict(&of(1, 0..10, true)).unwrap();
        assert_eq!((theirs.owner, theirs.bytes), (Owner::Elsewhere, 7..9));
        release_all(Owner::Description(0xb002));
        assert_eq!(asked(), [(EVERYTHING, None)]);
    }

    #[test]
    fn who_is_refused_outside_keeps_what_was_had_and_asks_again() {
        let host = Arc::new(Host::default());
        let of = |bytes, is_exclusive| lock(&host, 2, 3, bytes, is_exclusive);
        acquire(&of(0..10, false), false).unwrap();
        *host.refuses.lock().unwrap() = 1;
        assert_eq!(acquire(&of(0..10, true), false), Err(Errno::EAGAIN));
        let other = lock(&host, 2, 4, 0..10, true);
        assert_eq!(conflict(&other).unwrap().owner, of(0..10, false).owner);
        *host.refuses.lock().unwrap() = 3;
        acquire(&of(0..10, true), true).unwrap();
        assert_eq!(*host.refuses.lock().unwrap(), 0);
        release_all(of(0..1, false).owner);
        assert_eq!(host.asked.lock().unwrap().last(), Some(&(EVERYTHING, None)));
    }
}
