//! Requests and replies.
//!
//! ```text
//! slot, one page for each request under way
//! +0      request header, written once but for two words
//! +40     arguments and names
//! +2048   reply header
//! +2064   results
//! ```
//!
//! Slots are kept for ever and used again, so a request allocates nothing. Data is not in the slot: it moves
//! between the device and the frames it belongs to. Requests whose reply nobody needs (RELEASE, FORGET) are left to themselves; their
//! slots are collected later.

use super::fuse::{self, Opcode};
use crate::platform::Region;
use crate::virtio::queue::{Queue, Segment, SubmitError, Token};
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::PhysAddr;
use septum_guest_hal::sync::Mutex;

/// Where the reply is in a slot.
const REPLY: usize = 2048;
/// Most bytes of results in a slot.
pub const RESULTS_LIMIT: usize = PAGE_SIZE - REPLY - fuse::REPLY_HEADER;
/// Most bytes of arguments and names in a slot.
pub const ARGUMENTS_LIMIT: usize = REPLY - fuse::REQUEST_HEADER;
/// Forgotten nodes that are told to the host together.
const FORGET_BATCH: usize = 64;

/// Memory of a request.
struct Slot {
    page: Region,
    /// The segments of the request at hand, so that no list has to be allocated.
    segments: Vec<Segment>,
}

/// The connection to the host.
pub struct Session {
    requests: Queue,
    /// Queue for FORGET.
    urgent: Queue,
    slots: Mutex<Vec<Slot>>,
    /// Requests that nobody awaits.
    left: Mutex<Vec<(Token, Slot)>>,
    forgets: Mutex<Forgets>,
}

#[derive(Default)]
struct Forgets {
    /// Node, and how many lookups it was returned by.
    waiting: Vec<(u64, u64)>,
    left: Option<(Token, Slot)>,
}

/// A request in preparation, then its reply.
pub struct Exchange<'a> {
    session: &'a Session,
    slot: Option<Slot>,
    /// Bytes of the request so far.
    len: usize,
}

/// Where a request's data is.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// There is none.
    None,
    /// The host's, as much as there is, in place of results.
    Text,
    /// The host reads it.
    Out(&'a [Segment]),
    /// The host fills it.
    In(&'a [Segment]),
}

impl Session {
    pub(super) fn new(requests: Queue, urgent: Queue) -> Self {
        Self { requests, urgent, slots: Mutex::default(), left: Mutex::default(), forgets: Mutex::default() }
    }

    /// Most data segments of a request.
    #[must_use]
    pub fn segment_limit(&self) -> usize {
        usize::from(self.requests.size()).saturating_sub(2)
    }

    /// Begins a request about `node`.
    pub fn begin(&self, opcode: Opcode, node: u64) -> Result<Exchange<'_>, Errno> {
        let known = self.slots.lock().pop();
        let slot = match known {
            Some(slot) => slot,
            None => self.another_slot()?,
        };
        slot.page.write_u32(4, opcode as u32);
        slot.page.write_u64(16, node);
        Ok(Exchange { session: self, slot: Some(slot), len: fuse::REQUEST_HEADER })
    }

    #[cold]
    fn another_slot(&self) -> Result<Slot, Errno> {
        let mut left = self.left.lock();
        let done = left.iter().position(|(token, _)| self.requests.poll(token).is_some());
        if let Some(index) = done {
            return Ok(left.swap_remove(index).1);
        }
        drop(left);
        let page = Region::allocate(PAGE_SIZE).ok_or(Errno::ENOMEM)?;
        // Numbers tell requests under way apart, and a slot has one at a time. Everything is done as root of the host's side.
        page.write_u64(8, page.address().0);
        Ok(Slot { page, segments: Vec::with_capacity(4) })
    }

    /// Notes that nobody refers to `node`, which the host has told of `lookups` times, any more.
    pub fn forget(&self, node: u64, lookups: u64) {
        let mut forgets = self.forgets.lock();
        forgets.waiting.push((node, lookups));
        if forgets.waiting.len() < FORGET_BATCH {
            return;
        }
        if let Some((token, slot)) = forgets.left.take() {
            if self.urgent.poll(&token).is_none() {
                forgets.left = Some((token, slot));
                return;
            }
            self.slots.lock().push(slot);
        }
        forgets.left = self.send_forgets(&mut forgets.waiting);
    }

    /// Tells the host what was forgotten, as far as it fits.
    fn send_forgets(&self, waiting: &mut Vec<(u64, u64)>) -> Option<(Token, Slot)> {
        let mut exchange = self.begin(Opcode::BatchForget, 0).ok()?;
        let count = waiting.len().min(ARGUMENTS_LIMIT / 16 - 1);
        exchange.words([u64::try_from(count).ok()?]);
        for (node, lookups) in waiting.drain(..count) {
            exchange.words([node, lookups]);
        }
        let slot = exchange.finish_request(Data::None)?;
        match self.urgent.submit(&slot.segments, &[]) {
            Ok(token) => Some((token, slot)),
            Err(SubmitError::Full | SubmitError::Size | SubmitError::Broken) => {
                self.slots.lock().push(slot);
                None
            }
        }
    }
}

impl Exchange<'_> {
    /// Appends words to the request.
    pub fn words<const COUNT: usize>(&mut self, words: [u64; COUNT]) {
        let bytes = words.map(u64::to_le_bytes);
        let end = self.len + 8 * COUNT;
        if let Some(slot) = &self.slot
            && end <= REPLY
        {
            slot.page.write(self.len, bytes.as_flattened());
            self.len = end;
        }
    }

    /// Appends a name and its NUL. ENAMETOOLONG if it does not fit.
    pub fn name(&mut self, name: &[u8]) -> Result<(), Errno> {
        let end = self.len + name.len();
        if end >= REPLY {
            return Err(Errno::ENAMETOOLONG);
        }
        if let Some(slot) = &self.slot {
            slot.page.write(self.len, name);
            slot.page.write(end, &[0]);
            self.len = end + 1;
        }
        Ok(())
    }

    /// Completes the header and puts the host's part of the request into the slot's list of segments.
    fn finish_request(&mut self, data: Data<'_>) -> Option<Slot> {
        let mut slot = self.slot.take()?;
        let mut len = u32::try_from(self.len).ok()?;
        slot.segments.clear();
        slot.segments.push(Segment { address: slot.page.address(), len });
        if let Data::Out(segments) = data {
            slot.segments.extend_from_slice(segments);
            len = segments.iter().fold(len, |sum, segment| sum.saturating_add(segment.len));
        }
        slot.page.write_u32(0, len);
        Some(slot)
    }

    /// Sends the request and waits for a reply with at least `results` bytes besides data. Returns the bytes after the header.
    pub fn call(&mut self, results: usize, data: Data<'_>) -> Result<usize, Errno> {
        let mut slot = self.finish_request(data).ok_or(Errno::EIO)?;
        let outputs = slot.segments.len();
        let room = if matches!(data, Data::Text) { RESULTS_LIMIT } else { results };
        let len = u32::try_from(fuse::REPLY_HEADER + room).map_err(|_| Errno::EIO)?;
        slot.segments.push(Segment { address: PhysAddr(slot.page.address().0 + REPLY as u64), len });
        if let Data::In(segments) = data {
            slot.segments.extend_from_slice(segments);
        }
        let (output, input) = slot.segments.split_at(outputs);
        let answer = self
            .session
            .requests
            .submit_blocking(output, input)
            .and_then(|token| self.session.requests.wait(token));
        let header = slot.page.read_u64(REPLY);
        self.slot = Some(slot);
        let written = usize::try_from(answer?).map_err(|_| Errno::EIO)?;
        let claimed = usize::try_from(fuse::low(header)).map_err(|_| Errno::EIO)?;
        if written < fuse::REPLY_HEADER || claimed > written {
            return Err(Errno::EIO);
        }
        let error = fuse::high(header).cast_signed();
        if error != 0 {
            return Err(error
                .checked_neg()
                .and_then(|error| u32::try_from(error).ok())
                .and_then(Errno::from_number)
                .unwrap_or(Errno::EIO));
        }
        claimed.checked_sub(fuse::REPLY_HEADER).filter(|&len| len >= results).ok_or(Errno::EIO)
    }

    /// Sends the request; nobody waits for the reply.
    pub fn leave(mut self) {
        let Some(mut slot) = self.finish_request(Data::None) else { return };
        let reply = PhysAddr(slot.page.address().0 + REPLY as u64);
        slot.segments.push(Segment { address: reply, len: 16 });
        let (output, input) = slot.segments.split_at(1);
        match self.session.requests.submit(output, input) {
            Ok(token) => self.session.left.lock().push((token, slot)),
            Err(_) => self.slot = Some(slot),
        }
    }

    /// The first words of the reply's results.
    #[must_use]
    pub fn results<const COUNT: usize>(&self) -> [u64; COUNT] {
        let mut words = [[0; 8]; COUNT];
        self.result_bytes(words.as_flattened_mut());
        words.map(u64::from_le_bytes)
    }

    /// The first bytes of the reply's results.
    pub fn result_bytes(&self, bytes: &mut [u8]) {
        if let Some(slot) = &self.slot
            && bytes.len() <= RESULTS_LIMIT
        {
            slot.page.read(REPLY + fuse::REPLY_HEADER, bytes);
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.session.slots.lock().push(slot);
        }
    }
}
