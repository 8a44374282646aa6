//! The service vCPU, on which the kernel does what the host wants of it, and the calls to the host about that (`septum_abi::service`).
//!
//! It does not exist before the host wants something for the first time. Then the host interrupts the first vCPU, which asks for it
//! as a vCPU that needs another does; but the area has its place, so that nothing is allocated where the interrupt came. Afterwards it
//! waits in the host for the next wish.
//!
//! Streams of sessions are read and written by calls of whoever uses them ([`Channel`]).

#[cfg(target_os = "none")]
mod vcpu;

use crate::frame::Frame;
use alloc::vec::Vec;
use septum_abi::layout::{PAGE_SHIFT, PAGE_SIZE};
use septum_abi::linux::Errno;
use septum_abi::service::{Call, PAGES, event, operation};
#[cfg(target_os = "none")]
pub(crate) use vcpu::look;
#[cfg(target_os = "none")]
pub use vcpu::{Line, ready};

/// What the host wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Send a session's program, or the first program, this signal.
    Signal(u32, u32),
    /// Start this session's program.
    Begin(u32),
    /// A session's stream can be used again.
    Ready(u32, u32),
    /// A session's terminal has as many rows and columns.
    Resize(u32, [u16; 2]),
    /// Nobody is at the other end of a session any more.
    HangUp(u32),
    /// Something that this kernel does not know, or nothing.
    Unknown,
}

impl Wish {
    #[cfg_attr(not(target_os = "none"), allow(dead_code, reason = "tests have no host"))]
    fn of(answer: &Call) -> Self {
        match answer.event {
            event::SIGNAL => Self::Signal(answer.session, answer.detail),
            event::BEGIN => Self::Begin(answer.session),
            event::READY => Self::Ready(answer.session, answer.stream),
            event::RESIZE => {
                Self::Resize(answer.session, [(answer.detail >> 16) as u16, (answer.detail & 0xffff) as u16])
            }
            event::HANG_UP => Self::HangUp(answer.session),
            _ => Self::Unknown,
        }
    }
}

/// A way to the host's end of streams, with pages for what is moved.
#[derive(Debug)]
pub struct Channel {
    page: Frame,
    data: Vec<Frame>,
}

impl Channel {
    /// Most bytes that are moved at once.
    pub const MOST: usize = PAGES * PAGE_SIZE;

    /// A new one, without room for data yet; `None` if there is no memory.
    #[must_use]
    pub fn open() -> Option<Self> {
        Some(Self { page: Frame::for_kernel()?, data: Vec::new() })
    }

    /// Makes room for data: up to `len` bytes of it; says how much there is.
    pub fn make_room(&mut self, len: usize) -> usize {
        while self.data.len() < PAGES && self.data.len() * PAGE_SIZE < len {
            let Some(frame) = Frame::for_kernel() else { break };
            self.data.push(frame);
        }
        self.data.len() * PAGE_SIZE
    }

    /// The page that holds byte `at` of the data, and where in it that is.
    #[must_use]
    pub fn page_of(&self, at: usize) -> Option<(&Frame, usize)> {
        self.data.get(at / PAGE_SIZE).map(|frame| (frame, at % PAGE_SIZE))
    }

    /// Copies data in; what does not fit is left out. Returns how much did.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.make_room(bytes.len()));
        for (frame, piece) in self.data.iter().zip(bytes[..len].chunks(PAGE_SIZE)) {
            frame.write(0, piece);
        }
        len
    }

    /// Copies data out.
    #[must_use]
    pub fn get(&self, range: core::ops::Range<usize>) -> Vec<u8> {
        let mut bytes = alloc::vec![0; range.len()];
        let mut done = 0;
        while done < bytes.len()
            && let Some((frame, offset)) = self.page_of(range.start + done)
        {
            let len = (PAGE_SIZE - offset).min(bytes.len() - done);
            frame.read(offset, &mut bytes[done..done + len]);
            done += len;
        }
        bytes
    }

    /// Reads up to `len` bytes; 0 at the end. EAGAIN if there are none now; the host will say when.
    pub fn read(&mut self, session: u32, stream: u32, len: usize) -> Result<usize, Errno> {
        let len = len.min(self.make_room(len));
        if len == 0 {
            return Err(Errno::ENOMEM);
        }
        let read = self.move_data(operation::READ, session, stream, 0, len)?;
        Ok(read.min(len))
    }

    /// Writes a part of the data. EAGAIN if nothing can be written now; the host will say when.
    pub fn write(
        &mut self,
        session: u32,
        stream: u32,
        range: core::ops::Range<usize>,
    ) -> Result<usize, Errno> {
        let len = range.len();
        let written = self.move_data(operation::WRITE, session, stream, range.start, len)?;
        Ok(written.min(len))
    }

    /// The stream is not needed any more.
    pub fn close(&mut self, session: u32, stream: u32) {
        self.call(Call { operation: operation::CLOSE, session, stream, ..Call::default() });
    }

    /// Tells how a session's program ended; see [`operation::ENDED`].
    pub fn tell_end(&mut self, session: u32, value: i32) {
        self.call(Call { operation: operation::ENDED, session, value, ..Call::default() });
    }

    fn move_data(
        &mut self,
        operation: u32,
        session: u32,
        stream: u32,
        offset: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let mut pages = [0; PAGES];
        for (number, frame) in pages.iter_mut().zip(&self.data) {
            *number = (frame.address().0 >> PAGE_SHIFT) as u32;
        }
        let (offset, len) = (offset as u32, len as u32);
        let answer = self.call(Call { operation, session, stream, offset, len, pages, ..Call::default() });
        usize::try_from(answer.value)
            .map_err(|_| Errno::from_number(answer.value.unsigned_abs()).unwrap_or(Errno::EIO))
    }

    #[cfg(target_os = "none")]
    fn call(&mut self, call: Call) -> Call {
        vcpu::call(&self.page, call)
    }

    /// Tests: there is nobody.
    #[cfg(not(target_os = "none"))]
    fn call(&mut self, call: Call) -> Call {
        let _ = &self.page;
        Call { value: -i32::from(Errno::EIO.number()), ..call }
    }
}
