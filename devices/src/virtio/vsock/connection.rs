//! One connection, as the device has it.
//!
//! ```text
//!            request, answered                    SHUTDOWN of both, all passed on
//!   asked ───────────────────────► open ─────────────────────────────────────────► gone
//!     └── refused ──► gone           └── RST of either ──► gone
//! ```

use std::collections::VecDeque;

use super::host::StreamId;
use septum_abi::vsock::{GUEST_CID, HOST_CID, Header, kind};

/// The guest's port and the host's.
pub(super) type Ports = (u32, u32);

/// Bytes that the guest may send before they are passed on, while there are few connections.
pub(super) const GENEROUS: u32 = 1 << 20;
/// The same, when there are many.
pub(super) const SPARING: u32 = 32 << 10;

/// Pieces are joined up to this size: a guest that sends byte after byte costs no more than its bytes.
const PIECE: usize = 64 << 10;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The guest asked, and has no answer.
    AskedByGuest,
    /// The host asked, and has no answer.
    AskedByHost,
    /// Both sides may send.
    Open,
}

/// A connection.
pub(super) struct Connection {
    pub ports: Ports,
    pub stream: StreamId,
    pub kind: u16,
    pub phase: Phase,
    /// What the guest sent and the host's descriptor did not take: bytes, or messages with their ends.
    pub kept: VecDeque<Vec<u8>>,
    /// Bytes of the first of them that are passed on.
    pub kept_done: usize,
    /// The guest sends no more.
    pub guest_finished: bool,
    /// The guest receives no more: it is over when everything is passed on.
    pub is_closing: bool,
    /// The host sends no more.
    pub host_finished: bool,
    /// The host may have something to read.
    pub is_readable: bool,
    /// It is in the list of those that do.
    pub is_queued: bool,
    /// What the guest keeps, has passed on, and was sent.
    guest_room: u32,
    guest_passed: u32,
    sent: u32,
    /// What is kept here at most, came, was passed on, and what of that the guest was told.
    room: u32,
    came: u32,
    passed: u32,
    told: u32,
}

impl Connection {
    pub fn new(ports: Ports, stream: StreamId, kind: u16, phase: Phase, room: u32) -> Self {
        Self {
            ports,
            stream,
            kind,
            phase,
            kept: VecDeque::new(),
            kept_done: 0,
            guest_finished: false,
            is_closing: false,
            host_finished: false,
            is_readable: false,
            is_queued: false,
            guest_room: 0,
            guest_passed: 0,
            sent: 0,
            room,
            came: 0,
            passed: 0,
            told: 0,
        }
    }

    /// Bytes that the guest may send before they are passed on.
    pub fn room(&self) -> u32 {
        self.room
    }

    /// The header of the next packet to the guest, which learns what is kept here and was passed on.
    pub fn header(&mut self, operation: u16, flags: u32) -> Header {
        self.told = self.passed;
        let (guest, host) = self.ports;
        Header {
            source_cid: HOST_CID,
            destination_cid: GUEST_CID,
            source_port: host,
            destination_port: guest,
            len: 0,
            kind: self.kind,
            operation,
            flags,
            buffer_size: self.room,
            forwarded: self.passed,
        }
    }

    /// A packet tells what the guest keeps and has passed on.
    pub fn learn(&mut self, header: &Header) {
        (self.guest_room, self.guest_passed) = (header.buffer_size, header.forwarded);
    }

    /// Bytes that may be sent to the guest.
    pub fn guest_credit(&self) -> u32 {
        self.guest_room.saturating_sub(self.sent.wrapping_sub(self.guest_passed))
    }

    /// So many are sent to it.
    pub fn send(&mut self, len: u32) {
        self.sent = self.sent.wrapping_add(len);
    }

    /// So many came from it; false if that is more than was allowed.
    pub fn receive(&mut self, len: u32) -> bool {
        self.came = self.came.wrapping_add(len);
        len <= self.room && self.came.wrapping_sub(self.passed) <= self.room
    }

    /// So many are passed on; true if the guest is to be told now.
    pub fn pass(&mut self, len: u32) -> bool {
        self.passed = self.passed.wrapping_add(len);
        self.passed.wrapping_sub(self.told) >= self.room / 4
    }

    /// Keeps what was not passed on.
    pub fn keep(&mut self, bytes: Vec<u8>) {
        match self.kept.back_mut() {
            Some(last) if self.kind == kind::STREAM && last.len() + bytes.len() <= PIECE => {
                last.extend_from_slice(&bytes);
            }
            _ => self.kept.push_back(bytes),
        }
    }

    /// Whether there is something to read and the guest takes it.
    pub fn wants_to_read(&self) -> bool {
        let is_ready =
            self.phase == Phase::Open && self.is_readable && !self.host_finished && !self.is_closing;
        is_ready && self.guest_credit() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_held_to_what_it_was_allowed() {
        let mut connection = Connection::new((1, 2), 3, kind::STREAM, Phase::Open, 100);
        assert!(connection.receive(100));
        assert!(!connection.pass(20));
        assert!(connection.pass(5));
        assert_eq!(connection.header(5, 0).forwarded, 25);
        assert!(connection.receive(25));
        assert!(!connection.receive(1));
        let mut other = Connection::new((1, 2), 3, kind::STREAM, Phase::Open, 100);
        assert!(!other.receive(u32::MAX));
    }

    #[test]
    fn small_pieces_are_joined_but_not_messages() {
        let bytes: Vec<u8> = (0..=255).cycle().take(PIECE + 1).collect();
        for (kind, pieces) in [(kind::STREAM, 2), (kind::MESSAGES, PIECE + 1)] {
            let mut connection = Connection::new((1, 2), 3, kind, Phase::Open, 1 << 20);
            bytes.iter().for_each(|byte| connection.keep(vec![*byte]));
            assert_eq!(connection.kept.len(), pieces);
            let all: Vec<u8> = connection.kept.into_iter().flatten().collect();
            assert_eq!(all, bytes);
        }
    }

    #[test]
    fn claims_of_a_guest_give_it_nothing() {
        let mut connection = Connection::new((1, 2), 3, kind::STREAM, Phase::Open, 100);
        let claim = |buffer_size, forwarded| Header { buffer_size, forwarded, ..Header::default() };
        connection.learn(&claim(50, 0));
        connection.send(50);
        assert_eq!(connection.guest_credit(), 0);
        connection.learn(&claim(50, 51));
        assert_eq!(connection.guest_credit(), 0);
        connection.learn(&claim(50, 30));
        assert_eq!(connection.guest_credit(), 30);
    }
}
