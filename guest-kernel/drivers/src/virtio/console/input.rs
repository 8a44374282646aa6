//! Standard input.
//!
//! The host reads its own standard input when it gets a buffer, and not more than fits it: bytes that the program
//! does not ask for stay where they are. A read may be given up while it waits, so the buffer is the
//! kernel's, never the program's; what arrives later is there for the next read.
//!
//! ```text
//!          read, poll          bytes                 all read
//!   idle ─────────────► posted ──────────► leftover ──────────► idle
//!                         │  none
//!                         └──────────────► end, reported by one read ──► idle
//! ```

use super::Messages;
use crate::platform;
use crate::virtio::queue::{Queue, Segment, Token};
use crate::virtio::segment;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;
use septum_abi::control::port;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{File, poll};
use septum_guest_core::io::Destination;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::Mutex;

/// Most bytes in one request.
const MOST: usize = 16 * PAGE_SIZE;

#[derive(Default)]
struct State {
    /// Where bytes arrive.
    frames: Vec<Frame>,
    /// A request into `frames`.
    posted: Option<Token>,
    /// Somebody relies on an interrupt when it is done.
    is_awaited: bool,
    /// What of `frames` has arrived and was not read.
    leftover: Range<usize>,
    /// The end was seen, and a read has to report it.
    is_at_end: bool,
}

/// The port that the program reads from.
pub struct Input {
    queue: Queue,
    messages: Arc<Messages>,
    state: Mutex<State>,
}

impl Input {
    pub(super) fn new(queue: Queue, messages: Arc<Messages>) -> Self {
        Self { queue, messages, state: Mutex::default() }
    }

    /// Asks the host for up to `len` bytes.
    fn post(&self, state: &mut State, len: usize) -> Result<(), Errno> {
        let len = len.min(MOST);
        while state.frames.len() < len.div_ceil(PAGE_SIZE) {
            state.frames.push(platform::new_frame().ok_or(Errno::ENOMEM)?);
        }
        let mut segments: Vec<Segment> = Vec::with_capacity(state.frames.len());
        for (index, frame) in state.frames.iter().enumerate() {
            let part = len.saturating_sub(index * PAGE_SIZE).min(PAGE_SIZE);
            if part > 0 {
                segment::append(&mut segments, 0, segment::of_frame(frame, 0, part));
            }
        }
        state.posted = Some(self.queue.submit_blocking(&[], &segments)?);
        Ok(())
    }

    /// Brings the state up to date: posts a request for `len` bytes if there is nothing to read, and looks whether it is done.
    fn refresh(&self, state: &mut State, len: usize) -> Result<(), Errno> {
        if !state.leftover.is_empty() || state.is_at_end {
            return Ok(());
        }
        if state.posted.is_none() {
            self.post(state, len)?;
        }
        let Some(token) = state.posted.as_ref() else { return Err(Errno::EIO) };
        let mut result = self.queue.poll_awhile(token);
        if result.is_none() && !state.is_awaited {
            // Whoever waits for this halts until an interrupt, so there has to be one.
            state.is_awaited = true;
            self.queue.set_sleeping(true);
            result = self.queue.poll(token);
        }
        let Some(result) = result else { return Err(Errno::EAGAIN) };
        state.posted = None;
        if core::mem::take(&mut state.is_awaited) {
            self.queue.set_sleeping(false);
        }
        let len = usize::try_from(result?).map_err(|_| Errno::EIO)?;
        if len == 0
            && let Some(errno) = self.messages.take_error(port::STDIN)
        {
            return Err(errno);
        }
        state.is_at_end = len == 0;
        state.leftover = 0..len;
        Ok(())
    }
}

impl File for Input {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let want = to.remaining();
        if want == 0 {
            return Ok(0);
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        self.refresh(state, want)?;
        state.is_at_end = false;
        let mut copied = 0;
        while !state.leftover.is_empty() && to.remaining() > 0 {
            let at = state.leftover.start;
            let frame = state.frames.get(at / PAGE_SIZE).ok_or(Errno::EIO)?;
            let len = state.leftover.len().min(PAGE_SIZE - at % PAGE_SIZE);
            match to.put_frame(frame, at % PAGE_SIZE, len) {
                Ok(0) => break,
                Ok(len) => {
                    copied += len;
                    state.leftover.start += len;
                }
                Err(errno) if copied == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(copied)
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u16 {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        match self.refresh(state, PAGE_SIZE) {
            Err(Errno::EAGAIN) => 0,
            Err(_) => poll::IN | poll::ERR,
            Ok(()) if state.is_at_end => poll::IN | poll::HUP,
            Ok(()) => poll::IN,
        }
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.state.lock().leftover.len())
    }
}
