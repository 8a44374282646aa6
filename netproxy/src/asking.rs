//! The proxy's end of the way to its broker. Nothing here waits.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::neighbours::{receive_with, send_with};
use crate::requests::{Answer, Kind, LONGEST_ANSWER, Request};

/// An answer of the broker.
#[derive(Debug)]
pub(crate) struct Answered {
    /// What it is about.
    pub kind: Kind,
    /// The number of its request.
    pub number: u32,
    pub answer: Answer,
    /// What comes with it.
    pub socket: Option<OwnedFd>,
}

/// The way to the broker.
#[derive(Debug)]
pub(crate) struct Asking {
    socket: OwnedFd,
    /// What the broker has no room for yet.
    waiting: VecDeque<Vec<u8>>,
    /// Requests that nobody will answer: the broker is gone.
    lost: VecDeque<(Kind, u32)>,
}

impl Asking {
    /// A way by this socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, waiting: VecDeque::new(), lost: VecDeque::new() }
    }

    /// What to watch, for both directions and by edges.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Asks, now or when the broker has room. False if nobody will answer, which [`next_answer`](Self::next_answer) tells.
    pub fn ask(&mut self, number: u32, request: &Request) -> bool {
        self.waiting.push_back(request.to_bytes(number));
        self.send();
        self.lost.is_empty()
    }

    /// Sends what waits, as far as the broker takes it.
    pub fn send(&mut self) {
        while let Some(request) = self.waiting.front() {
            match send_with(&self.socket, request, None) {
                Ok(_) => {}
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => self.lost.extend(about(request)),
            }
            self.waiting.pop_front();
        }
    }

    /// The next request that was answered, and how.
    pub fn next_answer(&mut self) -> Option<Answered> {
        if let Some((kind, number)) = self.lost.pop_front() {
            return Some(Answered {
                kind,
                number,
                answer: Answer::Refused(Errno::CONNREFUSED),
                socket: None,
            });
        }
        loop {
            let mut bytes = [0; LONGEST_ANSWER];
            let (len, socket) = match receive_with(&self.socket, &mut bytes) {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                Err(_) => return None,
            };
            let (kind, number, answer) = Answer::from_bytes(bytes.get(..len).unwrap_or_default())?;
            // There are no descriptors left for it here.
            let is_missing = matches!(answer, Answer::Socket(_)) && socket.is_none();
            let answer = if is_missing { Answer::Refused(Errno::MFILE) } else { answer };
            return Some(Answered { kind, number, answer, socket });
        }
    }
}

/// What an encoded request is about.
fn about(request: &[u8]) -> Option<(Kind, u32)> {
    let (number, request) = Request::from_bytes(request)?;
    Some((request.kind(), number))
}
