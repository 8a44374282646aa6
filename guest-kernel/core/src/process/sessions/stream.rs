//! Standard streams whose other end the host has.
//!
//! Input is read when the program asks for it. Output is with the host when `write` returns, except for the last pages of it if the host
//! takes them slowly: those wait here, as in a pipe, and go when it says that it is ready.

use crate::fs::inode::{File, poll};
use crate::io::{Destination, Source};
use crate::wait::WaitQueue;
use alloc::sync::Arc;
use core::any::Any;
use core::ops::Range;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_abi::service::stream as number;
use septum_guest_hal::service::Channel;
use septum_guest_hal::sync::Mutex;

/// What the program reads.
pub struct Input {
    session: u32,
    state: Mutex<Reading>,
    queue: WaitQueue,
}

struct Reading {
    channel: Channel,
    /// What of the channel's data was not read yet.
    leftover: Range<usize>,
    is_at_end: bool,
    /// The host will say when there is more.
    is_waiting: bool,
}

impl Input {
    /// That of a session.
    #[must_use]
    pub fn new(session: u32, channel: Channel) -> Self {
        let state = Reading { channel, leftover: 0..0, is_at_end: false, is_waiting: false };
        Self { session, state: Mutex::new(state), queue: WaitQueue::new() }
    }

    /// The host has more, or its end.
    pub(super) fn ready(&self) {
        self.state.lock().is_waiting = false;
        self.queue.wake_all();
    }

    /// Nobody is to read it any more.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock();
        state.is_at_end = true;
        state.leftover = 0..0;
        state.channel.close(self.session, number::INPUT);
        drop(state);
        self.queue.wake_all();
    }

    fn refresh(&self, state: &mut Reading) -> Result<(), Errno> {
        if !state.leftover.is_empty() || state.is_at_end {
            return Ok(());
        }
        if state.is_waiting {
            return Err(Errno::EAGAIN);
        }
        match state.channel.read(self.session, number::INPUT, Channel::MOST) {
            Ok(0) => state.is_at_end = true,
            Ok(len) => state.leftover = 0..len,
            Err(errno) => {
                state.is_waiting = errno == Errno::EAGAIN;
                return Err(errno);
            }
        }
        Ok(())
    }
}

/// Its file.
pub struct InputFile(pub Arc<Input>);

impl File for InputFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        let mut guard = self.0.state.lock();
        let state = &mut *guard;
        self.0.refresh(state)?;
        let mut copied = 0;
        while !state.leftover.is_empty() && to.remaining() > 0 {
            let (frame, offset) = state.channel.page_of(state.leftover.start).ok_or(Errno::EIO)?;
            let len = state.leftover.len().min(PAGE_SIZE - offset);
            match to.put_frame(frame, offset, len) {
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

    fn poll(&self) -> u16 {
        let mut state = self.0.state.lock();
        match self.0.refresh(&mut state) {
            Err(Errno::EAGAIN) => 0,
            Err(_) => poll::IN | poll::ERR,
            Ok(()) if state.leftover.is_empty() => poll::IN | poll::HUP,
            Ok(()) => poll::IN,
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue)
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.0.state.lock().leftover.len())
    }
}

/// What the program writes to.
pub struct Output {
    session: u32,
    stream: u32,
    state: Mutex<Writing>,
    queue: WaitQueue,
}

struct Writing {
    channel: Channel,
    /// What of the channel's data the host has not taken yet.
    pending: Range<usize>,
    /// Nobody reads it.
    is_broken: bool,
    /// Nobody writes to it any more.
    is_finished: bool,
    is_closed: bool,
}

impl Writing {
    /// Gives the host what waits, as far as it takes it.
    fn flush(&mut self, session: u32, stream: u32) {
        while !self.pending.is_empty() && !self.is_broken {
            match self.channel.write(session, stream, self.pending.clone()) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(len) => self.pending.start += len,
                Err(_) => self.is_broken = true,
            }
        }
        if self.is_broken {
            self.pending = 0..0;
        }
        if self.is_finished && self.pending.is_empty() && !core::mem::replace(&mut self.is_closed, true) {
            self.channel.close(session, stream);
        }
    }
}

impl Output {
    /// One of a session.
    #[must_use]
    pub fn new(session: u32, stream: u32, channel: Channel) -> Self {
        let state =
            Writing { channel, pending: 0..0, is_broken: false, is_finished: false, is_closed: false };
        Self { session, stream, state: Mutex::new(state), queue: WaitQueue::new() }
    }

    fn flush(&self) {
        self.state.lock().flush(self.session, self.stream);
        self.queue.wake_all();
    }

    /// The host takes more.
    pub(super) fn ready(&self) {
        self.flush();
        if self.is_over()
            && let Some(session) = super::find(self.session)
        {
            super::forget_if_over(&session);
        }
    }

    /// Nobody is to write to it any more.
    pub(super) fn finish(&self) {
        self.state.lock().is_finished = true;
        self.flush();
    }

    /// Whether the host has all of it, and there will be no more.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_closed
    }
}

/// Its file.
pub struct OutputFile(pub Arc<Output>);

impl File for OutputFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let Output { session, stream, .. } = *self.0;
        let mut guard = self.0.state.lock();
        let state = &mut *guard;
        let mut total = 0;
        loop {
            state.flush(session, stream);
            if state.is_broken || state.is_finished {
                return if total > 0 { Ok(total) } else { Err(Errno::EPIPE) };
            }
            if from.remaining() == 0 {
                return Ok(total);
            }
            if !state.pending.is_empty() {
                return if total > 0 { Ok(total) } else { Err(Errno::EAGAIN) };
            }
            let room = state.channel.make_room(from.remaining().min(Channel::MOST));
            let mut filled = 0;
            while filled < room && from.remaining() > 0 {
                let (frame, offset) = state.channel.page_of(filled).ok_or(Errno::EIO)?;
                match from.take_to_frame(frame, offset, PAGE_SIZE - offset) {
                    Ok(0) => break,
                    Ok(len) => filled += len,
                    Err(errno) if total + filled == 0 => return Err(errno),
                    Err(_) => break,
                }
            }
            if filled == 0 {
                return if total > 0 { Ok(total) } else { Err(Errno::ENOMEM) };
            }
            state.pending = 0..filled;
            total += filled;
        }
    }

    fn poll(&self) -> u16 {
        let state = self.0.state.lock();
        if state.is_broken || state.is_finished {
            poll::OUT | poll::ERR
        } else if state.pending.is_empty() {
            poll::OUT
        } else {
            0
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue)
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        self.0.finish();
    }
}
