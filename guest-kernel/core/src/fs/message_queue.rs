//! POSIX message queues (`mq_overview(7)`): messages with priorities, the highest first, in queues with names of their own.
//!
//! ```text
//! name ──► MessageQueue ◄── OpenQueue (a descriptor: also to be polled, and read: that tells of the queue)
//! mq_unlink: without a name; the last descriptor's end is its own
//! ```
//!
//! Names are in no directory: `/dev/mqueue` is not mounted.

use super::descriptors::OpenFile;
use super::inode::{File, poll};
use crate::io::Destination;
use crate::ipc::Memory;
use crate::net::{Role, Socket};
use crate::process::family;
use crate::process::signal::Info;
use crate::wait::WaitQueue;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// One more than the highest priority (MQ_PRIO_MAX).
pub const PRIORITIES: u32 = 32_768;
/// Bytes of what a socket is sent when a message arrives (NOTIFY_COOKIE_LEN); the last one says why.
pub const COOKIE: usize = 32;
/// NOTIFY_WOKENUP, NOTIFY_REMOVED
const ARRIVED: u8 = 1;
const REMOVED: u8 = 2;
/// SI_MESGQ
const CODE: i32 = -3;

/// A message.
pub struct Message {
    /// Contents.
    pub bytes: Vec<u8>,
    _memory: Memory,
}

impl Message {
    /// One with these contents. ENOMEM if all messages take too much memory.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Errno> {
        let _memory = Memory::take(bytes.len())?;
        Ok(Self { bytes, _memory })
    }
}

/// How a process is told of a message.
pub enum Notify {
    /// Not at all, but nobody else is (SIGEV_NONE).
    Nobody,
    /// By a signal.
    Signal(u32),
    /// By a message through a netlink socket, for the C library (SIGEV_THREAD).
    Socket(Arc<OpenFile>, [u8; COOKIE]),
}

/// A process that wants to be told once.
pub struct Notice {
    /// The process.
    pub pid: u32,
    /// How.
    pub notify: Notify,
    /// What goes with a signal.
    pub value: u64,
}

impl Notice {
    fn give(self, pid: u32, uid: u32) {
        match self.notify {
            Notify::Nobody | Notify::Signal(0) => {}
            Notify::Signal(signal) => {
                if let Some(process) = family::find(self.pid) {
                    process.send(Info { code: CODE, value: self.value, ..Info::from_user(signal, pid, uid) });
                }
            }
            Notify::Socket(socket, cookie) => tell(&socket, cookie, ARRIVED),
        }
    }

    fn end(self) {
        if let Notify::Socket(socket, cookie) = self.notify {
            tell(&socket, cookie, REMOVED);
        }
    }
}

fn tell(socket: &OpenFile, mut cookie: [u8; COOKIE], why: u8) {
    cookie[COOKIE - 1] = why;
    if let Some(socket) = Socket::of(socket)
        && let Role::Routes(routes) = &socket.role
    {
        routes.tell(socket, cookie.to_vec());
    }
}

/// What a queue is.
#[derive(Default)]
pub struct State {
    by_priority: BTreeMap<u32, VecDeque<Message>>,
    count: usize,
    bytes: usize,
    receivers: usize,
    notice: Option<Notice>,
}

/// A queue.
pub struct MessageQueue {
    name: Vec<u8>,
    /// Most messages.
    pub most: usize,
    /// Bytes of the longest.
    pub longest: usize,
    /// Owner and group, and permissions.
    pub owner: (u32, u32, u32),
    state: Mutex<State>,
    /// Those that wait for a message, or for room.
    pub waiting: WaitQueue,
    _share: Share,
}

/// What the queues of each user count against RLIMIT_MSGQUEUE.
static SHARES: Mutex<BTreeMap<u32, u64>> = Mutex::new(BTreeMap::new());

struct Share {
    uid: u32,
    bytes: u64,
}

impl Share {
    /// EMFILE if that is too much for the user.
    fn take(uid: u32, bytes: u64, limit: u64) -> Result<Self, Errno> {
        let mut shares = SHARES.lock();
        let share = shares.entry(uid).or_default();
        let sum = share.checked_add(bytes).filter(|sum| *sum <= limit).ok_or(Errno::EMFILE)?;
        *share = sum;
        Ok(Self { uid, bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(share) = SHARES.lock().get_mut(&self.uid) {
            *share -= self.bytes;
        }
    }
}

impl MessageQueue {
    /// An empty one. EMFILE if its user has more than `limit` bytes of them.
    pub fn new(
        name: Vec<u8>,
        (most, longest): (usize, usize),
        owner: (u32, u32, u32),
        limit: u64,
    ) -> Result<Arc<Self>, Errno> {
        // A message's head, and a priority's.
        const HEAD: u64 = 48;
        let most_priorities = (most as u64).min(u64::from(PRIORITIES));
        let bytes = (most as u64).saturating_mul(longest as u64 + HEAD) + most_priorities * HEAD;
        let _share = Share::take(owner.0, bytes, limit)?;
        Ok(Arc::new(Self {
            name,
            most,
            longest,
            owner,
            state: Mutex::default(),
            waiting: WaitQueue::new(),
            _share,
        }))
    }

    /// How many messages wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state.lock().count
    }

    /// Adds the message, if there is room.
    pub fn send(&self, priority: u32, message: &mut Option<Message>, pid: u32, uid: u32) -> bool {
        let mut state = self.state.lock();
        if state.count >= self.most {
            return false;
        }
        let Some(message) = message.take() else { return true };
        state.count += 1;
        state.bytes += message.bytes.len();
        state.by_priority.entry(priority).or_default().push_back(message);
        // Whoever waits takes it; only what would lie there is told of.
        let notice = if state.count == state.receivers + 1 { state.notice.take() } else { None };
        drop(state);
        self.waiting.wake_all();
        if let Some(notice) = notice {
            notice.give(pid, uid);
        }
        true
    }

    /// Takes the oldest of the highest priority out.
    pub fn receive(&self) -> Option<(u32, Message)> {
        let mut state = self.state.lock();
        let mut highest = state.by_priority.last_entry()?;
        let priority = *highest.key();
        let message = highest.get_mut().pop_front()?;
        if highest.get().is_empty() {
            highest.remove();
        }
        state.count -= 1;
        state.bytes -= message.bytes.len();
        drop(state);
        self.waiting.wake_all();
        Some((priority, message))
    }

    /// One more, or one less, waits to receive.
    pub fn change_receivers(&self, is_more: bool) {
        let mut state = self.state.lock();
        state.receivers = if is_more { state.receivers + 1 } else { state.receivers.saturating_sub(1) };
    }

    /// Has a process told. EBUSY if one is to be told already.
    pub fn set_notice(&self, notice: Notice) -> Result<(), Errno> {
        let mut state = self.state.lock();
        let is_there = |pid| family::find(pid).is_some_and(|process| !process.kin.is_zombie());
        if state.notice.as_ref().is_some_and(|notice| is_there(notice.pid)) {
            return Err(Errno::EBUSY);
        }
        state.notice = Some(notice);
        Ok(())
    }

    /// A process wants to be told no longer.
    pub fn forget_notice(&self, pid: u32) {
        let notice = self.state.lock().notice.take_if(|notice| notice.pid == pid);
        if let Some(notice) = notice {
            notice.end();
        }
    }

    fn describe(&self) -> Vec<u8> {
        let state = self.state.lock();
        let (how, signal, pid) = match &state.notice {
            None => (0, 0, 0),
            Some(Notice { notify: Notify::Signal(signal), pid, .. }) => (0, *signal, *pid),
            Some(Notice { notify: Notify::Nobody, pid, .. }) => (1, 0, *pid),
            Some(Notice { notify: Notify::Socket(..), pid, .. }) => (2, 0, *pid),
        };
        format!("QSIZE:{:<10} NOTIFY:{how:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n", state.bytes)
            .into_bytes()
    }
}

/// Queues by name.
static NAMES: Mutex<BTreeMap<Vec<u8>, Arc<MessageQueue>>> = Mutex::new(BTreeMap::new());

/// The queue with this name, or the one that `make` makes if there is none; it is given how many there are.
pub fn find_or_make(
    name: &[u8],
    make: impl FnOnce(usize) -> Result<Arc<MessageQueue>, Errno>,
) -> Result<(Arc<MessageQueue>, bool), Errno> {
    let mut names = NAMES.lock();
    if let Some(queue) = names.get(name) {
        return Ok((Arc::clone(queue), false));
    }
    let queue = make(names.len())?;
    names.insert(name.to_vec(), Arc::clone(&queue));
    Ok((queue, true))
}

/// Takes a queue's name away, if `may`.
pub fn unlink(name: &[u8], may: impl FnOnce(&MessageQueue) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut names = NAMES.lock();
    may(names.get(name).ok_or(Errno::ENOENT)?)?;
    let gone = names.remove(name);
    drop(names);
    drop(gone);
    Ok(())
}

/// A descriptor of a queue.
pub struct OpenQueue {
    queue: Arc<MessageQueue>,
    is_read: AtomicBool,
}

impl OpenQueue {
    /// One more.
    #[must_use]
    pub fn new(queue: Arc<MessageQueue>) -> Self {
        Self { queue, is_read: AtomicBool::new(false) }
    }

    /// The queue that `file` is open for. EBADF if it is none.
    pub fn queue_of(file: &dyn File) -> Result<&Arc<MessageQueue>, Errno> {
        file.as_any().downcast_ref::<Self>().map(|open| &open.queue).ok_or(Errno::EBADF)
    }
}

impl File for OpenQueue {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if self.is_read.swap(true, Ordering::Relaxed) { Ok(0) } else { to.put(&self.queue.describe()) }
    }

    fn poll(&self) -> u16 {
        let count = self.queue.count();
        (if count > 0 { poll::IN } else { 0 }) | if count < self.queue.most { poll::OUT } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue.waiting)
    }

    fn release(&self) {
        if let Some(task) = crate::process::vcpus::current_task() {
            self.queue.forget_notice(task.process.pid);
        }
    }
}

impl core::fmt::Debug for MessageQueue {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("MessageQueue").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_highest_comes_first() {
        let queue = MessageQueue::new(b"a".to_vec(), (3, 10), (7, 7, 0o600), 10_000).unwrap();
        let send = |priority, byte| queue.send(priority, &mut Message::new(vec![byte]).ok(), 1, 0);
        assert!(send(1, b'a') && send(5, b'b') && send(5, b'c') && !send(9, b'd'));
        assert_eq!(queue.describe(), b"QSIZE:3          NOTIFY:0     SIGNO:0     NOTIFY_PID:0     \n");
        let order: Vec<(u32, u8)> = core::iter::from_fn(|| queue.receive())
            .map(|(priority, message)| (priority, message.bytes[0]))
            .collect();
        assert_eq!(order, [(5, b'b'), (5, b'c'), (1, b'a')]);
        assert!(MessageQueue::new(b"b".to_vec(), (100, 100), (7, 7, 0o600), 10_000).is_err());
        drop(queue);
        assert_eq!(SHARES.lock().get(&7), Some(&0));
    }
}
