//! The proxy's part: the guest's messages, and answers to them.

use std::collections::{HashMap, VecDeque};

use septum_api_types::network::Protocol;
use septum_devices::virtio::vsock::StreamId;

use super::message::{self, Verdict};
use crate::requests::Request;

/// Questions that wait for the broker.
const MOST_QUESTIONS: usize = 256;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// The connection.
    pub stream: StreamId,
    /// How it is carried.
    pub protocol: Protocol,
}

/// Questions of the guest.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// Those that the broker has.
    open: HashMap<u32, (Asker, Vec<u8>)>,
    next: u32,
    answers: VecDeque<(Asker, Vec<u8>)>,
}

impl Questions {
    /// Takes a question of the guest. What the broker is to be asked, and by which number, if it takes that.
    pub fn ask(&mut self, asker: Asker, message: &[u8]) -> Option<(u32, Request)> {
        let verdict = match message::parse(message)? {
            Ok(_) if self.open.len() >= MOST_QUESTIONS => Verdict::Failed,
            Ok(asked) => {
                while self.open.contains_key(&self.next) {
                    self.next = self.next.wrapping_add(1);
                }
                let number = self.next;
                self.next = self.next.wrapping_add(1);
                self.open.insert(number, (asker, message.to_vec()));
                return Some((number, Request::LookUp(asked.name, asked.family)));
            }
            Err(verdict) => verdict,
        };
        self.answer(asker, message, &verdict);
        None
    }

    fn answer(&mut self, asker: Asker, message: &[u8], verdict: &Verdict) {
        if let Some(answer) = message::answer(message, verdict, asker.protocol) {
            self.answers.push_back((asker, answer));
        }
    }

    /// The broker has answered. If nobody waits for that any more, nothing happens.
    pub fn answered(&mut self, number: u32, verdict: &Verdict) {
        if let Some((asker, message)) = self.open.remove(&number) {
            self.answer(asker, &message, verdict);
        }
    }

    /// The next answer for the guest.
    pub fn next_answer(&mut self) -> Option<(Asker, Vec<u8>)> {
        self.answers.pop_front()
    }

    /// A connection is closed: its questions are nobody's.
    pub fn forget(&mut self, stream: StreamId) {
        self.open.retain(|_, (asker, _)| asker.stream != stream);
    }

    /// All connections are.
    pub fn forget_all(&mut self) {
        self.open.clear();
        self.answers.clear();
    }
}
