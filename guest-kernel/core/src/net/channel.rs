//! One direction of a connection: what one end has sent and the other has not received.
//!
//! ```text
//!              finish (the sender will send no more)
//!   open ──────────────────────────────────────────────► what is there can be received, then the end
//!     └─ refuse (the receiver will receive no more) ───► sending fails
//! ```
//!
//! Bytes are a [`Ring`], cut into segments where files or other credentials go with them: a reception never crosses from one
//! sender's bytes to another's, and ends behind a segment that came with files. Messages are a list of packets.
//!
//! Nothing waits here: empty and full are EAGAIN, and both ends have queues that are woken when that changes. The sender is woken when a third
//! is free again, not for every byte, so that two ends that take turns do so in large steps.

use super::memory::Budget;
use super::packet::Packet;
use super::passing::{Credentials, Passed};
use super::shared::Shared;
use super::{Extra, How, Received};
use crate::io::{Destination, Source};
use crate::ring::Ring;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Bytes that belong together.
struct Segment {
    /// Position of the first byte after it, counted from the first byte ever sent.
    end: u64,
    credentials: Credentials,
    files: Option<Passed>,
}

enum Contents {
    Bytes { ring: Ring<Budget>, segments: VecDeque<Segment>, received: u64, sent: u64 },
    Packets { packets: VecDeque<Packet>, cost: usize, limit: usize },
}

struct Flow {
    contents: Contents,
    is_finished: bool,
    is_refused: bool,
}

/// What is true of a channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Something can be received.
    pub has_data: bool,
    /// There is room to send.
    pub has_room: bool,
    /// The sender will send no more.
    pub is_finished: bool,
    /// The receiver will receive no more.
    pub is_refused: bool,
}

/// One direction of a connection.
pub struct Channel {
    flow: Mutex<Flow>,
    sender: Arc<Shared>,
    receiver: Arc<Shared>,
}

impl Channel {
    /// An empty one for about `size` bytes.
    #[must_use]
    pub fn new(keeps_messages: bool, size: usize, sender: &Arc<Shared>, receiver: &Arc<Shared>) -> Arc<Self> {
        let contents = if keeps_messages {
            Contents::Packets { packets: VecDeque::new(), cost: 0, limit: size }
        } else {
            Contents::Bytes { ring: Ring::new(size), segments: VecDeque::new(), received: 0, sent: 0 }
        };
        Arc::new(Self {
            flow: Mutex::new(Flow { contents, is_finished: false, is_refused: false }),
            sender: Arc::clone(sender),
            receiver: Arc::clone(receiver),
        })
    }

    /// What is true now.
    #[must_use]
    pub fn state(&self) -> State {
        let flow = self.flow.lock();
        State {
            has_data: !flow.contents.is_empty(),
            has_room: flow.contents.has_room(),
            is_finished: flow.is_finished,
            is_refused: flow.is_refused,
        }
    }

    /// Bytes that can be received; of messages those of the first.
    #[must_use]
    pub fn available(&self) -> usize {
        match &self.flow.lock().contents {
            Contents::Bytes { ring, .. } => ring.len(),
            Contents::Packets { packets, .. } => packets.front().map_or(0, Packet::len),
        }
    }

    /// Bytes that wait to be received.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match &self.flow.lock().contents {
            Contents::Bytes { ring, .. } => ring.len(),
            Contents::Packets { packets, .. } => packets.iter().map(Packet::len).sum(),
        }
    }

    /// Sends: bytes as far as there is room, a message as a whole. EPIPE if that was ended at either end.
    pub fn send(&self, from: &mut dyn Source, extra: &mut Extra) -> Result<usize, Errno> {
        let mut flow = self.flow.lock();
        if flow.is_finished || flow.is_refused {
            return Err(Errno::EPIPE);
        }
        let len = match &mut flow.contents {
            Contents::Bytes { ring, segments, sent, .. } => {
                if from.remaining() == 0 {
                    return Ok(0);
                }
                if ring.room() == 0 {
                    return Err(Errno::EAGAIN);
                }
                let len = ring.put(usize::MAX, from)?;
                *sent += len as u64;
                let files = extra.files.take();
                match segments.back_mut() {
                    Some(last)
                        if files.is_none()
                            && last.files.is_none()
                            && last.credentials == extra.credentials =>
                    {
                        last.end = *sent;
                    }
                    _ => segments.push_back(Segment { end: *sent, credentials: extra.credentials, files }),
                }
                len
            }
            Contents::Packets { packets, cost, limit } => {
                if from.remaining() > *limit {
                    return Err(Errno::EMSGSIZE);
                }
                if *cost >= *limit {
                    return Err(Errno::EAGAIN);
                }
                let mut packet = Packet::new(from)?;
                packet.credentials = extra.credentials;
                packet.files = extra.files.take();
                *cost += packet.cost();
                let len = packet.len();
                packets.push_back(packet);
                len
            }
        };
        drop(flow);
        self.receiver.queue.wake_all();
        Ok(len)
    }

    /// Receives; nothing if the sender has finished, EAGAIN if it may still send.
    pub fn receive(&self, to: &mut dyn Destination, how: How) -> Result<Received, Errno> {
        let mut flow = self.flow.lock();
        if flow.contents.is_empty() {
            return if flow.is_finished { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
        }
        let was_full = !flow.contents.has_room();
        let (received, gone) = flow.contents.receive(to, how)?;
        let has_relieved = was_full && flow.contents.has_room();
        drop(flow);
        // Files are closed without the lock.
        drop(gone);
        if has_relieved {
            self.sender.queue.wake_all();
        }
        Ok(received)
    }

    /// The sender will send no more.
    pub fn finish(&self) {
        self.flow.lock().is_finished = true;
        self.wake();
    }

    /// The receiver will receive no more. Returns whether something was there.
    pub fn refuse(&self) -> bool {
        let mut flow = self.flow.lock();
        flow.is_refused = true;
        let had_data = !flow.contents.is_empty();
        drop(flow);
        self.wake();
        had_data
    }

    /// Forgets what nobody will receive.
    pub fn clear(&self) {
        let mut flow = self.flow.lock();
        let nothing = match &flow.contents {
            Contents::Bytes { received, sent, .. } => Contents::Bytes {
                ring: Ring::new(1),
                segments: VecDeque::new(),
                received: *received,
                sent: *sent,
            },
            Contents::Packets { limit, .. } => {
                Contents::Packets { packets: VecDeque::new(), cost: 0, limit: *limit }
            }
        };
        let contents = core::mem::replace(&mut flow.contents, nothing);
        drop(flow);
        drop(contents);
    }

    fn wake(&self) {
        self.sender.queue.wake_all();
        self.receiver.queue.wake_all();
    }
}

/// What is dropped when the lock is not held.
type Gone = (VecDeque<Segment>, Option<Packet>);

impl Contents {
    fn is_empty(&self) -> bool {
        match self {
            Self::Bytes { ring, .. } => ring.is_empty(),
            Self::Packets { packets, .. } => packets.is_empty(),
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Self::Bytes { ring, .. } => ring.room() >= ring.capacity() / 3,
            Self::Packets { cost, limit, .. } => cost < limit,
        }
    }

    fn receive(&mut self, to: &mut dyn Destination, how: How) -> Result<(Received, Gone), Errno> {
        match self {
            Self::Bytes { ring, segments, received, .. } => receive_bytes(ring, segments, received, to, how),
            Self::Packets { packets, cost, .. } => {
                let Some(packet) = packets.front_mut() else { return Err(Errno::EAGAIN) };
                let len = packet.copy(to)?;
                let mut result = Received {
                    len,
                    full_len: packet.len(),
                    credentials: Some(packet.credentials),
                    is_message: true,
                    ..Received::default()
                };
                if how.is_peek {
                    result.files = packet.files.as_ref().map(Passed::look).unwrap_or_default();
                    return Ok((result, Gone::default()));
                }
                result.files = packet.files.take().map(Passed::arrive).unwrap_or_default();
                *cost -= packet.cost();
                Ok((result, (VecDeque::new(), packets.pop_front())))
            }
        }
    }
}

fn receive_bytes(
    ring: &mut Ring<Budget>,
    segments: &mut VecDeque<Segment>,
    position: &mut u64,
    to: &mut dyn Destination,
    how: How,
) -> Result<(Received, Gone), Errno> {
    let mut result = Received::default();
    let mut gone = VecDeque::new();
    let mut index = 0;
    while let Some(segment) = segments.get_mut(index) {
        let other_sender = result.credentials.is_some_and(|credentials| credentials != segment.credentials);
        if to.remaining() == 0 || (how.tells_senders_apart && other_sender) {
            break;
        }
        let at = *position + if how.is_peek { result.len as u64 } else { 0 };
        let left = usize::try_from(segment.end - at).unwrap_or(usize::MAX);
        let skip = if how.is_peek { result.len } else { 0 };
        let len = match ring.copy(skip, left, to) {
            Ok(len) => len,
            Err(errno) if result.len == 0 => return Err(errno),
            Err(_) => break,
        };
        result.len += len;
        result.credentials = Some(segment.credentials);
        let had_files = segment.files.is_some();
        if how.is_peek {
            result.files = segment.files.as_ref().map(Passed::look).unwrap_or_default();
            index += 1;
        } else {
            result.files = segment.files.take().map(Passed::arrive).unwrap_or_default();
            ring.consume(len);
            *position += len as u64;
            if len == left {
                gone.extend(segments.pop_front());
            }
        }
        if had_files || len < left {
            break;
        }
    }
    result.full_len = result.len;
    Ok((result, (gone, None)))
}
