//! Packets of all connections, both ways.
//!
//! Everything here is bounded. A guest that gives no buffers to receive with gets no answers, and as soon as [`MOST_ANSWERS`] wait, nothing
//! more of it is looked at. What a connection may send before it is passed on depends on how much all of them may; a descriptor that takes
//! nothing stops only its own connection. Connections take turns, a packet each.

use std::collections::{HashMap, VecDeque};
use std::io;

use event_manager::{EventOps, EventSet, Events};

use super::super::chain::{ChainError, with_reader, with_writer};
use super::super::ring::{Chain, Ring, Rings};
use super::super::worker::{Backend, HOST_EVENTS, Turn};
use super::connection::{Connection, GENEROUS, Phase, Ports, SPARING};
use super::host::{FromGuest, HostSide, News, Refused, Request, StreamId, ToGuest};
use super::{RECEIVE, TRANSMIT};
use crate::core::Fault;
use fuse_backend_rs::transport::Reader;
use septum_abi::vsock::{END_OF_MESSAGE, GUEST_CID, HEADER, HOST_CID, Header, kind, operation, shutdown};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Event tag of [`Switch::again`].
const AGAIN: u32 = HOST_EVENTS + 1;
/// Answers that wait for a buffer of the guest.
const MOST_ANSWERS: usize = 1024;
/// Connections at once.
const MOST_CONNECTIONS: usize = 4096;
/// Bytes that all connections together may send before they are passed on, besides [`SPARING`] of each.
const MOST_GENEROUS: u64 = 64 << 20;
/// Packets in one turn, before others get theirs.
const TURN: usize = 256;
/// Most bytes that go with a request, an answer or a refusal.
const MOST_CONTENTS: usize = 4096;
/// The first port that connections of the host get.
const FIRST_PORT: u32 = 1 << 30;

/// The device's half on its thread.
pub(super) struct Switch {
    host: Box<dyn HostSide>,
    connections: HashMap<Ports, Connection>,
    streams: HashMap<StreamId, Ports>,
    answers: VecDeque<(Header, Vec<u8>)>,
    /// Those that may have something to read.
    readable: VecDeque<Ports>,
    /// A buffer of the guest that was taken and not needed.
    spare: Option<Chain>,
    news: Vec<News>,
    next_port: u32,
    /// What connections may send besides [`SPARING`] of each.
    generous: u64,
    is_watched: bool,
    /// Readable when a turn that the host began was not enough.
    again: EventFd,
}

impl Switch {
    pub fn new(host: Box<dyn HostSide>) -> io::Result<Self> {
        Ok(Self {
            host,
            again: EventFd::new(EFD_NONBLOCK)?,
            connections: HashMap::new(),
            streams: HashMap::new(),
            answers: VecDeque::new(),
            readable: VecDeque::new(),
            spare: None,
            news: Vec::new(),
            next_port: FIRST_PORT,
            generous: 0,
            is_watched: false,
        })
    }

    /// Everything that can be done now, within a turn.
    fn work(&mut self, rings: &mut Rings) -> Turn {
        let mut turn = Turn::Done;
        self.hear();
        if let Some(ring) = rings.get(TRANSMIT)
            && self.transmit(ring) == Turn::More
        {
            turn = Turn::More;
        }
        if let Some(ring) = rings.get(RECEIVE)
            && self.receive(ring) == Turn::More
        {
            turn = Turn::More;
        }
        turn
    }

    /// Takes packets of the guest.
    fn transmit(&mut self, ring: &mut Ring) -> Turn {
        ring.disarm();
        for _ in 0..TURN {
            if self.answers.len() >= MOST_ANSWERS {
                // It is looked at again when the guest gives buffers to answer with.
                ring.notify();
                return Turn::Done;
            }
            let Some(chain) = ring.pop() else {
                ring.notify();
                return if ring.arm() { Turn::More } else { Turn::Done };
            };
            let head = chain.head_index();
            let handled = with_reader(&chain, 0, |reader| self.packet(reader)).and_then(|handled| handled);
            match handled {
                Ok(Ok(())) => ring.push(head, 0),
                Ok(Err(what)) => {
                    ring.misbehaviour().count(Fault::Request, what);
                    ring.push(head, 0);
                }
                Err(error) => ring.reject(head, error.describe()),
            }
        }
        ring.notify();
        Turn::More
    }

    /// One packet of the guest. The inner error is what is wrong with it.
    fn packet(&mut self, reader: &mut Reader<'_, ()>) -> Result<Result<(), &'static str>, ChainError> {
        let mut bytes = [0; HEADER];
        io::Read::read_exact(reader, &mut bytes).map_err(|_| ChainError::TooShort)?;
        let header = Header::from_bytes(&bytes);
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        if len > reader.available_bytes() {
            return Err(ChainError::TooShort);
        }
        // What lies behind the packet is none of it.
        drop(reader.split_at(len));
        if header.source_cid != GUEST_CID || header.destination_cid != HOST_CID {
            return Ok(Err("packet of or to somebody else"));
        }
        if !matches!(header.kind, kind::STREAM | kind::MESSAGES) {
            self.refuse(&header, Vec::new());
            return Ok(Err("packet of an unknown kind"));
        }
        let ports = (header.source_port, header.destination_port);
        if header.operation == operation::REQUEST {
            return Ok(self.request(ports, &header, reader));
        }
        let Some(connection) = self.connections.get_mut(&ports) else {
            // Both sides may have closed it at once.
            if header.operation != operation::RESET {
                self.refuse(&header, Vec::new());
            }
            return Ok(Ok(()));
        };
        connection.learn(&header);
        let handled = match (header.operation, connection.phase) {
            (operation::RESPONSE, Phase::AskedByHost) => {
                connection.phase = Phase::Open;
                let stream = connection.stream;
                self.host.accepted(stream);
                Ok(())
            }
            (operation::RESET, _) => {
                self.end(ports, true);
                Ok(())
            }
            (operation::DATA, Phase::Open) => self.data(ports, reader),
            (operation::SHUTDOWN, Phase::Open) => {
                self.shut_down(ports, header.flags);
                Ok(())
            }
            (operation::CREDIT, _) => Ok(()),
            (operation::CREDIT_REQUEST, _) => {
                self.answer(ports, operation::CREDIT, 0);
                Ok(())
            }
            _ => {
                self.reset(ports);
                Err("packet that is not allowed now")
            }
        };
        self.consider_reading(ports);
        Ok(handled)
    }

    fn request(
        &mut self,
        ports: Ports,
        header: &Header,
        reader: &mut Reader<'_, ()>,
    ) -> Result<(), &'static str> {
        if self.connections.contains_key(&ports) {
            self.reset(ports);
            return Err("request for a connection that exists");
        }
        if reader.available_bytes() > MOST_CONTENTS || self.connections.len() >= MOST_CONNECTIONS {
            self.refuse(header, Vec::new());
            return Err("too large a request, or too many connections");
        }
        let mut contents = vec![0; reader.available_bytes()];
        let len = FromGuest::Memory(reader).copy_to(&mut contents).unwrap_or(0);
        let request = Request {
            port: ports.1,
            carries_messages: header.kind == kind::MESSAGES,
            contents: contents.get(..len).unwrap_or_default(),
        };
        match self.host.open(&request) {
            Ok(opened) => {
                self.add(ports, opened.stream, header.kind, Phase::AskedByGuest);
                if let Some(connection) = self.connections.get_mut(&ports) {
                    connection.learn(header);
                }
                if let Some(answer) = opened.answer {
                    self.opened(ports, answer);
                }
            }
            Err(Refused(contents)) => self.refuse(header, contents),
        }
        Ok(())
    }

    fn add(&mut self, ports: Ports, stream: StreamId, kind: u16, phase: Phase) {
        let is_generous = self.generous + u64::from(GENEROUS) <= MOST_GENEROUS;
        let room = if is_generous { GENEROUS } else { SPARING };
        if is_generous {
            self.generous += u64::from(GENEROUS);
        }
        // A message is sent as a whole, or not at all.
        let room = if kind == kind::MESSAGES { room.max(4 * SPARING) } else { room };
        self.streams.insert(stream, ports);
        self.connections.insert(ports, Connection::new(ports, stream, kind, phase, room));
    }

    /// The host has accepted a connection of the guest.
    fn opened(&mut self, ports: Ports, contents: Vec<u8>) {
        let Some(connection) = self.connections.get_mut(&ports) else { return };
        connection.phase = Phase::Open;
        connection.is_readable = true;
        let header = connection.header(operation::RESPONSE, 0);
        self.answers.push_back((header, contents));
        self.consider_reading(ports);
    }

    fn data(&mut self, ports: Ports, reader: &mut Reader<'_, ()>) -> Result<(), &'static str> {
        let Some(connection) = self.connections.get_mut(&ports) else { return Ok(()) };
        let len = u32::try_from(reader.available_bytes()).unwrap_or(u32::MAX);
        if connection.guest_finished || !connection.receive(len) {
            self.reset(ports);
            return Err("more data than was allowed");
        }
        let mut from = FromGuest::Memory(reader);
        let mut passed = 0;
        if connection.kept.is_empty() {
            match self.host.write(connection.stream, &mut from) {
                Ok(len) => passed = len,
                Err(error) if is_temporary(&error) => {}
                Err(_) => {
                    self.reset(ports);
                    return Ok(());
                }
            }
        }
        if !from.is_empty() {
            let mut rest = vec![0; from.len()];
            let len = from.copy_to(&mut rest).unwrap_or(0);
            rest.truncate(len);
            connection.keep(rest);
        }
        if connection.pass(u32::try_from(passed).unwrap_or(0)) {
            self.answer(ports, operation::CREDIT, 0);
        }
        Ok(())
    }

    /// Passes on what is kept, as far as the descriptor takes it.
    fn pass_on(&mut self, ports: Ports) {
        let Some(connection) = self.connections.get_mut(&ports) else { return };
        let mut is_due = false;
        let mut is_broken = false;
        while let Some(first) = connection.kept.front() {
            let rest = first.get(connection.kept_done..).unwrap_or_default();
            let len = match self.host.write(connection.stream, &mut FromGuest::Kept(rest)) {
                Ok(len) => len,
                Err(error) if is_temporary(&error) => break,
                Err(_) => {
                    is_broken = true;
                    break;
                }
            };
            connection.kept_done += len;
            if connection.kept_done >= first.len() {
                connection.kept.pop_front();
                connection.kept_done = 0;
            }
            is_due |= connection.pass(u32::try_from(len).unwrap_or(0));
        }
        if is_broken {
            self.reset(ports);
            return;
        }
        let (is_empty, finished, closing) =
            (connection.kept.is_empty(), connection.guest_finished, connection.is_closing);
        if is_empty && closing {
            self.answer(ports, operation::RESET, 0);
            self.end(ports, false);
        } else {
            if is_empty && finished {
                self.host.finish(connection.stream);
            }
            if is_due && !closing {
                self.answer(ports, operation::CREDIT, 0);
            }
        }
    }

    fn shut_down(&mut self, ports: Ports, flags: u32) {
        let Some(connection) = self.connections.get_mut(&ports) else { return };
        connection.guest_finished |= flags & shutdown::SEND != 0;
        connection.is_closing |= flags & shutdown::BOTH == shutdown::BOTH;
        if connection.kept.is_empty() {
            self.pass_on(ports);
        } else if connection.is_closing {
            self.host.closing(connection.stream);
        }
    }

    /// Lists a connection that has something to read for the guest.
    fn consider_reading(&mut self, ports: Ports) {
        let Some(connection) = self.connections.get_mut(&ports) else { return };
        if connection.wants_to_read() && !connection.is_queued {
            connection.is_queued = true;
            self.readable.push_back(ports);
        }
    }

    /// Breaks a connection off: both sides are told.
    fn reset(&mut self, ports: Ports) {
        self.answer(ports, operation::RESET, 0);
        self.end(ports, true);
    }

    /// Forgets a connection.
    fn end(&mut self, ports: Ports, is_reset: bool) {
        let Some(connection) = self.connections.remove(&ports) else { return };
        self.forget(&connection);
        self.host.close(connection.stream, is_reset);
    }

    fn forget(&mut self, connection: &Connection) {
        self.streams.remove(&connection.stream);
        if connection.room() == GENEROUS {
            self.generous = self.generous.saturating_sub(u64::from(GENEROUS));
        }
    }

    fn answer(&mut self, ports: Ports, operation: u16, flags: u32) {
        if let Some(connection) = self.connections.get_mut(&ports) {
            let header = connection.header(operation, flags);
            self.answers.push_back((header, Vec::new()));
        }
    }

    /// Answers a packet that belongs to no connection.
    fn refuse(&mut self, to: &Header, contents: Vec<u8>) {
        let header = Header {
            source_cid: HOST_CID,
            destination_cid: GUEST_CID,
            source_port: to.destination_port,
            destination_port: to.source_port,
            kind: to.kind,
            operation: operation::RESET,
            ..Header::default()
        };
        self.answers.push_back((header, contents));
    }

    /// Takes in what has happened on the host.
    fn hear(&mut self) {
        if !self.is_watched {
            return;
        }
        let mut news = std::mem::take(&mut self.news);
        self.host.happened(&mut news);
        for item in news.drain(..) {
            self.learn(item);
        }
        self.news = news;
    }

    fn learn(&mut self, item: News) {
        match item {
            News::Readable(stream) => {
                if let Some(&ports) = self.streams.get(&stream) {
                    if let Some(connection) = self.connections.get_mut(&ports) {
                        connection.is_readable = true;
                    }
                    self.consider_reading(ports);
                }
            }
            News::Writable(stream) => {
                if let Some(&ports) = self.streams.get(&stream)
                    && self.connections.get(&ports).is_some_and(|connection| !connection.kept.is_empty())
                {
                    self.pass_on(ports);
                }
            }
            News::Broken(stream) => {
                if let Some(&ports) = self.streams.get(&stream) {
                    self.reset(ports);
                }
            }
            News::Accepted(stream, contents) => {
                if let Some(&ports) = self.streams.get(&stream) {
                    self.opened(ports, contents);
                }
            }
            News::Refused(stream, contents) => {
                let Some(ports) = self.streams.get(&stream) else { return };
                if let Some(mut connection) = self.connections.remove(ports) {
                    let header = connection.header(operation::RESET, 0);
                    self.answers.push_back((header, contents));
                    self.forget(&connection);
                }
            }
            News::Incoming { stream, port, carries_messages, contents } => {
                self.incoming(stream, port, carries_messages, contents);
            }
        }
    }

    fn incoming(&mut self, stream: StreamId, port: u32, carries_messages: bool, contents: Vec<u8>) {
        if self.connections.len() >= MOST_CONNECTIONS {
            self.host.close(stream, true);
            return;
        }
        let ports = loop {
            let ports = (port, self.next_port);
            self.next_port = self.next_port.wrapping_add(1).max(FIRST_PORT);
            if !self.connections.contains_key(&ports) {
                break ports;
            }
        };
        let kind = if carries_messages { kind::MESSAGES } else { kind::STREAM };
        self.add(ports, stream, kind, Phase::AskedByHost);
        if let Some(connection) = self.connections.get_mut(&ports) {
            connection.is_readable = true;
            let header = connection.header(operation::REQUEST, 0);
            self.answers.push_back((header, contents));
        }
    }

    /// Fills buffers of the guest: answers first, then what there is to read.
    fn receive(&mut self, ring: &mut Ring) -> Turn {
        ring.disarm();
        for _ in 0..TURN {
            if self.answers.is_empty() && self.readable.is_empty() {
                ring.notify();
                return Turn::Done;
            }
            let Some(chain) = self.spare.take().or_else(|| ring.pop()) else {
                ring.notify();
                return if ring.arm() { Turn::More } else { Turn::Done };
            };
            let head = chain.head_index();
            match self.fill(&chain) {
                Ok(Some(len)) => ring.push(head, len),
                Ok(None) => self.spare = Some(chain),
                Err(error) => ring.reject(head, error.describe()),
            }
        }
        ring.notify();
        Turn::More
    }

    /// Puts one packet into a buffer of the guest; `None` if there is none after all.
    fn fill(&mut self, chain: &Chain) -> Result<Option<u32>, ChainError> {
        let is_answer = !self.answers.is_empty();
        with_writer(chain, |writer| {
            let mut body = writer.split_at(HEADER).map_err(|_| ChainError::TooShort)?;
            let (header, len) = if is_answer {
                let Some((header, contents)) = self.answers.pop_front() else { return Ok(None) };
                let len = ToGuest::new(&mut body, usize::MAX).put(&contents).unwrap_or(0);
                (header, len)
            } else {
                let room = body.available_bytes();
                match self.read(&mut ToGuest::new(&mut body, room)) {
                    Some(read) => read,
                    None => return Ok(None),
                }
            };
            let header = Header { len: u32::try_from(len).unwrap_or(0), ..header };
            io::Write::write_all(writer, &header.to_bytes()).map_err(|_| ChainError::TooShort)?;
            u32::try_from(HEADER + len).map(Some).map_err(|_| ChainError::TooLarge)
        })?
    }

    /// Reads from the next connection that has something.
    fn read(&mut self, to: &mut ToGuest<'_, '_>) -> Option<(Header, usize)> {
        let ports = self.readable.pop_front()?;
        let connection = self.connections.get_mut(&ports)?;
        connection.is_queued = false;
        if !connection.wants_to_read() {
            return None;
        }
        let credit = usize::try_from(connection.guest_credit()).unwrap_or(usize::MAX);
        to.limit(credit);
        let flags = if connection.kind == kind::MESSAGES { END_OF_MESSAGE } else { 0 };
        match self.host.read(connection.stream, to) {
            Ok(0) if connection.kind == kind::STREAM => {
                connection.host_finished = true;
                let header = connection.header(operation::SHUTDOWN, shutdown::SEND);
                Some((header, 0))
            }
            Ok(len) => {
                connection.send(u32::try_from(len).unwrap_or(u32::MAX));
                let header = connection.header(operation::DATA, flags);
                self.consider_reading(ports);
                Some((header, len))
            }
            Err(error) if is_temporary(&error) => {
                connection.is_readable = error.kind() == io::ErrorKind::Interrupted;
                self.consider_reading(ports);
                None
            }
            Err(_) => {
                self.reset(ports);
                None
            }
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Backend for Switch {
    fn kicked(&mut self, _queue: usize, rings: &mut Rings, _operations: &mut EventOps) -> Turn {
        self.work(rings)
    }

    fn woken(&mut self, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        if !self.is_watched {
            let news = Events::with_data(&self.host.descriptor(), HOST_EVENTS, EventSet::IN);
            let again = Events::with_data(&self.again, AGAIN, EventSet::IN);
            match operations.add(news).and_then(|()| operations.add(again)) {
                Ok(()) => self.is_watched = true,
                Err(error) => log::error!("what happens behind the socket device cannot be watched: {error}"),
            }
        }
        self.work(rings)
    }

    fn host_event(&mut self, tag: u32, rings: &mut Rings, operations: &mut EventOps) {
        if tag == AGAIN {
            let _ = self.again.read();
        }
        if rings.get(TRANSMIT).is_none() {
            // Nobody takes what happens until the device is brought up again.
            let news = Events::with_data(&self.host.descriptor(), HOST_EVENTS, EventSet::IN);
            let again = Events::with_data(&self.again, AGAIN, EventSet::IN);
            if operations.remove(news).and_then(|()| operations.remove(again)).is_ok() {
                self.is_watched = false;
            }
            return;
        }
        if self.work(rings) == Turn::More {
            // It can only fail when it is full, and then it is signalled anyway.
            let _ = self.again.write(1);
        }
    }

    fn stopped(&mut self) {
        self.spare = None;
        self.connections.clear();
        self.streams.clear();
        self.answers.clear();
        self.readable.clear();
        self.generous = 0;
        self.host.close_all();
    }
}
