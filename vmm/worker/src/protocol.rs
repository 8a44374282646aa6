//! What supervisor and worker tell each other.
//!
//! One stream socket, both directions; a frame is a length (32 bits, little endian) and that many bytes of JSON:
//!
//! ```text
//! supervisor → worker   Stop(StopCause)          at any time
//!                       Signal                   at any time: for a program, by number; 0 is the first one
//!                       Count                    at any time, once before each answer
//!                       Begin, Resize, HangUp    at any time: further programs, by number; 0 is the first one with a terminal
//! worker → supervisor   Stage(Stage)             if the order is verbose
//!                       Started                  if the order wants to know
//!                       Crowded                  once, if there are more virtual CPUs than processors for them
//!                       Heard                    when the guest kernel has sent the signals that came
//!                       SessionEnded             once for each Begin, if the partition does not end before
//!                       Counted                  once for each Count, if the partition does not end before
//!                       Ended(Ended)             last, once
//! ```
//!
//! A second socket is the broker's, which says what it refuses, and why it cannot begin.
//!
//! The end of the stream means that the other side is gone. Both sides trust each other with the form of the frames,
//! but not with their size.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::stats::PartitionStats;
use septum_api_types::v1::stats::Counters;
use septum_registry::control::Exec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of the longest frame: the guest kernel's log and the longest panic message, many times over.
const FRAME_LIMIT: u32 = 32 << 20;

/// Run this partition.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to run.
    pub spec: PartitionSpec,
    /// Monotonic clock, in nanoseconds, when the caller was started: all timings count from here.
    pub epoch_ns: u64,
    /// Whether the statistics will be looked at; some take time to gather.
    pub wants_stats: bool,
    /// Whether somebody waits until the program runs.
    pub wants_start: bool,
}

/// Why a partition is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// Its time limit passed.
    Timeout,
    /// The supervisor got this signal.
    Signal(i32),
}

/// A stage that the worker has completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What is complete, as a person reads it.
    pub what: String,
    /// Microseconds since the order's epoch.
    pub at_us: u64,
}

/// How a partition ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The program exited.
    Exited {
        /// With this status.
        code: u8,
    },
    /// The program was killed.
    Signaled {
        /// By this signal.
        signal: u32,
    },
    /// It was stopped on request.
    Stopped(StopCause),
    /// It could not start, or did not end by itself.
    Failed(Failure),
}

/// The worker's last word.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub end: End,
    /// What was counted and measured; its `end` is for the supervisor's caller to fill in.
    pub stats: PartitionStats,
    /// The guest kernel's log.
    pub log: String,
}

/// How a program ended that was started in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SessionEnd {
    Exited(u8),
    Signaled(u32),
    /// An error number.
    NotStarted(u32),
}

/// What is counted at a moment, memory in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub used_bytes: u64,
    pub cached_bytes: u64,
    pub peak_bytes: u64,
    pub counters: Counters,
}

/// A frame for the worker. `Begin` carries descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    Stop(StopCause),
    Signal { number: u32, signal: u32 },
    Begin { number: u32, exec: Exec },
    Resize { number: u32, size: [u16; 2] },
    HangUp { number: u32 },
    Count,
}

/// A frame of the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    Stage(Stage),
    Crowded,
    Started,
    Heard,
    SessionEnded { number: u32, end: SessionEnd },
    Counted(Box<Count>),
    Ended(Box<Ended>),
}

/// A frame of the broker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromBroker {
    /// A person may want to know that this was refused.
    Refused(String),
    /// It cannot begin.
    Failed(Failure),
}

/// Why no frame came or went.
#[derive(Debug, Error)]
pub(crate) enum ProtocolError {
    #[error("the other process is gone")]
    Closed,
    #[error("the connection failed")]
    Io(#[source] io::Error),
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    #[error("a frame is malformed")]
    Malformed(#[source] serde_json::Error),
}

/// Sends one frame; one call at a time per socket.
pub(crate) fn send<T: Serialize>(mut socket: &UnixStream, message: &T) -> Result<(), ProtocolError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message).map_err(ProtocolError::Malformed)?;
    let len = frame.len() - 4;
    let length = u32::try_from(len).ok().filter(|&length| length <= FRAME_LIMIT);
    let length = length.ok_or(ProtocolError::TooLong(len))?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    socket.write_all(&frame).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ProtocolError::Closed,
        _ => ProtocolError::Io(error),
    })
}

/// Receives one frame; blocks until it is whole.
pub(crate) fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> Result<T, ProtocolError> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).map_err(receive_error)?;
    let length = u32::from_le_bytes(length);
    let len = usize::try_from(length).unwrap_or(usize::MAX);
    if length > FRAME_LIMIT {
        return Err(ProtocolError::TooLong(len));
    }
    let mut body = vec![0; len];
    socket.read_exact(&mut body).map_err(receive_error)?;
    serde_json::from_slice(&body).map_err(ProtocolError::Malformed)
}

fn receive_error(error: io::Error) -> ProtocolError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => ProtocolError::Closed,
        _ => ProtocolError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_whole_and_in_order() {
        let (left, right) = UnixStream::pair().unwrap();
        send(&left, &ToWorker::Stop(StopCause::Timeout)).unwrap();
        send(&left, &ToWorker::Stop(StopCause::Signal(15))).unwrap();
        drop(left);
        assert!(matches!(receive(&right), Ok(ToWorker::Stop(StopCause::Timeout))));
        assert!(matches!(receive(&right), Ok(ToWorker::Stop(StopCause::Signal(15)))));
        assert!(matches!(receive::<ToWorker>(&right), Err(ProtocolError::Closed)));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let refuse = |bytes: &[u8]| {
            let (mut left, right) = UnixStream::pair().unwrap();
            left.write_all(bytes).unwrap();
            drop(left);
            receive::<ToWorker>(&right).unwrap_err()
        };
        assert!(matches!(refuse(b"\xff\xff\xff\xff"), ProtocolError::TooLong(_)));
        assert!(matches!(refuse(b"\x02\0\0\0{}"), ProtocolError::Malformed(_)));
        assert!(matches!(refuse(b"\x05\0\0\0{}"), ProtocolError::Closed));
        assert!(matches!(refuse(b"\x05"), ProtocolError::Closed));
    }
}
