//! One connection to the desk.

use std::io::{ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags};
use septum_registry::control::{Answer, ControlError, Reader, Request, frame, receive_some};

use super::{ClientId, Demand, demand};

/// Bytes that are read in one turn.
const TURN: usize = 64 << 10;

/// See above. It asks one thing, and may tell of its terminal's size, and send signals, afterwards.
#[derive(Debug)]
pub(super) struct Client {
    id: ClientId,
    socket: UnixStream,
    reader: Reader,
    unsent: Vec<u8>,
    has_asked: bool,
    is_answered: bool,
    is_gone: bool,
}

impl Client {
    pub(super) fn new(id: ClientId, socket: UnixStream) -> Self {
        Self {
            id,
            socket,
            reader: Reader::default(),
            unsent: Vec::new(),
            has_asked: false,
            is_answered: false,
            is_gone: false,
        }
    }

    pub(super) fn id(&self) -> ClientId {
        self.id
    }

    pub(super) fn poll(&self) -> PollFd<'_> {
        let wanted = if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::OUT };
        PollFd::from_borrowed_fd(self.socket.as_fd(), wanted)
    }

    /// Whether there is nothing left to do for it.
    pub(super) fn is_over(&self) -> bool {
        self.is_gone || self.is_answered && self.unsent.is_empty()
    }

    /// Reads and sends what there is.
    pub(super) fn serve(&mut self, demands: &mut Vec<(ClientId, Demand)>) {
        self.flush();
        if self.is_over() {
            return;
        }
        if self.read(demands).is_err() {
            self.is_gone = true;
            if self.has_asked && !self.is_answered {
                demands.push((self.id, Demand::Gone));
            }
        }
    }

    fn read(&mut self, demands: &mut Vec<(ClientId, Demand)>) -> Result<(), ControlError> {
        let mut buffer = vec![0; TURN];
        match receive_some(&self.socket, &mut buffer) {
            Ok((length, descriptors)) => self.reader.add(&buffer[..length], descriptors),
            Err(ControlError::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        while let Some((request, descriptors)) = self.reader.take::<Request>()? {
            // Whoever asks twice does not know the protocol.
            if self.has_asked != matches!(request, Request::Resize { .. } | Request::SignalHere(_)) {
                return Err(ControlError::Closed);
            }
            self.has_asked = true;
            demands.push((self.id, demand(request, descriptors)));
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, answer: &Answer) {
        if !self.has_asked || self.is_answered {
            return;
        }
        self.is_answered = true;
        // An answer is short; a list of threads is bounded.
        self.unsent.extend(frame(answer).unwrap_or_default());
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while !self.unsent.is_empty() && !self.is_gone {
            match self.socket.write(&self.unsent) {
                Ok(0) => self.is_gone = true,
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.is_gone = true,
            }
        }
    }
}
