//! Buffers of both queues.
//!
//! ```text
//! receive   [header] [16 frames]       32 of them, always with the device, which fills them in turn
//! send      [header, contents] [up to 16 frames]     as many as are under way; frames come when they are first needed
//! ```
//!
//! Data is copied once, between the program's pages or a socket's ring and these frames: a program that has sent may change its memory, and the
//! device works while it does.

use crate::platform::{self, Region};
use crate::virtio::queue::{Queue, Segment, SubmitError, Token};
use crate::virtio::segment;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_abi::vsock::{HEADER, Header};
use septum_guest_core::io::{Pinned, Source};
use septum_guest_core::net::outside::RECEIVED;
use septum_guest_hal::frame::Frame;

/// Frames of a buffer.
const FRAMES: usize = 16;
/// Buffers to receive with.
const RECEIVERS: usize = 32;
/// Descriptors of the queue: each buffer's frames may all be apart.
pub const RECEIVE_SIZE: u16 = 1024;
/// Buffers to send with.
const SENDERS: usize = 32;
/// Of these only packets without data use the last ones.
const RESERVED: usize = 4;
/// Descriptors of the queue.
pub const SEND_SIZE: u16 = 1024;
const _: () = assert!(RECEIVERS * (FRAMES + 1) <= RECEIVE_SIZE as usize);
const _: () = assert!(SENDERS * (FRAMES + 1) <= SEND_SIZE as usize);
/// Bytes from one header to the next.
const STRIDE: usize = 128;
/// Most bytes that follow a header in its own segment.
const CONTENTS: usize = STRIDE - HEADER;
/// What is kept for the program of a connection that the host opened.
pub const ACCEPTED_ROOM: u32 = RECEIVED;

/// A packet that came: a source of its contents.
pub struct Received<'a> {
    /// Its header.
    pub header: Header,
    frames: &'a [Frame],
    at: usize,
    end: usize,
}

impl Received<'_> {
    /// Bytes that are left of it.
    pub fn len(&self) -> usize {
        self.end - self.at
    }

    /// A short packet as a whole, and of a longer one its beginning.
    pub fn contents(&mut self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; self.len().min(CONTENTS)];
        let len = self.take(&mut bytes).unwrap_or(0);
        bytes.truncate(len);
        bytes
    }
}

impl Source for Received<'_> {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < bytes.len() && self.at < self.end {
            let Some(frame) = self.frames.get(self.at / PAGE_SIZE) else { break };
            let offset = self.at % PAGE_SIZE;
            let len = (bytes.len() - done).min(self.end - self.at).min(PAGE_SIZE - offset);
            frame.read(offset, &mut bytes[done..done + len]);
            (done, self.at) = (done + len, self.at + len);
        }
        Ok(done)
    }

    fn take_to_frame(&mut self, to: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let mut done = 0;
        while done < len && self.at < self.end {
            let Some(frame) = self.frames.get(self.at / PAGE_SIZE) else { break };
            let from = self.at % PAGE_SIZE;
            let part = (len - done).min(self.end - self.at).min(PAGE_SIZE - from);
            to.copy_part(offset + done, frame, from, part);
            (done, self.at) = (done + part, self.at + part);
        }
        Ok(done)
    }

    fn pin(&mut self, _max: usize, _pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        None
    }

    fn advance(&mut self, len: usize) {
        self.at = (self.at + len).min(self.end);
    }
}

/// Buffers that the device fills.
pub struct Receiving {
    headers: Region,
    frames: Vec<Vec<Frame>>,
    /// Those that the device has, in the order in which it returns them.
    posted: VecDeque<(usize, Token)>,
    /// Those that were read.
    read: Vec<usize>,
}

impl Receiving {
    /// Hands the device all of them. `None` if memory ran out.
    pub fn post(queue: &Queue) -> Option<Self> {
        let headers = Region::allocate(RECEIVERS * STRIDE)?;
        let mut frames = Vec::with_capacity(RECEIVERS);
        for _ in 0..RECEIVERS {
            let mut buffer = Vec::with_capacity(FRAMES);
            platform::new_frames(FRAMES, &mut buffer);
            if buffer.len() < FRAMES {
                return None;
            }
            frames.push(buffer);
        }
        let posted = VecDeque::with_capacity(RECEIVERS);
        let mut receiving = Self { headers, frames, posted, read: (0..RECEIVERS).collect() };
        receiving.put_out(queue);
        (receiving.posted.len() == RECEIVERS).then_some(receiving)
    }

    fn put_out(&mut self, queue: &Queue) {
        for index in core::mem::take(&mut self.read) {
            let mut segments = Vec::with_capacity(FRAMES + 1);
            segments.push(segment::of_region(&self.headers, index * STRIDE, HEADER));
            segments.extend(segment::of_frames(&self.frames[index]));
            // A queue that is broken stays so, and nothing comes any more.
            if let Ok(token) = queue.submit_quietly(&[], &segments) {
                self.posted.push_back((index, token));
            }
        }
    }

    /// Hands the device those that were read.
    pub fn post_again(&mut self, queue: &Queue) {
        if !self.read.is_empty() {
            self.put_out(queue);
            queue.notify();
        }
    }

    /// The next packet that has come.
    pub fn next(&mut self, queue: &Queue) -> Option<Received<'_>> {
        loop {
            // Half of them are enough for the device to go on with.
            if self.read.len() >= RECEIVERS / 2 {
                self.post_again(queue);
            }
            let result = queue.poll(&self.posted.front()?.1)?;
            let (index, _) = self.posted.pop_front()?;
            self.read.push(index);
            let written = usize::try_from(result.unwrap_or(0)).unwrap_or(0);
            let Some(room) = written.checked_sub(HEADER) else { continue };
            let mut bytes = [0; HEADER];
            self.headers.read(index * STRIDE, &mut bytes);
            let header = Header::from_bytes(&bytes);
            let len = usize::try_from(header.len).unwrap_or(usize::MAX);
            if len > room {
                continue;
            }
            return Some(Received { header, frames: &self.frames[index], at: 0, end: len });
        }
    }
}

/// A buffer that is being filled, without anybody's lock.
pub struct Buffer {
    index: usize,
    frames: Vec<Frame>,
    len: usize,
}

impl Buffer {
    /// Most bytes of data.
    pub const MOST: usize = FRAMES * PAGE_SIZE;

    /// Copies up to `most` bytes of a program. ENOBUFS if there is no memory.
    pub fn fill(&mut self, from: &mut dyn Source, most: usize) -> Result<usize, Errno> {
        let most = most.min(Self::MOST).min(from.remaining());
        let missing = most.div_ceil(PAGE_SIZE).saturating_sub(self.frames.len());
        if missing > 0 {
            platform::new_frames(missing, &mut self.frames);
        }
        let most = most.min(self.frames.len() * PAGE_SIZE);
        if most == 0 && from.remaining() > 0 {
            return Err(Errno::ENOBUFS);
        }
        while self.len < most {
            let part = PAGE_SIZE.min(most - self.len);
            match from.take_to_frame(&self.frames[self.len / PAGE_SIZE], 0, part) {
                Ok(len) => {
                    self.len += len;
                    if len < part {
                        // The rest of the program's memory is not there.
                        break;
                    }
                }
                Err(errno) if self.len == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(self.len)
    }
}

/// Buffers that the device sends.
pub struct Sending {
    headers: Region,
    frames: Vec<Vec<Frame>>,
    free: Vec<usize>,
    under_way: VecDeque<(usize, Token)>,
    /// Packets without data for which there was no buffer.
    kept: VecDeque<(Header, Vec<u8>)>,
}

impl Sending {
    /// `None` if memory ran out.
    pub fn new() -> Option<Self> {
        Some(Self {
            headers: Region::allocate(SENDERS * STRIDE)?,
            frames: (0..SENDERS).map(|_| Vec::new()).collect(),
            free: (0..SENDERS).rev().collect(),
            under_way: VecDeque::with_capacity(SENDERS),
            kept: VecDeque::new(),
        })
    }

    /// Whether data can be sent.
    pub fn has_room(&self) -> bool {
        self.kept.is_empty() && self.free.len() > RESERVED
    }

    /// Takes back what the device has sent, and sends what was kept.
    pub fn take_back(&mut self, queue: &Queue) {
        while let Some((_, token)) = self.under_way.front()
            && queue.poll(token).is_some()
            && let Some((index, _)) = self.under_way.pop_front()
        {
            self.free.push(index);
        }
        let mut has_sent = false;
        while !self.free.is_empty()
            && let Some((header, contents)) = self.kept.pop_front()
        {
            self.put(queue, &header, &contents, 0);
            has_sent = true;
        }
        if has_sent {
            queue.notify();
        }
    }

    /// Sends a packet without data, now or later: false if it is kept until a buffer comes back.
    pub fn control(&mut self, queue: &Queue, header: &Header, contents: &[u8]) -> bool {
        if self.free.is_empty() {
            self.take_back(queue);
        }
        let contents = &contents[..contents.len().min(CONTENTS)];
        if self.kept.is_empty() && !self.free.is_empty() {
            self.put(queue, header, contents, 0);
        } else {
            self.kept.push_back((*header, contents.to_vec()));
        }
        self.kept.is_empty()
    }

    /// A buffer for data. EAGAIN if there is none.
    pub fn take(&mut self, queue: &Queue) -> Result<Buffer, Errno> {
        if !self.has_room() {
            self.take_back(queue);
        }
        let index = if self.has_room() { self.free.pop() } else { None };
        let index = index.ok_or(Errno::EAGAIN)?;
        Ok(Buffer { index, frames: core::mem::take(&mut self.frames[index]), len: 0 })
    }

    /// Sends what is in a buffer, behind `contents`.
    pub fn send(&mut self, queue: &Queue, header: &Header, contents: &[u8], buffer: Buffer) {
        let Buffer { index, frames, len } = buffer;
        self.frames[index] = frames;
        self.free.push(index);
        self.put(queue, header, contents, len);
    }

    /// Takes a buffer back that is not sent.
    pub fn give_back(&mut self, buffer: Buffer) {
        self.frames[buffer.index] = buffer.frames;
        self.free.push(buffer.index);
    }

    /// Hands the device a packet; there is a free buffer, whose frames hold `data` bytes.
    fn put(&mut self, queue: &Queue, header: &Header, contents: &[u8], data: usize) {
        let Some(&index) = self.free.last() else { return };
        let header = Header { len: u32::try_from(contents.len() + data).unwrap_or(0), ..*header };
        self.headers.write(index * STRIDE, &header.to_bytes());
        self.headers.write(index * STRIDE + HEADER, contents);
        let mut segments: Vec<Segment> = Vec::with_capacity(FRAMES + 1);
        segments.push(segment::of_region(&self.headers, index * STRIDE, HEADER + contents.len()));
        for (number, frame) in self.frames[index].iter().enumerate() {
            let len = data.saturating_sub(number * PAGE_SIZE).min(PAGE_SIZE);
            if len == 0 {
                break;
            }
            segment::append(&mut segments, 1, segment::of_frame(frame, 0, len));
        }
        match queue.submit_quietly(&segments, &[]) {
            Ok(token) => {
                self.free.pop();
                self.under_way.push_back((index, token));
            }
            // There are descriptors for all buffers: it is the queue that is broken, and stays so.
            Err(SubmitError::Full | SubmitError::Size | SubmitError::Broken) => {}
        }
    }
}
