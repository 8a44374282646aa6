//! The console (virtio 1.2 section 5.3): the program's standard streams, and messages of the host about them.
//!
//! ```text
//! queue    2 + 2 n, 3 + 2 n            port n: receive, transmit
//! port     1 stdin (receive only)      2 stdout, 3 stderr (transmit only)      4 host messages (receive only)
//! ```
//!
//! Only those queues are set up. The contract with the host says which ports there are and that they are open, so
//! the conversation on the control queues (section 5.3.6.2), which is for finding that out, does not take place.
//!
//! A write that the host could not complete is announced on port 4 just before the write's buffer comes
//! back. EPIPE is for good; any other error belongs to that one write.

mod inode;
mod input;
mod output;
#[cfg(test)]
mod tests;

use self::inode::StreamInode;
use self::input::Input;
use self::output::Output;
use super::queue::{Queue, SubmitError, Token};
use super::segment;
use super::transport::{Transport, TransportError};
use crate::platform::Region;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::control::{HostMessage, host_message, port};
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{File, InodeRef};
use septum_guest_hal::sync::Mutex;

/// VIRTIO_CONSOLE_F_MULTIPORT
const MULTIPORT: u64 = 1 << 1;
/// Host messages that fit until the driver looks. It looks after every write.
const MESSAGE_BUFFERS: usize = 2;

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Messages of the host.
struct Messages {
    queue: Queue,
    page: Region,
    posted: Mutex<[Option<Token>; MESSAGE_BUFFERS]>,
    /// By port: the error that the host announced and nobody has reported, or 0.
    errors: [AtomicU32; PORT_COUNT],
}

const PORT_COUNT: usize = 5;
const _: () = assert!(port::COUNT == 5);

/// The console.
pub struct Console {
    input: Arc<Input>,
    output: Arc<Output>,
    error: Arc<Output>,
}

const fn receive_queue(port: u16) -> u16 {
    2 + 2 * port
}

const fn transmit_queue(port: u16) -> u16 {
    3 + 2 * port
}

impl Console {
    /// Brings the device up.
    pub fn start(transport: &Transport) -> Result<Self, TransportError> {
        transport.negotiate(MULTIPORT, MULTIPORT)?;
        let input = transport.queue(receive_queue(1), 32)?;
        let output = transport.queue(transmit_queue(2), 64)?;
        let error = transport.queue(transmit_queue(3), 64)?;
        let messages = transport.queue(receive_queue(4), 2)?;
        let page = Region::allocate(MESSAGE_BUFFERS * HostMessage::SIZE).ok_or(TransportError::Resources)?;
        let messages = Arc::new(Messages::listen(messages, page).map_err(|_| TransportError::Queue)?);
        transport.start();
        Ok(Self {
            input: Arc::new(Input::new(input, Arc::clone(&messages))),
            output: Arc::new(Output::new(output, port::STDOUT, Arc::clone(&messages))),
            error: Arc::new(Output::new(error, port::STDERR, messages)),
        })
    }

    /// An open file for a standard stream.
    #[must_use]
    pub fn stdio(&self, stream: Stream) -> Arc<dyn File> {
        match stream {
            Stream::Input => Arc::clone(&self.input) as Arc<dyn File>,
            Stream::Output => Arc::clone(&self.output) as Arc<dyn File>,
            Stream::Error => Arc::clone(&self.error) as Arc<dyn File>,
        }
    }

    /// The inode of a standard stream: a pipe without a name, which opens to [`stdio`](Self::stdio).
    #[must_use]
    pub fn inode(&self, stream: Stream) -> InodeRef {
        Arc::new(StreamInode::new(stream, self.stdio(stream)))
    }
}

impl Messages {
    /// Hands the host all buffers.
    fn listen(queue: Queue, page: Region) -> Result<Self, SubmitError> {
        let messages = Self { queue, page, posted: Mutex::default(), errors: Default::default() };
        let mut posted = messages.posted.lock();
        for (index, token) in posted.iter_mut().enumerate() {
            *token = Some(messages.post(index)?);
        }
        drop(posted);
        Ok(messages)
    }

    fn post(&self, index: usize) -> Result<Token, SubmitError> {
        let at = HostMessage::SIZE * index;
        let segment = segment::of_region(&self.page, at, HostMessage::SIZE);
        self.queue.submit_quietly(&[], &[segment])
    }

    /// Takes in what the host has said.
    fn receive(&self) {
        if !self.queue.has_news() {
            return;
        }
        let mut posted = self.posted.lock();
        for (index, slot) in posted.iter_mut().enumerate() {
            let Some(result) = slot.as_ref().and_then(|token| self.queue.poll(token)) else { continue };
            let mut bytes = [0; HostMessage::SIZE];
            self.page.read(HostMessage::SIZE * index, &mut bytes);
            if result == Ok(16) {
                self.understand(HostMessage::from_bytes(&bytes));
            }
            *slot = self.post(index).ok();
        }
        drop(posted);
        self.queue.notify();
    }

    fn understand(&self, message: HostMessage) {
        let error = usize::try_from(message.port).ok().and_then(|port| self.errors.get(port));
        if let Some(error) = error
            && message.kind == host_message::STDIO_ERROR
        {
            error.store(message.errno, Ordering::Relaxed);
        }
    }

    /// The error that the host announced for `port`, if any. EPIPE stays, others are told once.
    fn take_error(&self, port: u32) -> Option<Errno> {
        self.receive();
        let error = self.errors.get(usize::try_from(port).ok()?)?;
        let number = error.load(Ordering::Relaxed);
        if number == 0 {
            return None;
        }
        let errno = Errno::from_number(number).unwrap_or(Errno::EIO);
        if errno != Errno::EPIPE {
            error.store(0, Ordering::Relaxed);
        }
        Some(errno)
    }

    /// Whether `port` is closed for good.
    fn is_closed(&self, port: u32) -> bool {
        let error = usize::try_from(port).ok().and_then(|port| self.errors.get(port));
        error.is_some_and(|error| error.load(Ordering::Relaxed) == u32::from(Errno::EPIPE.number()))
    }
}
