//! System V semaphores: sets of numbers that processes change together, and wait for (`semop(2)`).
//!
//! ```text
//! semop ──► all changes of a call can be made ──► made, and whoever waits looks again
//!        └─► one cannot: nothing is changed; the caller waits, or is told
//! ```
//!
//! What a process asked to be undone (SEM_UNDO) is kept with the set, by the process, and applied when it ends.

use super::table::Table;
use super::{Caller, PRIVATE, Permission, Request, seconds};
use crate::wait::WaitQueue;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Most sets (SEMMNI), semaphores in one (SEMMSL), and in all of them.
pub const MOST_SETS: usize = 32_000;
/// See above.
pub const MOST_IN_SET: u64 = 32_000;
/// Linux says a thousand times as many, for which there is no memory.
const MOST_IN_ALL: usize = 1_000_000;
/// Largest value (SEMVMX), and change that is undone (SEMAEM).
pub const LARGEST: i32 = 32_767;

/// One change that a call asks for (`sembuf`).
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Which semaphore.
    pub index: u16,
    /// What to add; 0: nothing, when it is 0.
    pub by: i16,
    /// IPC_NOWAIT
    pub is_impatient: bool,
    /// SEM_UNDO
    pub is_undone: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Semaphore {
    value: i32,
    /// The process that changed it last.
    pid: u32,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Want {
    index: usize,
    is_zero: bool,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// All is changed.
    Done,
    /// Nothing is; the caller waits.
    MustWait,
}

/// What a set is.
#[derive(Debug)]
pub struct State {
    /// Whose it is.
    pub permission: Permission,
    /// Seconds since 1970 of the last `semop`, and of the last change by `semctl`.
    pub times: [u64; 2],
    semaphores: Vec<Semaphore>,
    /// By process, what is added to each when it ends.
    undo: BTreeMap<u32, Vec<i32>>,
    /// By thread.
    waiting: BTreeMap<u32, Want>,
    is_removed: bool,
}

/// A set.
#[derive(Debug)]
pub struct Set {
    state: Mutex<State>,
    /// Those that wait for a change.
    pub queue: WaitQueue,
}

/// How many processes have something undone, in all sets: most ends have nothing to do.
static UNDONE: AtomicUsize = AtomicUsize::new(0);

impl State {
    /// How many semaphores.
    #[must_use]
    pub fn count(&self) -> usize {
        self.semaphores.len()
    }

    /// Makes all changes, or none. `pid` and `tid`: the caller's.
    pub fn try_all(&mut self, changes: &[Change], pid: u32, tid: u32) -> Result<Attempt, Errno> {
        if self.is_removed {
            return Err(Errno::EIDRM);
        }
        self.waiting.remove(&tid);
        // One semaphore may be changed several times by one call.
        let mut values: BTreeMap<usize, i32> = BTreeMap::new();
        let mut undo: BTreeMap<usize, i32> = BTreeMap::new();
        for change in changes {
            let index = usize::from(change.index);
            let known = self.semaphores.get(index).ok_or(Errno::EFBIG)?;
            let value = values.entry(index).or_insert(known.value);
            let by = i32::from(change.by);
            if (by == 0 && *value != 0) || *value + by < 0 {
                if change.is_impatient {
                    return Err(Errno::EAGAIN);
                }
                self.waiting.insert(tid, Want { index, is_zero: by == 0 });
                return Ok(Attempt::MustWait);
            }
            if *value + by > LARGEST {
                return Err(Errno::ERANGE);
            }
            *value += by;
            if change.is_undone {
                let before = self.undo.get(&pid).map_or(0, |all| all[index]);
                let adjustment = undo.entry(index).or_insert(before);
                *adjustment -= by;
                if !(-LARGEST - 1..=LARGEST).contains(adjustment) {
                    return Err(Errno::ERANGE);
                }
            }
        }
        for (&index, &value) in &values {
            self.semaphores[index] = Semaphore { value, pid };
        }
        if !undo.is_empty() {
            let len = self.count();
            let all = self.undo.entry(pid).or_insert_with(|| {
                UNDONE.fetch_add(1, Ordering::SeqCst);
                vec![0; len]
            });
            undo.into_iter().for_each(|(index, adjustment)| all[index] = adjustment);
        }
        self.times[0] = seconds();
        Ok(Attempt::Done)
    }

    /// A thread waits no longer, whatever came of it.
    pub fn give_up(&mut self, tid: u32) {
        self.waiting.remove(&tid);
    }

    /// The values of all.
    pub fn values(&self) -> impl Iterator<Item = u16> {
        self.semaphores.iter().map(|semaphore| u16::try_from(semaphore.value).unwrap_or(u16::MAX))
    }

    /// Sets the values from `first` on. What was to be undone with them is forgotten.
    pub fn set(&mut self, first: usize, values: &[i32], pid: u32) -> Result<(), Errno> {
        if values.iter().any(|value| !(0..=LARGEST).contains(value)) {
            return Err(Errno::ERANGE);
        }
        let range = first..first + values.len();
        let semaphores = self.semaphores.get_mut(range.clone()).ok_or(Errno::EINVAL)?;
        for (semaphore, &value) in semaphores.iter_mut().zip(values) {
            *semaphore = Semaphore { value, pid };
        }
        for all in self.undo.values_mut() {
            all[range.clone()].fill(0);
        }
        self.times[1] = seconds();
        Ok(())
    }

    /// Value of one, and the process that changed it last.
    pub fn one(&self, index: usize) -> Result<(i32, u32), Errno> {
        self.semaphores.get(index).map(|one| (one.value, one.pid)).ok_or(Errno::EINVAL)
    }

    /// How many threads wait for one to grow, or to be 0.
    pub fn waiting(&self, index: usize, is_zero: bool) -> Result<usize, Errno> {
        self.one(index)?;
        Ok(self.waiting.values().filter(|&&want| want == Want { index, is_zero }).count())
    }

    /// A process ends. Whether something changed.
    fn undo(&mut self, pid: u32) -> bool {
        let Some(all) = self.undo.remove(&pid) else { return false };
        UNDONE.fetch_sub(1, Ordering::SeqCst);
        for (semaphore, adjustment) in self.semaphores.iter_mut().zip(all) {
            if adjustment != 0 {
                *semaphore = Semaphore { value: (semaphore.value + adjustment).clamp(0, LARGEST), pid };
            }
        }
        true
    }
}

impl Set {
    /// Looks at it, or changes it; EIDRM once it is removed.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.state.lock();
        if state.is_removed { Err(Errno::EIDRM) } else { act(&mut state) }
    }

    /// A thread waits no longer.
    pub fn give_up(&self, tid: u32) {
        self.state.lock().give_up(tid);
    }
}

/// All sets.
#[derive(Debug, Default)]
pub struct Sets {
    sets: Table<Arc<Set>>,
}

/// Those of the partition.
pub static SETS: Mutex<Sets> = Mutex::new(Sets { sets: Table::new() });

impl Sets {
    /// The number of the set that is asked for, which is made if need be.
    pub fn get(&mut self, request: Request, caller: Caller) -> Result<i32, Errno> {
        if request.size > MOST_IN_SET {
            return Err(Errno::EINVAL);
        }
        for (id, set) in self.sets.iter() {
            let state = set.state.lock();
            if request.key != PRIVATE && state.permission.key == request.key {
                return request.accepts(&state.permission, state.count() as u64, caller).map(|()| id);
            }
        }
        request.may_make()?;
        if request.size == 0 {
            return Err(Errno::EINVAL);
        }
        let len = usize::try_from(request.size).map_err(|_| Errno::EINVAL)?;
        let others: usize = self.sets.iter().map(|(_, set)| set.state.lock().count()).sum();
        if self.sets.count() >= MOST_SETS || others + len > MOST_IN_ALL {
            return Err(Errno::ENOSPC);
        }
        let state = State {
            permission: Permission::new(&request, caller),
            times: [0, seconds()],
            semaphores: vec![Semaphore::default(); len],
            undo: BTreeMap::new(),
            waiting: BTreeMap::new(),
            is_removed: false,
        };
        self.sets.insert(Arc::new(Set { state: Mutex::new(state), queue: WaitQueue::new() }))
    }

    /// The sets by their numbers and places.
    #[must_use]
    pub fn table(&self) -> &Table<Arc<Set>> {
        &self.sets
    }

    /// The set with this number. EINVAL if there is none.
    pub fn find(&self, id: i32) -> Result<Arc<Set>, Errno> {
        self.sets.get(id).map(Arc::clone)
    }

    /// Removes a set, if its owner asks; who waits for it is told.
    pub fn remove(&mut self, id: i32, caller: Caller) -> Result<(), Errno> {
        let set = self.find(id)?;
        let mut state = set.state.lock();
        state.permission.check_owner(caller)?;
        state.is_removed = true;
        UNDONE.fetch_sub(state.undo.len(), Ordering::SeqCst);
        state.undo.clear();
        drop(state);
        self.sets.remove(id);
        set.queue.wake_all();
        Ok(())
    }
}

/// A process ends: what it asked to be undone is.
pub fn undo_all(pid: u32) {
    if UNDONE.load(Ordering::SeqCst) == 0 {
        return;
    }
    let sets: Vec<Arc<Set>> = SETS.lock().sets.iter().map(|(_, set)| Arc::clone(set)).collect();
    for set in sets {
        if set.state.lock().undo(pid) {
            set.queue.wake_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Caller = Caller { pid: 1, uid: 0, gid: 0 };

    fn change(index: u16, by: i16) -> Change {
        Change { index, by, is_impatient: false, is_undone: false }
    }

    fn undone(index: u16, by: i16) -> Change {
        Change { is_undone: true, ..change(index, by) }
    }

    fn new_set(sets: &mut Sets, key: i32) -> Arc<Set> {
        let request = Request { key, size: 3, mode: 0o600, creates: true, is_exclusive: true };
        let id = sets.get(request, ROOT).unwrap();
        sets.find(id).unwrap()
    }

    #[test]
    fn a_call_changes_all_or_nothing() {
        let set = new_set(&mut Sets::default(), 1);
        let attempt = |changes: &[Change]| set.with(|state| state.try_all(changes, 7, 70));
        let values = || set.with(|state| Ok(state.values().collect::<Vec<_>>())).unwrap();
        assert_eq!(attempt(&[change(0, 2), change(1, 1)]), Ok(Attempt::Done));
        assert_eq!(attempt(&[change(0, -1), change(1, -2)]), Ok(Attempt::MustWait));
        assert_eq!((values(), set.with(|state| state.waiting(1, false))), (vec![2, 1, 0], Ok(1)));
        set.give_up(70);
        assert_eq!(set.with(|state| state.waiting(1, false)), Ok(0));
        assert_eq!(attempt(&[change(0, -2), change(0, 0), change(0, 5)]), Ok(Attempt::Done));
        assert_eq!(attempt(&[Change { is_impatient: true, ..change(0, 0) }]), Err(Errno::EAGAIN));
        assert_eq!(attempt(&[change(2, i16::MAX), change(2, 1)]), Err(Errno::ERANGE));
        assert_eq!(attempt(&[change(3, 1)]), Err(Errno::EFBIG));
        assert_eq!((values(), set.with(|state| state.one(0))), (vec![5, 1, 0], Ok((5, 7))));
    }

    #[test]
    fn what_a_process_did_is_undone_within_bounds() {
        let set = new_set(&mut Sets::default(), 1);
        let attempt = |changes: &[Change], pid| set.with(|state| state.try_all(changes, pid, pid));
        attempt(&[undone(0, 5), undone(1, 3)], 8).unwrap();
        attempt(&[undone(0, -2)], 9).unwrap();
        set.with(|state| state.set(1, &[9], 1)).unwrap();
        assert!(set.state.lock().undo(8) && !set.state.lock().undo(8));
        // 5 - 2 - 5 is no value, and the second one was set meanwhile.
        assert_eq!(set.state.lock().values().collect::<Vec<_>>(), [0, 9, 0]);
        assert!(set.state.lock().undo(9));
        assert_eq!(set.state.lock().one(0), Ok((2, 9)));
    }

    #[test]
    fn a_set_that_is_removed_says_so() {
        let mut sets = Sets::default();
        let set = new_set(&mut sets, 5);
        let request = Request { key: 5, size: 3, mode: 0o600, creates: false, is_exclusive: false };
        let id = sets.get(request, ROOT).unwrap();
        assert_eq!(sets.get(Request { size: 4, ..request }, ROOT), Err(Errno::EINVAL));
        assert_eq!(sets.get(request, Caller { uid: 5, ..ROOT }), Err(Errno::EACCES));
        assert_eq!(sets.remove(id, Caller { uid: 5, ..ROOT }), Err(Errno::EPERM));
        assert_eq!(sets.remove(id, ROOT), Ok(()));
        assert_eq!(set.with(|state| state.try_all(&[change(0, 1)], 1, 1)), Err(Errno::EIDRM));
        assert_eq!(sets.get(request, ROOT), Err(Errno::ENOENT));
        assert_eq!(sets.find(id).err(), Some(Errno::EINVAL));
    }
}
