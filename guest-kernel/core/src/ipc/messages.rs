//! System V message queues: messages with types, which are received by type (`msgop(2)`).
//!
//! ```text
//! msgsnd ──► there is room ──► at the end; whoever waits for a message looks
//!        └─► there is none ──► waits until something was received, or is told
//! msgrcv ──► the first that fits ──► out, and whoever waits for room looks
//! ```

use super::table::Table;
use super::{Caller, Memory, PRIVATE, Permission, Request, seconds};
use crate::wait::WaitQueue;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Longest message (MSGMAX), bytes in a queue (MSGMNB), and queues (MSGMNI).
pub const LONGEST: usize = 8192;
/// See above.
pub const MOST_BYTES: u64 = 16_384;
/// See above.
pub const MOST_QUEUES: usize = 32_000;

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Positive.
    pub kind: i64,
    /// Contents.
    pub bytes: Vec<u8>,
    _memory: Memory,
}

impl Message {
    /// One with these contents. ENOMEM if all messages take too much memory.
    pub fn new(kind: i64, bytes: Vec<u8>) -> Result<Self, Errno> {
        let _memory = Memory::take(bytes.len())?;
        Ok(Self { kind, bytes, _memory })
    }
}

/// Which message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The first.
    Any,
    /// The first of this type.
    Kind(i64),
    /// The first of another type (MSG_EXCEPT).
    OtherThan(i64),
    /// The first of the lowest type up to this.
    UpTo(i64),
    /// The one with this number, counted from 0 (MSG_COPY).
    Number(i64),
}

/// What a queue is.
#[derive(Debug)]
pub struct State {
    /// Whose it is.
    pub permission: Permission,
    /// Seconds since 1970 of the last message sent, the last received, and the last change.
    pub times: [u64; 3],
    /// The last process that sent, and that received.
    pub pids: [u32; 2],
    /// Most bytes.
    pub limit: u64,
    /// Bytes.
    pub bytes: u64,
    messages: VecDeque<Message>,
    is_removed: bool,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    /// Those that wait for a message, or for room.
    pub waiting: WaitQueue,
}

impl State {
    /// How many messages.
    #[must_use]
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// Whether one of `len` bytes fits.
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        self.bytes + len as u64 <= self.limit && (self.count() as u64) < self.limit
    }

    /// Adds one.
    pub fn send(&mut self, message: Message, pid: u32) {
        self.bytes += message.bytes.len() as u64;
        self.messages.push_back(message);
        (self.pids[0], self.times[0]) = (pid, seconds());
    }

    /// Where the wanted one is.
    #[must_use]
    pub fn find(&self, wanted: Wanted) -> Option<usize> {
        let mut kinds = self.messages.iter().map(|message| message.kind);
        match wanted {
            Wanted::Any => kinds.next().map(|_| 0),
            Wanted::Kind(kind) => kinds.position(|other| other == kind),
            Wanted::OtherThan(kind) => kinds.position(|other| other != kind),
            Wanted::UpTo(most) => {
                let lowest = kinds.filter(|kind| *kind <= most).min()?;
                self.messages.iter().position(|message| message.kind == lowest)
            }
            Wanted::Number(number) => usize::try_from(number).ok().filter(|number| *number < self.count()),
        }
    }

    /// A message.
    #[must_use]
    pub fn message(&self, at: usize) -> Option<&Message> {
        self.messages.get(at)
    }

    /// Takes one out.
    pub fn receive(&mut self, at: usize, pid: u32) -> Option<Message> {
        let message = self.messages.remove(at)?;
        self.bytes -= message.bytes.len() as u64;
        (self.pids[1], self.times[1]) = (pid, seconds());
        Some(message)
    }
}

impl Queue {
    /// Looks at it, or changes it; EIDRM once it is removed.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.state.lock();
        if state.is_removed { Err(Errno::EIDRM) } else { act(&mut state) }
    }
}

/// All queues.
#[derive(Debug, Default)]
pub struct Queues(Table<Arc<Queue>>);

/// Those of the partition.
pub static QUEUES: Mutex<Queues> = Mutex::new(Queues(Table::new()));

impl Queues {
    /// The number of the queue that is asked for, which is made if need be.
    pub fn get(&mut self, request: Request, caller: Caller) -> Result<i32, Errno> {
        for (id, queue) in self.0.iter() {
            let state = queue.state.lock();
            if request.key != PRIVATE && state.permission.key == request.key {
                return request.accepts(&state.permission, 0, caller).map(|()| id);
            }
        }
        request.may_make()?;
        if self.0.count() >= MOST_QUEUES {
            return Err(Errno::ENOSPC);
        }
        let state = State {
            permission: Permission::new(&request, caller),
            times: [0, 0, seconds()],
            pids: [0; 2],
            limit: MOST_BYTES,
            bytes: 0,
            messages: VecDeque::new(),
            is_removed: false,
        };
        self.0.insert(Arc::new(Queue { state: Mutex::new(state), waiting: WaitQueue::new() }))
    }

    /// The queues by their numbers and places.
    #[must_use]
    pub fn table(&self) -> &Table<Arc<Queue>> {
        &self.0
    }

    /// The queue with this number. EINVAL if there is none.
    pub fn find(&self, id: i32) -> Result<Arc<Queue>, Errno> {
        self.0.get(id).map(Arc::clone)
    }

    /// Removes a queue, if its owner asks; who waits for it is told.
    pub fn remove(&mut self, id: i32, caller: Caller) -> Result<(), Errno> {
        let queue = self.find(id)?;
        let mut state = queue.state.lock();
        state.permission.check_owner(caller)?;
        state.is_removed = true;
        state.messages.clear();
        drop(state);
        self.0.remove(id);
        queue.waiting.wake_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Caller = Caller { pid: 1, uid: 0, gid: 0 };

    #[test]
    fn messages_are_found_by_their_types() {
        let mut queues = Queues::default();
        let request = Request { key: 3, size: 0, mode: 0o600, creates: true, is_exclusive: false };
        let id = queues.get(request, ROOT).unwrap();
        assert_eq!(queues.get(request, ROOT), Ok(id));
        let queue = queues.find(id).unwrap();
        queue
            .with(|state| {
                for kind in [5, 2, 7, 2] {
                    assert!(state.has_room(6000) || kind == 2);
                    state.send(Message::new(kind, alloc::vec![0; 4000])?, 8);
                }
                assert!(!state.has_room(1000) && state.has_room(384));
                assert_eq!(state.find(Wanted::Any), Some(0));
                assert_eq!((state.find(Wanted::Kind(2)), state.find(Wanted::Kind(3))), (Some(1), None));
                assert_eq!(state.find(Wanted::OtherThan(5)), Some(1));
                assert_eq!((state.find(Wanted::UpTo(6)), state.find(Wanted::UpTo(1))), (Some(1), None));
                assert_eq!((state.find(Wanted::Number(3)), state.find(Wanted::Number(4))), (Some(3), None));
                assert_eq!(state.receive(1, 9).map(|message| message.kind), Some(2));
                assert_eq!((state.count(), state.bytes, state.pids), (3, 12_000, [8, 9]));
                Ok(())
            })
            .unwrap();
        queues.remove(id, ROOT).unwrap();
        assert_eq!(queue.with(|_| Ok(())), Err(Errno::EIDRM));
        assert_eq!(queues.find(id).err(), Some(Errno::EINVAL));
    }
}
