//! Names, asked for by the guest at its nameserver's address and answered here.
//!
//! ```text
//! ask ──► not a question, host.septum.internal, --add-host, a partition, no rule ──────► answer at once
//!   └───► upstream: a question of our own, from a socket of its own ──► its answer ───► addresses that may be reached, bound to the name
//!                     ├── one that is cut short ──► the same by TCP; if that cannot be, what is in it
//!                     └── no answer in time, or none that helps ──► the next nameserver … ──► nobody can tell
//! ```
//!
//! What the guest wrote never leaves the host: a nameserver is asked for addresses of a name that a rule allows, and for nothing else.
//! Nothing waits here: a nameserver that hangs costs its questions, not the proxy.

mod bindings;
mod carrier;
mod message;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};
use septum_abi::net;
use septum_api_types::network::{HOST_NAME, HostEntry, Protocol, is_internal};
use septum_devices::virtio::vsock::StreamId;

pub use self::bindings::Bindings;
pub use self::carrier::Carrier;
use self::message::{Asked, Family, Verdict};
use self::wire::Wire;
use crate::broker::Broker;

/// Whether a nameserver's message answers the question for addresses of `name` that has the number `id`.
#[cfg(feature = "testing")]
#[must_use]
pub fn is_answer(message: &[u8], id: u16, name: &str) -> bool {
    let _ = message::is_cut_short(message);
    [Family::V4, Family::V6].into_iter().any(|family| message::verdict(message, id, name, family).is_some())
}

/// Questions that wait for nameservers.
const MOST_QUESTIONS: usize = 256;
/// How long nameservers have together: less than programs wait.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often is asked at least, and at most.
const TRIES: std::ops::RangeInclusive<usize> = 2..=3;
/// How long what a person said is kept, seconds.
const SAID_TTL: u32 = 60;
/// Longest answer of a nameserver.
const LONGEST: usize = 4096;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The connection.
    pub stream: StreamId,
    /// How it is carried.
    pub protocol: Protocol,
}

/// How a nameserver is asked.
enum Way {
    Message(OwnedFd),
    /// And what it said of it in a message.
    Stream(Wire, Verdict),
}

impl Way {
    /// The next message, if there is one.
    fn receive(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        match self {
            Self::Stream(wire, _) => wire.advance(),
            Self::Message(socket) => {
                let mut buffer = [0; LONGEST];
                match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                    Ok((len, _)) => Ok(Some(buffer.get(..len).unwrap_or_default().to_vec())),
                    Err(Errno::AGAIN | Errno::INTR) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// A question that a nameserver has.
struct Question {
    asker: Asker,
    message: Vec<u8>,
    name: String,
    family: Family,
    id: u16,
    server: SocketAddr,
    way: Way,
    tries: usize,
    deadline: Instant,
}

/// The guest's nameserver.
pub struct Names {
    servers: Vec<SocketAddr>,
    entries: Vec<HostEntry>,
    questions: HashMap<u32, Question>,
    next: u32,
    /// Marks events of its sockets.
    tag: u64,
    answers: VecDeque<(Asker, Vec<u8>)>,
}

impl Names {
    /// One that knows `entries` and asks `servers`. Events of its sockets are named `tag` and a number.
    #[must_use]
    pub fn new(entries: Vec<HostEntry>, servers: Vec<SocketAddr>, tag: u64) -> Self {
        let (questions, answers) = Default::default();
        Self { servers, entries, questions, next: 0, tag, answers }
    }

    /// Takes a question of the guest.
    pub fn ask(&mut self, broker: &mut Broker, epoll: BorrowedFd<'_>, asker: Asker, message: &[u8]) {
        let verdict = match message::parse(message) {
            None => return,
            Some(Err(verdict)) => verdict,
            Some(Ok(asked)) => match self.known(broker, &asked) {
                Some(verdict) => verdict,
                None => match self.begin(epoll, asker, message, &asked) {
                    Ok(()) => return,
                    Err(verdict) => verdict,
                },
            },
        };
        self.answer(asker, message, &verdict);
    }

    fn answer(&mut self, asker: Asker, message: &[u8], verdict: &Verdict) {
        if let Some(answer) = message::answer(message, verdict, asker.protocol) {
            self.answers.push_back((asker, answer));
        }
    }

    /// What can be said without asking anybody.
    fn known(&self, broker: &Broker, asked: &Asked) -> Option<Verdict> {
        let Asked { name, family } = asked;
        let of = |addresses: &[IpAddr]| {
            let is_meant = |ip: &&IpAddr| *family == Some(if ip.is_ipv4() { Family::V4 } else { Family::V6 });
            Some(Verdict::Addresses(addresses.iter().filter(is_meant).copied().collect(), SAID_TTL))
        };
        if name == HOST_NAME {
            return of(&[IpAddr::V4(net::HOST)]);
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return of(&[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        let said: Vec<IpAddr> = (self.entries.iter())
            .filter(|entry| entry.name == *name)
            .map(|entry| entry.address.unwrap_or(IpAddr::V4(net::HOST)))
            .collect();
        if !said.is_empty() {
            return of(&said);
        }
        if let Some(address) = broker.neighbour(name) {
            return of(&[IpAddr::V4(address)]);
        }
        if name.ends_with(".arpa") {
            return Some(Verdict::NoName);
        }
        if !broker.may_ask(name) || is_internal(name) {
            return Some(Verdict::NoName);
        }
        // Of other kinds there is nothing to know.
        if family.is_none() { of(&[]) } else { None }
    }

    fn begin(
        &mut self,
        epoll: BorrowedFd<'_>,
        asker: Asker,
        message: &[u8],
        asked: &Asked,
    ) -> Result<(), Verdict> {
        let family = asked.family.ok_or(Verdict::Failed)?;
        if self.questions.len() >= MOST_QUESTIONS {
            return Err(Verdict::Failed);
        }
        let number = loop {
            self.next = self.next.wrapping_add(1);
            if !self.questions.contains_key(&self.next) {
                break self.next;
            }
        };
        let (name, message) = (asked.name.clone(), message.to_vec());
        let mut tries = 0;
        let (server, socket, id) =
            self.send(epoll, number, &name, family, &mut tries).ok_or(Verdict::Failed)?;
        let (way, deadline) = (Way::Message(socket), self.deadline());
        let question = Question { asker, message, name, family, id, server, way, tries, deadline };
        self.questions.insert(number, question);
        Ok(())
    }

    fn tries(&self) -> usize {
        self.servers.len().clamp(*TRIES.start(), *TRIES.end())
    }

    fn deadline(&self) -> Instant {
        let share = PATIENCE / u32::try_from(self.tries()).unwrap_or(1);
        Instant::now() + share
    }

    /// Asks the next nameserver that can be asked.
    fn send(
        &self,
        epoll: BorrowedFd<'_>,
        number: u32,
        name: &str,
        family: Family,
        tries: &mut usize,
    ) -> Option<(SocketAddr, OwnedFd, u16)> {
        while *tries < self.tries() && !self.servers.is_empty() {
            let server = self.servers[*tries % self.servers.len()];
            *tries += 1;
            if let Ok((socket, id)) = self.send_to(epoll, number, server, name, family) {
                return Some((server, socket, id));
            }
        }
        None
    }

    fn send_to(
        &self,
        epoll: BorrowedFd<'_>,
        number: u32,
        server: SocketAddr,
        name: &str,
        family: Family,
    ) -> Result<(OwnedFd, u16), Errno> {
        // Whoever wants to answer in the nameserver's place has to guess both the number and the port.
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        let id = u16::from_ne_bytes(id);
        let message = message::question(id, name, family).ok_or(Errno::INVAL)?;
        let kind = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(kind, SocketType::DGRAM, flags, None)?;
        connect(&socket, &server)?;
        send(&socket, &message, SendFlags::NOSIGNAL)?;
        epoll::add(epoll, &socket, self.event(number), EventFlags::IN)?;
        Ok((socket, id))
    }

    /// A nameserver has answered.
    pub fn ready(&mut self, broker: &mut Broker, epoll: BorrowedFd<'_>, number: u32) {
        let event = self.event(number);
        let Some(question) = self.questions.get_mut(&number) else { return };
        let message = match question.way.receive() {
            Ok(Some(message)) => message,
            Ok(None) => {
                if let Way::Stream(wire, _) = &question.way
                    && !wire.is_sending()
                {
                    // It can be written to all the time now.
                    let _ = epoll::modify(epoll, wire.socket(), event, EventFlags::IN);
                }
                return;
            }
            // Nobody is there.
            Err(_) => return self.failed(broker, epoll, number),
        };
        let said = message::verdict(&message, question.id, &question.name, question.family);
        match (said, &question.way) {
            (Some(Verdict::Failed), _) | (None, Way::Stream(..)) => self.failed(broker, epoll, number),
            (Some(said), Way::Message(_)) if message::is_cut_short(&message) => {
                if let Err(said) = self.ask_for_all(epoll, number, said) {
                    self.learn(broker, number, said);
                }
            }
            (Some(said), _) => self.learn(broker, number, said),
            // What is no answer to this question is somebody else's, or a forgery.
            (None, Way::Message(_)) => {}
        }
    }

    fn event(&self, number: u32) -> EventData {
        EventData::new_u64(self.tag | u64::from(number))
    }

    /// Asks the same nameserver by TCP, which has `said` a part of it; that comes back if it cannot be.
    fn ask_for_all(&mut self, epoll: BorrowedFd<'_>, number: u32, said: Verdict) -> Result<(), Verdict> {
        let (event, deadline) = (self.event(number), self.deadline());
        let Some(question) = self.questions.get_mut(&number) else { return Err(said) };
        let wire = message::question(question.id, &question.name, question.family)
            .ok_or(Errno::INVAL)
            .and_then(|message| Wire::connect(question.server, &message))
            .and_then(|wire| {
                epoll::add(epoll, wire.socket(), event, EventFlags::IN | EventFlags::OUT).map(|()| wire)
            });
        match wire {
            Ok(wire) => (question.way, question.deadline) = (Way::Stream(wire, said), deadline),
            Err(_) => return Err(said),
        }
        Ok(())
    }

    /// No answer comes this way: what was said before counts, or somebody else is asked.
    fn failed(&mut self, broker: &mut Broker, epoll: BorrowedFd<'_>, number: u32) {
        match self.questions.get(&number).map(|question| &question.way) {
            Some(Way::Stream(_, said)) => {
                let said = said.clone();
                self.learn(broker, number, said);
            }
            _ => self.again(epoll, number),
        }
    }

    /// Asks somebody else, or gives up.
    fn again(&mut self, epoll: BorrowedFd<'_>, number: u32) {
        let Some(mut question) = self.questions.remove(&number) else { return };
        match self.send(epoll, number, &question.name, question.family, &mut question.tries) {
            Some((server, socket, id)) => {
                (question.server, question.way) = (server, Way::Message(socket));
                (question.id, question.deadline) = (id, self.deadline());
                self.questions.insert(number, question);
            }
            None => self.answer(question.asker, &question.message, &Verdict::Failed),
        }
    }

    fn learn(&mut self, broker: &mut Broker, number: u32, verdict: Verdict) {
        let Some(question) = self.questions.remove(&number) else { return };
        let verdict = match verdict {
            Verdict::Addresses(addresses, ttl) => {
                Verdict::Addresses(broker.bind(&question.name, addresses), ttl)
            }
            other => other,
        };
        self.answer(question.asker, &question.message, &verdict);
    }

    /// Asks others what was not answered in time.
    pub fn tick(&mut self, broker: &mut Broker, epoll: BorrowedFd<'_>, now: Instant) {
        let is_late = |(_, question): &(&u32, &Question)| question.deadline <= now;
        let late: Vec<u32> = self.questions.iter().filter(is_late).map(|(number, _)| *number).collect();
        late.into_iter().for_each(|number| self.failed(broker, epoll, number));
    }

    /// When [`tick`](Self::tick) is due.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.questions.values().map(|question| question.deadline).min()
    }

    /// The next answer for the guest.
    pub fn next_answer(&mut self) -> Option<(Asker, Vec<u8>)> {
        self.answers.pop_front()
    }

    /// A connection is closed: its questions are nobody's.
    pub fn forget(&mut self, stream: StreamId) {
        self.questions.retain(|_, question| question.asker.stream != stream);
    }

    /// All connections are.
    pub fn forget_all(&mut self) {
        self.questions.clear();
        self.answers.clear();
    }
}
