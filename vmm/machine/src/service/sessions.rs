//! The host's ends of sessions' streams, and which of them somebody waits for.

use rustix::event::PollFlags;
use septum_abi::service::stream;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A descriptor that the guest wants to hear of.
#[derive(Clone, Debug)]
pub struct Watch {
    pub session: u32,
    pub stream: u32,
    pub events: PollFlags,
    pub descriptor: Arc<OwnedFd>,
}

#[derive(Debug)]
struct Session {
    /// What of it the guest has not read yet.
    program: Vec<u8>,
    streams: [Option<Arc<OwnedFd>>; 3],
    has_ended: bool,
}

/// See above.
#[derive(Debug, Default)]
pub struct Sessions {
    known: BTreeMap<u32, Session>,
    watched: Vec<Watch>,
}

impl Sessions {
    /// A new one. What is typed at a terminal is watched from the beginning.
    pub fn begin(&mut self, number: u32, program: Vec<u8>, streams: [Option<OwnedFd>; 3], is_terminal: bool) {
        let streams = streams.map(|stream| stream.map(Arc::new));
        if let (true, Some(input)) = (is_terminal, &streams[0]) {
            self.watch(number, stream::INPUT, &Arc::clone(input), PollFlags::IN);
        }
        self.known.insert(number, Session { program, streams, has_ended: false });
    }

    /// A stream of a session.
    pub fn stream(&self, session: u32, stream: u32) -> Option<Arc<OwnedFd>> {
        let index = usize::try_from(stream).ok()?;
        self.known.get(&session)?.streams.get(index)?.clone()
    }

    /// The next bytes of what is to be run.
    pub fn take_program(&mut self, session: u32, len: usize) -> Vec<u8> {
        let Some(session) = self.known.get_mut(&session) else { return Vec::new() };
        let len = len.min(session.program.len());
        session.program.drain(..len).collect()
    }

    /// A stream is not needed any more.
    pub fn close(&mut self, number: u32, stream: u32) {
        let place = self.known.get_mut(&number).zip(usize::try_from(stream).ok());
        if let Some(place) = place.and_then(|(session, index)| session.streams.get_mut(index)) {
            *place = None;
        }
        self.watched.retain(|watch| (watch.session, watch.stream) != (number, stream));
        self.forget_if_over(number);
    }

    /// Its program has ended. False if there is no such session, or that is known.
    pub fn end(&mut self, number: u32) -> bool {
        let Some(session) = self.known.get_mut(&number) else { return false };
        if std::mem::replace(&mut session.has_ended, true) {
            return false;
        }
        self.close(number, stream::INPUT);
        true
    }

    fn forget_if_over(&mut self, number: u32) {
        let is_over = |session: &Session| session.has_ended && session.streams.iter().all(Option::is_none);
        if self.known.get(&number).is_some_and(is_over) {
            self.known.remove(&number);
        }
    }

    /// The guest wants to hear when something can be done with a stream.
    pub fn watch(&mut self, session: u32, stream: u32, descriptor: &Arc<OwnedFd>, events: PollFlags) {
        let descriptor = Arc::clone(descriptor);
        self.watched.retain(|watch| (watch.session, watch.stream) != (session, stream));
        self.watched.push(Watch { session, stream, events, descriptor });
    }

    /// Everything that is watched.
    pub fn watched(&self) -> Vec<Watch> {
        self.watched.clone()
    }

    /// It is ready. False if nobody wants to know any more.
    pub fn unwatch(&mut self, done: &Watch) -> bool {
        let before = self.watched.len();
        self.watched.retain(|watch| (watch.session, watch.stream) != (done.session, done.stream));
        self.watched.len() < before
    }
}
