//! Transfers that a program does not wait for (Linux AIO): what is under way, and what is done and not fetched.
//!
//! ```text
//!   io_submit ──► under way ──(a disk is done; seen by whoever looks)──► done ──► io_getevents
//!              └──────────────(any other file: at once)────────────────►
//! ```
//!
//! Nobody is interrupted for a transfer unless somebody waits for one. A context belongs to an address space, and goes with it; a transfer has its memory
//! pinned until the device is done.

use super::block::{Disk, Transfer};
use crate::wait::{WaitQueue, wait_for_any};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;

/// For how long who waits looks before it halts, ns.
const LOOK_NS: u64 = 50_000;

/// What the program wants to be told when something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The program's own number.
    pub data: u64,
    /// Where it described the transfer.
    pub object: u64,
    /// Bytes, or a negative error number.
    pub result: i64,
}

/// A result, as an event has it.
#[must_use]
pub fn number_of(result: Result<usize, Errno>) -> i64 {
    match result {
        Ok(count) => i64::try_from(count).unwrap_or(i64::MAX),
        Err(errno) => -i64::from(errno.number()),
    }
}

struct UnderWay {
    transfer: Box<dyn Transfer>,
    disk: Arc<dyn Disk>,
    data: u64,
    object: u64,
}

#[derive(Default)]
struct State {
    under_way: Vec<UnderWay>,
    done: VecDeque<Event>,
    is_gone: bool,
}

impl State {
    /// Notes what has become done.
    fn look(&mut self) {
        let Self { under_way, done, .. } = self;
        under_way.retain_mut(|one| match one.transfer.poll() {
            None => true,
            Some(result) => {
                done.push_back(Event { data: one.data, object: one.object, result: number_of(result) });
                false
            }
        });
    }
}

/// Transfers that belong together.
pub struct Context {
    /// What the program calls it: the address of a page of its own.
    address: u64,
    most: usize,
    state: Mutex<State>,
    queue: WaitQueue,
}

impl Context {
    /// A context for `most` transfers that are under way or not fetched.
    #[must_use]
    pub fn new(address: u64, most: usize) -> Self {
        Self { address, most, state: Mutex::default(), queue: WaitQueue::new() }
    }

    /// What the program calls it.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Whether there is room for another transfer. Two that ask at once may both get it.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.under_way.len() + state.done.len() < self.most
    }

    /// A transfer is under way on `disk`.
    pub fn add(&self, transfer: Box<dyn Transfer>, disk: Arc<dyn Disk>, data: u64, object: u64) {
        self.state.lock().under_way.push(UnderWay { transfer, disk, data, object });
    }

    /// Something was done at once.
    pub fn finish(&self, event: Event) {
        self.state.lock().done.push_back(event);
    }

    /// Something was added.
    pub fn tell(&self) {
        self.queue.wake_all();
    }

    /// Takes up to `most` events.
    pub fn take(&self, most: usize) -> Vec<Event> {
        let mut state = self.state.lock();
        state.look();
        let count = most.min(state.done.len());
        let taken = state.done.drain(..count).collect();
        let is_left = !state.done.is_empty();
        drop(state);
        if is_left {
            self.queue.wake_all();
        }
        taken
    }

    /// Waits until there may be an event, or until the deadline (monotonic clock, ns). EINVAL if the context is gone, EINTR if a
    /// signal came.
    pub fn wait(&self, deadline_ns: Option<u64>) -> Result<(), Errno> {
        let before = self.queue.generation();
        let has_news = || {
            let mut state = self.state.lock();
            state.look();
            !state.done.is_empty() || state.is_gone || self.queue.generation() != before
        };
        let end = monotonic_ns().saturating_add(LOOK_NS).min(deadline_ns.unwrap_or(u64::MAX));
        let disks = self.disks();
        while !disks.is_empty() && monotonic_ns() < end {
            if has_news() {
                return self.check();
            }
            core::hint::spin_loop();
        }
        disks.iter().for_each(|disk| disk.expect(true));
        let result = wait_for_any(&[&self.queue], deadline_ns, || has_news().then_some(()));
        disks.iter().for_each(|disk| disk.expect(false));
        result?;
        self.check()
    }

    fn check(&self) -> Result<(), Errno> {
        if self.state.lock().is_gone { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// The disks on which something is under way, each once.
    fn disks(&self) -> Vec<Arc<dyn Disk>> {
        let state = self.state.lock();
        let mut disks: Vec<Arc<dyn Disk>> = Vec::new();
        for one in &state.under_way {
            if !disks.iter().any(|disk| Arc::ptr_eq(disk, &one.disk)) {
                disks.push(Arc::clone(&one.disk));
            }
        }
        disks
    }

    /// Nobody can fetch from it any more. What is under way is waited for when the last one lets go of it.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_gone = true;
        let under_way = core::mem::take(&mut state.under_way);
        drop(state);
        self.queue.wake_all();
        drop(under_way);
    }
}
