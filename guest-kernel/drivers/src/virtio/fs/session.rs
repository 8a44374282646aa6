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
//! Slots are kept for ever and used again, so a request allocates nothing. The first few have descriptors of their own; no
//! request asks for more of them than all slots together leave. Data is not in the slot: it moves
//! between the device and the frames it belongs to. Requests whose reply nobody needs (RELEASE, FORGET) are left to themselves; their
//! slots are collected later.

use super::fuse::{self, Opcode};
use crate::platform::Region;
use crate::virtio::queue::{Chain, Queue, Segment, SubmitError, Token};
use crate::virtio::segment;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Where the reply is in a slot.
const REPLY: usize = 2048;
/// Bytes of a reply's header.
const REPLY_HEADER: u32 = 16;
const _: () = assert!(fuse::REPLY_HEADER == 16);
/// Most bytes of results in a slot.
pub const RESULTS_LIMIT: usize = PAGE_SIZE - REPLY - fuse::REPLY_HEADER;
/// Most bytes of arguments and names in a slot.
pub const ARGUMENTS_LIMIT: usize = REPLY - fuse::REQUEST_HEADER;
/// Forgotten nodes that are told to the host together.
const FORGET_BATCH: usize = 64;

/// Memory of a request.
struct Slot {
    page: Region,
    /// Descriptors for requests without data, of the first slots.
    chain: Option<Chain>,
    /// The segments of a request with data, so that no list has to be allocated.
    segments: Vec<Segment>,
}

/// The connection to the host.
pub struct Session {
    requests: Queue,
    /// Queue for FORGET.
    urgent: Queue,
    #[expect(
        clippy::vec_box,
        reason = "slots move between here and requests, which costs instructions by size"
    )]
    slots: Mutex<Vec<Box<Slot>>>,
    /// How many slots have descriptors of their own.
    reserved: AtomicUsize,
    /// Requests that nobody awaits.
    left: Mutex<Vec<(Token, Box<Slot>)>>,
    forgets: Mutex<Forgets>,
    /// Counts what we change.
    changes: AtomicU64,
}

#[derive(Default)]
struct Forgets {
    /// Node, and how many lookups it was returned by.
    waiting: Vec<(u64, u64)>,
    left: Option<(Token, Box<Slot>)>,
}

/// A request in preparation, then its reply.
pub struct Exchange<'a> {
    session: &'a Session,
    slot: Option<Box<Slot>>,
    opcode: Opcode,
    node: u64,
    /// Bytes of the request so far.
    len: usize,
    /// How many changes there were before it.
    asked: u64,
}

/// Where a request's data is.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// There is none besides results.
    None,
    /// The host reads it.
    Out(&'a [Segment]),
    /// The host fills it.
    In(&'a [Segment]),
}

impl Session {
    pub(super) fn new(requests: Queue, urgent: Queue) -> Self {
        Self {
            requests,
            urgent,
            slots: Mutex::default(),
            reserved: AtomicUsize::new(0),
            left: Mutex::default(),
            forgets: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// Most data segments of a request: all descriptors but those of slots, and the request's own two.
    #[must_use]
    pub fn segment_limit(&self) -> usize {
        usize::from(self.requests.size()).saturating_sub(2 + 2 * self.reserved_limit())
    }

    /// Most slots that have descriptors of their own.
    fn reserved_limit(&self) -> usize {
        usize::from(self.requests.size()) / 16
    }

    /// Counts a change that the host has made for us, and returns its number: what was asked before may have been answered without it.
    pub fn count_change(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Begins a request about `node`.
    pub fn begin(&self, opcode: Opcode, node: u64) -> Result<Exchange<'_>, Errno> {
        let known = self.slots.lock().pop();
        let slot = match known {
            Some(slot) => slot,
            None => self.another_slot()?,
        };
        let asked = self.changes.load(Ordering::Acquire);
        Ok(Exchange { session: self, slot: Some(slot), opcode, node, len: fuse::REQUEST_HEADER, asked })
    }

    #[cold]
    fn another_slot(&self) -> Result<Box<Slot>, Errno> {
        let mut left = self.left.lock();
        let done = left.iter().position(|(token, _)| self.requests.poll(token).is_some());
        if let Some(index) = done {
            return Ok(left.swap_remove(index).1);
        }
        drop(left);
        let page = Region::allocate(PAGE_SIZE).ok_or(Errno::ENOMEM)?;
        // Numbers tell requests under way apart, and a slot has one at a time. Everything is done as root of the host's side.
        page.write_u64(8, page.address().0);
        let at = |offset: usize, len: usize| segment::of_region(&page, offset, len);
        let has_own = self.reserved.fetch_add(1, Ordering::Relaxed) < self.reserved_limit();
        let reserve = || self.requests.reserve(&at(0, REPLY), &at(REPLY, PAGE_SIZE - REPLY)).ok();
        let chain = if has_own { reserve() } else { None };
        Ok(Box::new(Slot { page, chain, segments: Vec::new() }))
    }

    /// Sends what is in the slot, `len` bytes, without data.
    fn submit(&self, slot: &Slot, len: u32) -> Result<Token, Errno> {
        if let Some(chain) = &slot.chain {
            return self.requests.submit_chain(chain, len).map_err(|_| Errno::EIO);
        }
        let request = Segment { address: slot.page.address(), len };
        let reply = segment::of_region(&slot.page, REPLY, PAGE_SIZE - REPLY);
        self.requests.submit_blocking(&[request], &[reply])
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

    /// As [`forget`](Self::forget), of a node whose file may go with it: returns when it has gone.
    pub fn forget_now(&self, node: u64, lookups: u64) {
        let Ok(mut exchange) = self.begin(Opcode::BatchForget, 0) else { return self.forget(node, lookups) };
        exchange.words([1, node, lookups]);
        // It is taken back without an answer.
        let _ = exchange.call(0, Data::None);
    }

    /// Tells the host what was forgotten, as far as it fits.
    fn send_forgets(&self, waiting: &mut Vec<(u64, u64)>) -> Option<(Token, Box<Slot>)> {
        let mut exchange = self.begin(Opcode::BatchForget, 0).ok()?;
        let count = waiting.len().min(ARGUMENTS_LIMIT / 16 - 1);
        exchange.words([u64::try_from(count).ok()?]);
        for (node, lookups) in waiting.drain(..count) {
            exchange.words([node, lookups]);
        }
        let len = exchange.finish_header(0)?;
        let slot = exchange.slot.take()?;
        let request = Segment { address: slot.page.address(), len };
        match self.urgent.submit(&[request], &[]) {
            Ok(token) => Some((token, slot)),
            Err(SubmitError::Full | SubmitError::Size | SubmitError::Broken) => {
                self.slots.lock().push(slot);
                None
            }
        }
    }
}

impl Exchange<'_> {
    /// The number of the last change before the request was sent.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked
    }

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

    /// Appends bytes, if they fit; says whether they do.
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        let end = self.len + bytes.len();
        let Some(slot) = self.slot.as_ref().filter(|_| end <= REPLY) else { return false };
        slot.page.write(self.len, bytes);
        self.len = end;
        true
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

    /// Completes the header of a request with `data` bytes of data. Returns the length without them.
    fn finish_header(&self, data: u32) -> Option<u32> {
        let slot = self.slot.as_ref()?;
        let len = u32::try_from(self.len).ok()?;
        slot.page.write_u64(0, fuse::pair(len.checked_add(data)?, self.opcode as u32));
        slot.page.write_u64(16, self.node);
        Some(len)
    }

    /// Sends the request and waits for a reply with at least `results` bytes besides data. Returns the bytes after the header.
    pub fn call(&mut self, results: usize, data: Data<'_>) -> Result<usize, Errno> {
        let written = match data {
            Data::None => {
                let len = self.finish_header(0).ok_or(Errno::EIO)?;
                let slot = self.slot.as_ref().ok_or(Errno::EIO)?;
                let token = self.session.submit(slot, len)?;
                self.session.requests.wait(token)?
            }
            Data::Out(segments) => self.call_with_data(results, segments, &[])?,
            Data::In(segments) => self.call_with_data(results, &[], segments)?,
        };
        let slot = self.slot.as_ref().ok_or(Errno::EIO)?;
        let header = slot.page.read_u64(REPLY);
        let (claimed, error) = (fuse::low(header), fuse::high(header));
        let len = claimed.checked_sub(REPLY_HEADER).filter(|_| claimed <= written).ok_or(Errno::EIO)?;
        if error != 0 {
            return Err(Errno::from_number(error.wrapping_neg()).unwrap_or(Errno::EIO));
        }
        usize::try_from(len).ok().filter(|&len| len >= results).ok_or(Errno::EIO)
    }

    /// Sends a request with data; returns how many bytes the host wrote.
    fn call_with_data(
        &mut self,
        results: usize,
        output: &[Segment],
        input: &[Segment],
    ) -> Result<u32, Errno> {
        let data = output.iter().fold(0, |sum: u32, segment| sum.saturating_add(segment.len));
        let len = self.finish_header(data).ok_or(Errno::EIO)?;
        let slot = self.slot.as_mut().ok_or(Errno::EIO)?;
        slot.segments.clear();
        slot.segments.push(Segment { address: slot.page.address(), len });
        slot.segments.extend_from_slice(output);
        slot.segments.push(segment::of_region(&slot.page, REPLY, fuse::REPLY_HEADER + results));
        slot.segments.extend_from_slice(input);
        let (output, input) = slot.segments.split_at(1 + output.len());
        let token = self.session.requests.submit_blocking(output, input)?;
        self.session.requests.wait(token)
    }

    /// Sends the request; nobody waits for the reply.
    pub fn leave(mut self) {
        let Some(len) = self.finish_header(0) else { return };
        let Some(slot) = self.slot.take() else { return };
        match self.session.submit(&slot, len) {
            Ok(token) => self.session.left.lock().push((token, slot)),
            Err(_) => self.slot = Some(slot),
        }
    }

    /// The first words of the reply's results.
    #[must_use]
    pub fn results<const COUNT: usize>(&self) -> [u64; COUNT] {
        self.raw_results().map(u64::from_le_bytes)
    }

    /// As [`results`](Self::results), as they came.
    #[must_use]
    pub fn raw_results<const COUNT: usize>(&self) -> [[u8; 8]; COUNT] {
        let mut words = [[0; 8]; COUNT];
        self.result_bytes(words.as_flattened_mut());
        words
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
