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
//! One byte of a TCP stream may be urgent, as the protocol has it: the last one that was sent so.
//!
//! Nothing waits here: empty and full are EAGAIN, and both ends have queues that are woken when that changes. The sender is woken when a third
//! is free again, not for every byte, so that two ends that take turns do so in large steps.

use super::memory::Budget;
use super::packet::Packet;
use super::passing::{Credentials, Passed};
use super::shared::Shared;
use super::{Extra, How, Received};
use crate::fs::descriptors::OpenFile;
use crate::io::{Destination, KernelDestination, Source};
use crate::ring::Ring;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
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
    Bytes(Stream),
    Packets { packets: VecDeque<Packet>, cost: usize, limit: usize },
}

/// Bytes on their way in one direction of a connection, unless SO_SNDBUF says something else. Both ends take turns in steps of a
/// part of that; a turn may cost a sleep and a wake-up, some hundred microseconds where halting is dear.
const TCP_BUFFER: usize = 2 << 20;
const UNIX_BUFFER: usize = 768 << 10;
/// What of that is at the receiver's end of a TCP connection whose sender has set its own.
const RECEIVED_BUFFER: usize = 128 << 10;

/// Bytes on their way.
struct Stream {
    ring: Ring<Budget>,
    segments: VecDeque<Segment>,
    /// Counted from the first byte ever sent.
    received: u64,
    sent: u64,
    urgent: Option<Urgent>,
    /// Most bytes at once, if that is less than the ring holds.
    limit: usize,
}

/// The byte that was sent as urgent last (MSG_OOB). It is not received with the others, unless the receiver wants that: a reception
/// ends before it, and the next one begins behind it.
#[derive(Clone, Copy)]
struct Urgent {
    at: u64,
    byte: u8,
    is_known: bool,
}

impl Stream {
    fn new(size: usize) -> Self {
        let ring = Ring::new(size);
        let limit = ring.capacity();
        Self { ring, segments: VecDeque::new(), received: 0, sent: 0, urgent: None, limit }
    }

    /// Bytes that may be sent now.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.ring.len())
    }

    /// Whether there is nothing but an urgent byte that the receiver does not want among the others.
    fn is_empty(&self, is_inline: bool) -> bool {
        self.ring.is_empty()
            || self.ring.len() == 1
                && !is_inline
                && self.urgent.is_some_and(|urgent| urgent.at == self.received)
    }
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
    /// Something urgent can be received.
    pub has_urgent: bool,
    /// There is room to send.
    pub has_room: bool,
    /// The sender will send no more.
    pub is_finished: bool,
    /// The receiver will receive no more.
    pub is_refused: bool,
}

/// Who wants how much room for what is on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// SO_SNDBUF of who sends, if that is said.
    pub sent: Option<usize>,
    /// SO_RCVBUF of who receives, if that is said.
    pub received: Option<usize>,
    /// It is a TCP connection: those have a part at either end. Of a Unix connection only the sender's counts.
    pub is_inet: bool,
}

impl Room {
    fn bytes(self) -> usize {
        match (self.is_inet, self.sent, self.received) {
            (false, sent, _) => sent.unwrap_or(UNIX_BUFFER),
            (true, None, None) => TCP_BUFFER,
            (true, sent, received) => sent.unwrap_or(TCP_BUFFER / 2) + received.unwrap_or(RECEIVED_BUFFER),
        }
    }
}

/// One direction of a connection.
pub struct Channel {
    flow: Mutex<Flow>,
    room: Mutex<Room>,
    sender: Arc<Shared>,
    receiver: Arc<Shared>,
}

impl Channel {
    /// An empty one.
    #[must_use]
    pub fn new(keeps_messages: bool, room: Room, sender: &Arc<Shared>, receiver: &Arc<Shared>) -> Arc<Self> {
        let size = room.bytes();
        let contents = if keeps_messages {
            Contents::Packets { packets: VecDeque::new(), cost: 0, limit: size }
        } else {
            Contents::Bytes(Stream::new(size))
        };
        Arc::new(Self {
            flow: Mutex::new(Flow { contents, is_finished: false, is_refused: false }),
            room: Mutex::new(room),
            sender: Arc::clone(sender),
            receiver: Arc::clone(receiver),
        })
    }

    /// What is true now.
    #[must_use]
    pub fn state(&self) -> State {
        let flow = self.flow.lock();
        State {
            has_data: !flow.contents.is_empty(self.is_urgent_inline()),
            has_urgent: flow.contents.has_urgent(),
            has_room: flow.contents.has_room(),
            is_finished: flow.is_finished,
            is_refused: flow.is_refused,
        }
    }

    /// Bytes that can be received; of messages those of the first.
    #[must_use]
    pub fn available(&self) -> usize {
        match &self.flow.lock().contents {
            Contents::Bytes(stream) if stream.is_empty(self.is_urgent_inline()) => 0,
            Contents::Bytes(stream) => stream.ring.len(),
            Contents::Packets { packets, .. } => packets.front().map_or(0, Packet::len),
        }
    }

    /// Bytes that wait to be received.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match &self.flow.lock().contents {
            Contents::Bytes(stream) => stream.ring.len(),
            Contents::Packets { packets, .. } => packets.iter().map(Packet::len).sum(),
        }
    }

    /// Sends: bytes as far as there is room, a message as a whole. EPIPE if that was ended at either end.
    pub fn send(&self, from: &mut dyn Source, extra: &mut Extra) -> Result<usize, Errno> {
        let mut flow = self.flow.lock();
        if flow.is_finished || flow.is_refused {
            return Err(Errno::EPIPE);
        }
        let mut tells = false;
        let len = match &mut flow.contents {
            Contents::Bytes(stream) => {
                let room = stream.room();
                let Stream { ring, segments, sent, urgent, .. } = stream;
                if from.remaining() == 0 {
                    return Ok(0);
                }
                if room == 0 {
                    return Err(Errno::EAGAIN);
                }
                let len = ring.put(room, from)?;
                *sent += len as u64;
                if extra.is_urgent && from.remaining() == 0 && len > 0 {
                    let mut byte = [0];
                    ring.copy(ring.len() - 1, 1, &mut KernelDestination(&mut byte))?;
                    *urgent = Some(Urgent { at: *sent - 1, byte: byte[0], is_known: false });
                    tells = true;
                }
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
        if tells {
            self.receiver.tell_urgent();
        }
        Ok(len)
    }

    /// Receives; nothing if the sender has finished, EAGAIN if it may still send.
    pub fn receive(&self, to: &mut dyn Destination, how: How) -> Result<Received, Errno> {
        let mut flow = self.flow.lock();
        let is_inline = self.is_urgent_inline();
        if flow.contents.is_empty(is_inline) {
            // An urgent byte that is the next one is passed all the same.
            if let Contents::Bytes(stream) = &mut flow.contents
                && !how.is_peek
                && !is_inline
            {
                stream.pass_mark(&mut VecDeque::new());
            }
            return if flow.is_finished { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
        }
        let was_full = !flow.contents.has_room();
        let (received, gone) = flow.contents.receive(to, how, is_inline)?;
        let has_relieved = was_full && flow.contents.has_room();
        drop(flow);
        // Files are closed without the lock.
        drop(gone);
        if has_relieved {
            self.sender.queue.wake_all();
        }
        Ok(received)
    }

    /// Shows the files on their way.
    pub fn each_file(&self, each: &mut dyn FnMut(&Arc<OpenFile>)) {
        match &self.flow.lock().contents {
            Contents::Bytes(stream) => {
                stream.segments.iter().filter_map(|one| one.files.as_ref()).for_each(|files| files.each(each))
            }
            Contents::Packets { packets, .. } => {
                packets.iter().filter_map(|one| one.files.as_ref()).for_each(|files| files.each(each))
            }
        }
    }

    /// Somebody wants other room. A stream cannot have more than it had in the beginning.
    pub fn set_room(&self, change: impl FnOnce(&mut Room)) {
        let mut room = self.room.lock();
        change(&mut room);
        let size = room.bytes();
        match &mut self.flow.lock().contents {
            Contents::Bytes(stream) => stream.limit = size.clamp(1, stream.ring.capacity()),
            Contents::Packets { limit, .. } => *limit = size,
        }
        self.wake();
    }

    fn is_urgent_inline(&self) -> bool {
        self.receiver.has_urgent_inline.load(Ordering::SeqCst)
    }

    /// Receives the urgent byte (MSG_OOB). EINVAL if there is none, or it is one like the others.
    pub fn receive_urgent(&self, to: &mut dyn Destination, is_peek: bool) -> Result<usize, Errno> {
        let mut flow = self.flow.lock();
        let Contents::Bytes(stream) = &mut flow.contents else { return Err(Errno::EOPNOTSUPP) };
        let urgent = stream.urgent.as_mut().filter(|urgent| !urgent.is_known).ok_or(Errno::EINVAL)?;
        if self.is_urgent_inline() {
            return Err(Errno::EINVAL);
        }
        let len = if to.remaining() > 0 { to.put(&[urgent.byte])? } else { 0 };
        urgent.is_known = !is_peek;
        Ok(len)
    }

    /// Whether the urgent byte is the next one (SIOCATMARK).
    #[must_use]
    pub fn is_at_mark(&self) -> bool {
        match &self.flow.lock().contents {
            Contents::Bytes(stream) => stream.urgent.is_some_and(|urgent| urgent.at == stream.received),
            Contents::Packets { .. } => false,
        }
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
        let had_data = !flow.contents.is_empty(true);
        drop(flow);
        self.wake();
        had_data
    }

    /// Forgets what nobody will receive.
    pub fn clear(&self) {
        let mut flow = self.flow.lock();
        let nothing = match &flow.contents {
            Contents::Bytes(Stream { received, sent, .. }) => {
                Contents::Bytes(Stream { received: *received, sent: *sent, ..Stream::new(1) })
            }
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
    fn is_empty(&self, is_urgent_inline: bool) -> bool {
        match self {
            Self::Bytes(stream) => stream.is_empty(is_urgent_inline),
            Self::Packets { packets, .. } => packets.is_empty(),
        }
    }

    fn has_urgent(&self) -> bool {
        match self {
            Self::Bytes(stream) => stream.urgent.is_some_and(|urgent| !urgent.is_known),
            Self::Packets { .. } => false,
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Self::Bytes(stream) => stream.room() >= stream.limit / 3,
            Self::Packets { cost, limit, .. } => cost < limit,
        }
    }

    fn receive(
        &mut self,
        to: &mut dyn Destination,
        how: How,
        is_urgent_inline: bool,
    ) -> Result<(Received, Gone), Errno> {
        match self {
            Self::Bytes(stream) => stream.receive(to, how, is_urgent_inline),
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

impl Stream {
    fn receive(
        &mut self,
        to: &mut dyn Destination,
        how: How,
        is_urgent_inline: bool,
    ) -> Result<(Received, Gone), Errno> {
        let mut result = Received::default();
        let mut gone = VecDeque::new();
        // Where the next byte is, from the first one that is still here.
        let mut skip = 0;
        if !is_urgent_inline && self.urgent.is_some_and(|urgent| urgent.at == self.received) {
            if how.is_peek {
                skip = 1;
            } else {
                self.pass_mark(&mut gone);
            }
        }
        let mark = self.urgent.map(|urgent| urgent.at).filter(|&mark| mark > self.received);
        let mut index = 0;
        while let Some(segment) = self.segments.get_mut(index) {
            let at = self.received + skip as u64;
            if segment.end <= at {
                index += 1;
                continue;
            }
            let other_sender =
                result.credentials.is_some_and(|credentials| credentials != segment.credentials);
            if to.remaining() == 0 || (how.tells_senders_apart && other_sender) {
                break;
            }
            let end = mark.map_or(segment.end, |mark| mark.min(segment.end));
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let len = match self.ring.copy(skip, left, to) {
                Ok(len) => len,
                Err(errno) if result.len == 0 => return Err(errno),
                Err(_) => break,
            };
            result.len += len;
            result.credentials = Some(segment.credentials);
            let had_files = segment.files.is_some();
            if how.is_peek {
                result.files = segment.files.as_ref().map(Passed::look).unwrap_or_default();
                skip += len;
            } else {
                result.files = segment.files.take().map(Passed::arrive).unwrap_or_default();
                self.consume(len, &mut gone);
            }
            if had_files || len < left || mark == Some(self.received + skip as u64) {
                break;
            }
        }
        // Whoever has gone past an urgent byte has not missed it, if it is one like the others.
        if self.urgent.is_some_and(|urgent| urgent.at < self.received) {
            self.urgent = None;
        }
        result.full_len = result.len;
        Ok((result, (gone, None)))
    }

    /// Goes past the urgent byte if it is the next one.
    fn pass_mark(&mut self, gone: &mut VecDeque<Segment>) {
        if self.urgent.take_if(|urgent| urgent.at == self.received).is_some() {
            self.consume(1, gone);
        }
    }

    /// Forgets `len` bytes, which lie in the first segment.
    fn consume(&mut self, len: usize, gone: &mut VecDeque<Segment>) {
        self.ring.consume(len);
        self.received += len as u64;
        if self.segments.front().is_some_and(|segment| segment.end <= self.received) {
            gone.extend(self.segments.pop_front());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_tcp_both_ends_have_a_say() {
        let bytes = |is_inet, sent, received| Room { is_inet, sent, received }.bytes();
        assert_eq!(bytes(true, None, None), TCP_BUFFER);
        assert_eq!(bytes(true, Some(4608), Some(8192)), 12_800);
        assert_eq!(bytes(true, Some(4608), None), 4608 + RECEIVED_BUFFER);
        assert_eq!(bytes(false, Some(4608), Some(8192)), 4608);
        let shared = Arc::default();
        let channel = Channel::new(false, Room { is_inet: true, ..Room::default() }, &shared, &shared);
        channel.set_room(|room| room.sent = Some(4608));
        channel.set_room(|room| room.received = Some(8192));
        let Contents::Bytes(stream) = &channel.flow.lock().contents else { panic!("it keeps no messages") };
        assert_eq!(stream.limit, 12_800);
    }
}
