//! What is said over the control socket of a partition's supervisor.
//!
//! A stream socket; a frame is a length (32 bits, little endian) and that many bytes of JSON. The client sends one [`Request`], with
//! descriptors where it says so; the supervisor answers, once or until the end, and either side closes. The socket is its owner's
//! alone (0600, in a folder of 0700), and the supervisor talks to nobody else ([`is_allowed`]).
//!
//! Both sides bound what they read: a frame that is too long or malformed ends the connection, never the supervisor.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use septum_api_types::bytes::ByteString;
use septum_api_types::failure::Failure;
use septum_api_types::signal::Signal;
use septum_api_types::v1::Stats;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of the longest frame.
pub const FRAME_LIMIT: u32 = 1 << 20;
/// Descriptors that a frame may carry.
pub const DESCRIPTORS: usize = 3;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Ask the program to end, and end the partition when time is up. Answer: `Ended`.
    Stop {
        /// Seconds; without, it has all the time it wants.
        seconds: Option<u32>,
    },
    /// End the partition; its program has no time for anything. Answer: `Ended`.
    Kill,
    /// Send the program a signal. Answer: `Done`.
    Signal(Signal),
    /// Hold the processors. Answer: `Done`.
    Pause,
    /// Let them go on. Answer: `Done`.
    Resume,
    /// Answer: `Ended`, when it has.
    Wait,
    /// What is counted. Answer: `Stats`.
    Stats {
        /// The threads one by one, too.
        threads: bool,
    },
    /// Start another program in the partition. The frame carries what it reads from, writes to, and writes errors to, unless it is detached.
    /// Answer: `Ended` or `Failed`, when it has; `Done` at once if it is detached. Whoever goes before that hangs up on it.
    Exec(Exec),
    /// After `Exec` or `Attach`: the terminal there has another size. No answer.
    Resize {
        /// Rows and columns.
        size: [u16; 2],
    },
    /// After `Exec` or `Attach`: the program there gets this signal. No answer.
    SignalHere(Signal),
    /// Be part of the partition's streams. The frame carries what is read from, written to, and written errors to. Answer: `Ended`.
    Attach,
}

/// Another program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The program, a path or a name, and its arguments.
    pub arguments: Vec<ByteString>,
    /// `KEY=VALUE` each: besides the variables of the partition's first program, or in their place.
    pub environment: Vec<ByteString>,
    /// Where it starts; else where the first program did.
    pub working_directory: Option<ByteString>,
    /// `USER[:GROUP]`, names of the partition's or numbers; else whom the first program runs as.
    #[serde(default)]
    pub user: Option<ByteString>,
    /// Rows and columns, if it has a terminal.
    pub terminal: Option<[u16; 2]>,
    /// Whether it has an input.
    pub has_input: bool,
    /// Nobody waits for it.
    pub is_detached: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// It cannot be.
    Refused(Failure),
    /// What is counted.
    Stats(Box<Stats>),
    /// The partition, or the program that was asked for, ended with this status.
    Ended(u8),
    /// The program that was asked for did not run, or not to its end.
    Failed {
        /// The status to leave with.
        status: u8,
        /// Why.
        message: String,
    },
}

/// Why no frame came or went.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The other side is gone.
    #[error("the other side is gone")]
    Closed,
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// A frame is longer than [`FRAME_LIMIT`].
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// A frame is not what it should be.
    #[error("a frame is malformed")]
    Malformed(#[source] serde_json::Error),
}

fn of_io(error: io::Error) -> ControlError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            ControlError::Closed
        }
        _ => ControlError::Io(error),
    }
}

/// Whether whoever is at the other end may give orders: the same user, or root.
#[must_use]
pub fn is_allowed(socket: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    rustix::net::sockopt::socket_peercred(socket).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

/// The bytes of a frame.
///
/// # Errors
/// It is too long.
pub fn frame<T: Serialize>(message: &T) -> Result<Vec<u8>, ControlError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message).map_err(ControlError::Malformed)?;
    let len = frame.len() - 4;
    let length = u32::try_from(len).ok().filter(|&length| length <= FRAME_LIMIT);
    frame[..4].copy_from_slice(&length.ok_or(ControlError::TooLong(len))?.to_le_bytes());
    Ok(frame)
}

/// Sends one frame, with descriptors.
///
/// # Errors
/// See [`ControlError`].
pub fn send<T: Serialize>(
    mut socket: &UnixStream,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), ControlError> {
    let frame = frame(message)?;
    let mut sent = 0;
    if !descriptors.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        let pieces = [IoSlice::new(&frame)];
        sent = sendmsg(socket, &pieces, &mut ancillary, SendFlags::NOSIGNAL)
            .map_err(|error| of_io(error.into()))?;
    }
    socket.write_all(&frame[sent..]).map_err(of_io)
}

/// Receives one frame and its descriptors; blocks until it is whole.
///
/// # Errors
/// See [`ControlError`].
pub fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> Result<(T, Vec<OwnedFd>), ControlError> {
    let mut reader = Reader::default();
    loop {
        if let Some(whole) = reader.take()? {
            return Ok(whole);
        }
        let mut buffer = vec![0; reader.missing()];
        if reader.have.is_empty() {
            let (length, descriptors) = receive_some(socket, &mut buffer)?;
            reader.add(&buffer[..length], descriptors);
        } else {
            let length = socket.read(&mut buffer).map_err(of_io)?;
            if length == 0 {
                return Err(ControlError::Closed);
            }
            reader.add(&buffer[..length], Vec::new());
        }
    }
}

/// Receives bytes and descriptors, at least one byte.
///
/// # Errors
/// The connection failed or is closed; `WouldBlock` if it does not block and there is nothing.
pub fn receive_some(socket: &UnixStream, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), ControlError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut pieces = [IoSliceMut::new(buffer)];
    let got = loop {
        match recvmsg(socket.as_fd(), &mut pieces, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            result => break result.map_err(|error| of_io(error.into()))?,
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if got.bytes == 0 { Err(ControlError::Closed) } else { Ok((got.bytes, descriptors)) }
}

/// Puts frames together from whatever pieces come.
#[derive(Debug, Default)]
pub struct Reader {
    have: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Reader {
    /// Adds what came. More descriptors than a frame may carry are closed.
    pub fn add(&mut self, bytes: &[u8], descriptors: Vec<OwnedFd>) {
        self.have.extend_from_slice(bytes);
        self.descriptors.extend(descriptors);
        self.descriptors.truncate(DESCRIPTORS);
    }

    fn length(&self) -> Option<usize> {
        let length = u32::from_le_bytes(*self.have.first_chunk()?);
        Some(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// How many bytes the next frame still needs, as far as is known; at least 1.
    fn missing(&self) -> usize {
        let whole = self.length().map_or(4, |length| 4 + length);
        whole.saturating_sub(self.have.len()).max(1)
    }

    /// The next frame, if it is whole.
    ///
    /// # Errors
    /// It is too long or malformed.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<OwnedFd>)>, ControlError> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > usize::try_from(FRAME_LIMIT).unwrap_or(usize::MAX) {
            return Err(ControlError::TooLong(length));
        }
        let Some(body) = self.have.get(4..4 + length) else { return Ok(None) };
        let message = serde_json::from_slice(body).map_err(ControlError::Malformed)?;
        self.have.drain(..4 + length);
        Ok(Some((message, std::mem::take(&mut self.descriptors))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_carry_descriptors() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut reader, writer) = UnixStream::pair().unwrap();
        send(&left, &Request::Attach, &[writer.as_fd()]).unwrap();
        send(&left, &Request::Wait, &[]).unwrap();
        drop((left, writer));
        let (request, descriptors) = receive::<Request>(&right).unwrap();
        assert_eq!(request, Request::Attach);
        let [descriptor] = <[OwnedFd; 1]>::try_from(descriptors).unwrap();
        UnixStream::from(descriptor).write_all(b"hello").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert_eq!(receive::<Request>(&right).unwrap().0, Request::Wait);
        assert!(matches!(receive::<Request>(&right), Err(ControlError::Closed)));
        assert!(is_allowed(&right));
    }

    #[test]
    fn what_is_no_frame_is_refused_and_never_a_panic() {
        let good = frame(&Request::Attach).unwrap();
        // A generator that needs no library: xorshift.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..1 + next() % 4 {
                let at = usize::try_from(next()).unwrap() % bytes.len();
                bytes[at] = next().to_le_bytes()[0];
            }
            bytes.truncate(1 + usize::try_from(next()).unwrap() % bytes.len());
            let mut reader = Reader::default();
            for piece in bytes.chunks(7) {
                reader.add(piece, Vec::new());
                if !matches!(reader.take::<Request>(), Ok(None)) {
                    break;
                }
            }
        }
        let mut reader = Reader::default();
        reader.add(&u32::MAX.to_le_bytes(), Vec::new());
        assert!(matches!(reader.take::<Request>(), Err(ControlError::TooLong(_))));
    }
}
