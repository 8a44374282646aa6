//! Who waits for which word.
//!
//! Waiters stand in buckets, in the order in which they came. Being taken out of a bucket *is* being woken: the waker clears
//! the waiter's mark under the bucket's lock and unparks its vCPU. A waiter that gives up takes itself out, unless somebody was faster.

use super::OWNER_DIED;
use super::owned::Word;
use crate::process::task::Task;
use crate::wait::wait_listed;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::{Mutex, MutexGuard};

/// A word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The address space; 0 for memory that may be in several.
    pub space: u32,
    /// Its address, or that of its memory.
    pub word: u64,
}

/// Where a thread waits.
#[derive(Debug, Default)]
pub struct Place {
    /// It stands in a bucket.
    is_listed: AtomicBool,
    /// For this word; changed under the locks of both buckets.
    key: Mutex<Key>,
}

struct Waiter {
    key: Key,
    bits: u32,
    task: Arc<Task>,
    /// It waits to own this word; FUTEX_WAKE and FUTEX_REQUEUE pass it over.
    word: Option<Word>,
}

/// Waiters with such a word, so that the end of a thread need not look for them where there are none.
static OWNING: AtomicUsize = AtomicUsize::new(0);

type Bucket = Mutex<Vec<Waiter>>;

const BUCKETS: usize = 64;
static TABLE: [Bucket; BUCKETS] = [const { Mutex::new(Vec::new()) }; BUCKETS];

fn index(key: Key) -> usize {
    let mixed = (key.word >> 2 ^ u64::from(key.space) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    septum_guest_hal::address::to_usize(mixed >> 58) % BUCKETS
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Somebody woke it.
    Woken,
    /// The word was not what was expected.
    Changed,
    /// The deadline passed.
    TimedOut,
    /// The word could not be looked at.
    Absent,
}

/// Waits for a word, or to own it, if `is_expected` says that it still is what it was (`None`: it cannot be looked at). EINTR if a signal came first.
pub fn wait(
    task: &Arc<Task>,
    key: Key,
    bits: u32,
    word: Option<Word>,
    deadline_ns: Option<u64>,
    is_expected: impl FnOnce() -> Option<bool>,
) -> Result<Waited, Errno> {
    {
        let mut bucket = TABLE[index(key)].lock();
        match is_expected() {
            None => return Ok(Waited::Absent),
            Some(false) => return Ok(Waited::Changed),
            Some(true) => {}
        }
        *task.futex.key.lock() = key;
        task.futex.is_listed.store(true, Ordering::Relaxed);
        OWNING.fetch_add(usize::from(word.is_some()), Ordering::SeqCst);
        bucket.push(Waiter { key, bits, task: Arc::clone(task), word });
    }
    let is_woken = || (!task.futex.is_listed.load(Ordering::Acquire)).then_some(());
    let result = wait_listed(deadline_ns, is_woken);
    if let Ok(Some(())) = result {
        return Ok(Waited::Woken);
    }
    if !give_up(task) {
        return Ok(Waited::Woken);
    }
    result.map(|_| Waited::TimedOut)
}

/// Takes a waiter out. False if it was woken.
fn give_up(task: &Arc<Task>) -> bool {
    loop {
        let key = *task.futex.key.lock();
        let mut bucket = TABLE[index(key)].lock();
        if !task.futex.is_listed.load(Ordering::Acquire) {
            return false;
        }
        if let Some(at) = bucket.iter().position(|waiter| Arc::ptr_eq(&waiter.task, task)) {
            release(&mut bucket, at);
            return true;
        }
        // It was moved to another word meanwhile.
    }
}

/// Takes one waiter out.
fn release(bucket: &mut Vec<Waiter>, at: usize) -> Arc<Task> {
    let waiter = bucket.remove(at);
    OWNING.fetch_sub(usize::from(waiter.word.is_some()), Ordering::SeqCst);
    waiter.task.futex.is_listed.store(false, Ordering::Release);
    waiter.task
}

/// Hands a word on: `give` gives it to the thread with this number, the first that waits to own it, or to nobody.
pub fn hand_on(key: Key, give: impl FnOnce(Option<u32>) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut bucket = TABLE[index(key)].lock();
    let next = bucket.iter().enumerate().find(|(_, waiter)| waiter.key == key && waiter.word.is_some());
    let next = next.map(|(at, waiter)| (at, waiter.task.tid()));
    give(next.map(|(_, tid)| tid))?;
    let woken = next.map(|(at, _)| release(&mut bucket, at));
    drop(bucket);
    if let Some(task) = woken {
        task.alert();
    }
    Ok(())
}

/// Hands on what a thread owned that has ended, so far as somebody waits for it.
pub fn hand_on_all(owner: u32) {
    if OWNING.load(Ordering::SeqCst) == 0 {
        return;
    }
    for bucket in &TABLE {
        let mut woken = Vec::new();
        let mut bucket = bucket.lock();
        let mut at = 0;
        while let Some(waiter) = bucket.get(at) {
            let next = Some(waiter.task.tid());
            match &waiter.word {
                Some(word) if word.give(owner, next, OWNER_DIED).is_ok() => {
                    woken.push(release(&mut bucket, at));
                }
                _ => at += 1,
            }
        }
        drop(bucket);
        alert(&woken);
    }
}

/// Takes up to `most` waiters for `key` out of a bucket.
fn take(bucket: &mut Vec<Waiter>, key: Key, most: usize, bits: u32) -> Vec<Arc<Task>> {
    let mut taken = Vec::new();
    bucket.retain(|waiter| {
        let is_meant =
            taken.len() < most && waiter.key == key && waiter.bits & bits != 0 && waiter.word.is_none();
        if is_meant {
            waiter.task.futex.is_listed.store(false, Ordering::Release);
            taken.push(Arc::clone(&waiter.task));
        }
        !is_meant
    });
    taken
}

fn alert(tasks: &[Arc<Task>]) -> usize {
    tasks.iter().for_each(|task| task.alert());
    tasks.len()
}

/// Wakes up to `most` threads that wait for a word with one of `bits`; returns how many.
pub fn wake(key: Key, most: usize, bits: u32) -> usize {
    let taken = take(&mut TABLE[index(key)].lock(), key, most, bits);
    alert(&taken)
}

/// Both buckets, always locked in the same order; the second is `None` if they are one.
fn both(
    from: usize,
    to: usize,
) -> (MutexGuard<'static, Vec<Waiter>>, Option<MutexGuard<'static, Vec<Waiter>>>) {
    if from == to {
        return (TABLE[from].lock(), None);
    }
    if from < to {
        let first = TABLE[from].lock();
        return (first, Some(TABLE[to].lock()));
    }
    let second = TABLE[to].lock();
    (TABLE[from].lock(), Some(second))
}

/// Wakes up to `wake` threads that wait for `from` and lets up to `most` others wait for `to`, if `check` agrees. `None` if it
/// could not tell.
pub fn requeue(
    from: Key,
    to: Key,
    wake: usize,
    most: usize,
    check: impl FnOnce() -> Option<Result<(), Errno>>,
) -> Option<Result<usize, Errno>> {
    let (mut source, mut target) = both(index(from), index(to));
    if let Err(errno) = check()? {
        return Some(Err(errno));
    }
    let woken = take(&mut source, from, wake, u32::MAX);
    let mut moved = 0;
    let mut at = 0;
    while let Some(waiter) = source.get_mut(at) {
        if moved == most || waiter.key != from || waiter.word.is_some() {
            at += 1;
            continue;
        }
        moved += 1;
        waiter.key = to;
        *waiter.task.futex.key.lock() = to;
        match &mut target {
            Some(target) => target.push(source.remove(at)),
            None => at += 1,
        }
    }
    drop((source, target));
    Some(Ok(alert(&woken) + moved))
}
