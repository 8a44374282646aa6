//! Sockets that are on their way in each other's queues, so that nobody can receive them any more.
//!
//! ```text
//!   process ──► A ──► B          A is open, so B can be received
//!               C ──► D ──► C    nobody has C or D: both are closed
//! ```
//!
//! Looked for when a Unix socket is closed while files are on their way, and when there are too many of those. Candidates are sockets that have
//! no references but those of queues. Of these, one is alive if it is in the queue of a socket that is no candidate, or that is alive. What
//! others do meanwhile can only make more of them alive: whoever can receive a socket has one that leads to it, and that is no candidate. What is
//! seen is therefore written down once, and decided by afterwards.

use super::{Family, Socket};
use crate::fs::descriptors::OpenFile;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use septum_guest_hal::sync::Mutex;

/// Files on their way.
static ON_THE_WAY: AtomicUsize = AtomicUsize::new(0);

/// Unix sockets on their way, by their address, and how often they are.
static SOCKETS: Mutex<BTreeMap<usize, (Weak<OpenFile>, usize)>> = Mutex::new(BTreeMap::new());

fn key(file: &Arc<OpenFile>) -> usize {
    Arc::as_ptr(file).addr()
}

fn is_unix(file: &OpenFile) -> bool {
    Socket::of(file).is_some_and(|socket| socket.family == Family::Unix)
}

/// How many files are on their way.
pub fn on_the_way() -> usize {
    ON_THE_WAY.load(Ordering::Relaxed)
}

/// Files are sent. How many are on their way now.
pub fn set_off(files: &[Arc<OpenFile>]) -> usize {
    for file in files.iter().filter(|file| is_unix(file)) {
        let mut sockets = SOCKETS.lock();
        sockets.entry(key(file)).or_insert_with(|| (Arc::downgrade(file), 0)).1 += 1;
    }
    ON_THE_WAY.fetch_add(files.len(), Ordering::Relaxed) + files.len()
}

/// They were received, or will never be.
pub fn arrived(files: &[Arc<OpenFile>]) {
    ON_THE_WAY.fetch_sub(files.len(), Ordering::Relaxed);
    for file in files.iter().filter(|file| is_unix(file)) {
        let mut sockets = SOCKETS.lock();
        if let Some((_, count)) = sockets.get_mut(&key(file)) {
            *count -= 1;
            if *count == 0 {
                sockets.remove(&key(file));
            }
        }
    }
}

/// A Unix socket was closed.
pub fn look() {
    if on_the_way() > 0 {
        collect();
    }
}

struct Candidate {
    file: Weak<OpenFile>,
    /// How often it is on its way, in queues of others than candidates.
    from_others: usize,
    /// What is in its queue.
    leads_to: Vec<usize>,
    is_alive: bool,
}

/// Closes those that nobody can receive.
pub fn collect() {
    /// One at a time; who comes meanwhile has it done once more.
    static IS_RUNNING: AtomicBool = AtomicBool::new(false);
    static IS_WANTED: AtomicBool = AtomicBool::new(false);
    IS_WANTED.store(true, Ordering::SeqCst);
    while IS_WANTED.load(Ordering::SeqCst) && !IS_RUNNING.swap(true, Ordering::SeqCst) {
        IS_WANTED.store(false, Ordering::SeqCst);
        let dead = find_dead();
        if !dead.is_empty() {
            IS_WANTED.store(true, Ordering::SeqCst);
        }
        for file in dead.iter().filter_map(Weak::upgrade) {
            if let Some(socket) = Socket::of(&file) {
                socket.abandon();
            }
        }
        IS_RUNNING.store(false, Ordering::SeqCst);
    }
}

fn find_dead() -> Vec<Weak<OpenFile>> {
    let mut candidates: BTreeMap<usize, Candidate> = {
        let sockets = SOCKETS.lock();
        let held_by_queues_alone = sockets.iter().filter(|(_, (file, count))| file.strong_count() == *count);
        let candidate = |(&key, (file, count)): (&usize, &(Weak<OpenFile>, usize))| {
            let file = Weak::clone(file);
            (key, Candidate { file, from_others: *count, leads_to: Vec::new(), is_alive: false })
        };
        held_by_queues_alone.map(candidate).collect()
    };
    let keys: Vec<usize> = candidates.keys().copied().collect();
    for from in &keys {
        let Some(file) = candidates.get(from).and_then(|candidate| candidate.file.upgrade()) else {
            continue;
        };
        let mut leads_to = Vec::new();
        if let Some(socket) = Socket::of(&file) {
            socket.each_file(&mut |file| leads_to.push(key(file)));
        }
        // Dropped like one that was received and closed: it may be the last reference by now.
        super::passing::bury(alloc::vec![file]);
        leads_to.retain(|to| candidates.contains_key(to));
        for to in &leads_to {
            if let Some(candidate) = candidates.get_mut(to) {
                candidate.from_others = candidate.from_others.saturating_sub(1);
            }
        }
        if let Some(candidate) = candidates.get_mut(from) {
            candidate.leads_to = leads_to;
        }
    }
    let is_held = |(key, candidate): (&usize, &Candidate)| (candidate.from_others > 0).then_some(*key);
    let mut alive: Vec<usize> = candidates.iter().filter_map(is_held).collect();
    while let Some(key) = alive.pop() {
        let Some(candidate) = candidates.get_mut(&key) else { continue };
        if !core::mem::replace(&mut candidate.is_alive, true) {
            alive.append(&mut candidate.leads_to);
        }
    }
    candidates.into_values().filter(|candidate| !candidate.is_alive).map(|candidate| candidate.file).collect()
}
