//! The broker's part: what a name is, by what a person said, by rules, and by nameservers.
//!
//! ```text
//! look_up ──► host.septum.internal, --add-host, a partition, no rule ──────────────────► answer at once
//!   └───────► a question of our own, from a socket of its own ──► its answer ──────────► addresses that may be reached, bound to the name
//!                     ├── one that is cut short ──► the same by TCP; if that cannot be, what is in it
//!                     └── no answer in time, or none that helps ──► the next nameserver … ──► nobody can tell
//! ```
//!
//! Nothing waits here: a nameserver that hangs costs its questions, not the broker.

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
use septum_api_types::network::{HOST_NAME, HostEntry, is_internal};

use super::message::{self, Family, Verdict};
use super::wire::Wire;
use crate::broker::Maker;

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
    /// What whoever asked calls it.
    number: u32,
    name: String,
    family: Family,
    id: u16,
    server: SocketAddr,
    way: Way,
    tries: usize,
    deadline: Instant,
}

/// Looks names up.
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
    entries: Vec<HostEntry>,
    questions: HashMap<u32, Question>,
    next: u32,
    /// Marks events of its sockets.
    tag: u64,
    answers: VecDeque<(u32, Verdict)>,
}

impl Resolver {
    /// One that knows `entries` and asks `servers`. Events of its sockets are named `tag` and a number.
    pub fn new(entries: Vec<HostEntry>, servers: Vec<SocketAddr>, tag: u64) -> Self {
        let (questions, answers) = Default::default();
        Self { servers, entries, questions, next: 0, tag, answers }
    }

    /// Looks a name up for whoever has this number for it. [`next_answer`](Self::next_answer) tells, now or later.
    pub fn look_up(
        &mut self,
        maker: &Maker,
        epoll: BorrowedFd<'_>,
        number: u32,
        name: &str,
        family: Option<Family>,
    ) {
        let verdict = match self.known(maker, name, family) {
            Some(verdict) => verdict,
            None => match self.begin(epoll, number, name, family) {
                Ok(()) => return,
                Err(verdict) => verdict,
            },
        };
        self.answers.push_back((number, verdict));
    }

    /// What can be said without asking anybody.
    fn known(&self, maker: &Maker, name: &str, family: Option<Family>) -> Option<Verdict> {
        let of = |addresses: &[IpAddr]| {
            let is_meant = |ip: &&IpAddr| family == Some(if ip.is_ipv4() { Family::V4 } else { Family::V6 });
            Some(Verdict::Addresses(addresses.iter().filter(is_meant).copied().collect(), SAID_TTL))
        };
        if name == HOST_NAME {
            return of(&[IpAddr::V4(net::HOST)]);
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return of(&[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        let said: Vec<IpAddr> = (self.entries.iter())
            .filter(|entry| entry.name == name)
            .map(|entry| entry.address.unwrap_or(IpAddr::V4(net::HOST)))
            .collect();
        if !said.is_empty() {
            return of(&said);
        }
        if let Some(address) = maker.neighbour(name) {
            return of(&[IpAddr::V4(address)]);
        }
        if name.ends_with(".arpa") {
            return Some(Verdict::NoName);
        }
        if !maker.may_ask(name) || is_internal(name) {
            return Some(Verdict::NoName);
        }
        // Of other kinds there is nothing to know.
        if family.is_none() { of(&[]) } else { None }
    }

    fn begin(
        &mut self,
        epoll: BorrowedFd<'_>,
        of_asker: u32,
        name: &str,
        family: Option<Family>,
    ) -> Result<(), Verdict> {
        let family = family.ok_or(Verdict::Failed)?;
        if self.questions.len() >= MOST_QUESTIONS {
            return Err(Verdict::Failed);
        }
        let number = loop {
            self.next = self.next.wrapping_add(1);
            if !self.questions.contains_key(&self.next) {
                break self.next;
            }
        };
        let (name, mut tries) = (name.to_owned(), 0);
        let (server, socket, id) =
            self.send(epoll, number, &name, family, &mut tries).ok_or(Verdict::Failed)?;
        let (way, deadline) = (Way::Message(socket), self.deadline());
        let question = Question { number: of_asker, name, family, id, server, way, tries, deadline };
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
    pub fn ready(&mut self, maker: &mut Maker, epoll: BorrowedFd<'_>, number: u32) {
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
            Err(_) => return self.failed(maker, epoll, number),
        };
        let said = message::verdict(&message, question.id, &question.name, question.family);
        match (said, &question.way) {
            (Some(Verdict::Failed), _) | (None, Way::Stream(..)) => self.failed(maker, epoll, number),
            (Some(said), Way::Message(_)) if message::is_cut_short(&message) => {
                if let Err(said) = self.ask_for_all(epoll, number, said) {
                    self.learn(maker, number, said);
                }
            }
            (Some(said), _) => self.learn(maker, number, said),
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
    fn failed(&mut self, maker: &mut Maker, epoll: BorrowedFd<'_>, number: u32) {
        match self.questions.get(&number).map(|question| &question.way) {
            Some(Way::Stream(_, said)) => {
                let said = said.clone();
                self.learn(maker, number, said);
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
            None => self.answers.push_back((question.number, Verdict::Failed)),
        }
    }

    fn learn(&mut self, maker: &mut Maker, number: u32, verdict: Verdict) {
        let Some(question) = self.questions.remove(&number) else { return };
        let verdict = match verdict {
            Verdict::Addresses(addresses, ttl) => {
                Verdict::Addresses(maker.bind(&question.name, addresses), ttl)
            }
            other => other,
        };
        self.answers.push_back((question.number, verdict));
    }

    /// Asks others what was not answered in time.
    pub fn tick(&mut self, maker: &mut Maker, epoll: BorrowedFd<'_>, now: Instant) {
        let is_late = |(_, question): &(&u32, &Question)| question.deadline <= now;
        let late: Vec<u32> = self.questions.iter().filter(is_late).map(|(number, _)| *number).collect();
        late.into_iter().for_each(|number| self.failed(maker, epoll, number));
    }

    /// When [`tick`](Self::tick) is due.
    pub fn due(&self) -> Option<Instant> {
        self.questions.values().map(|question| question.deadline).min()
    }

    /// The next name that is known, or not, and whose number it has.
    pub fn next_answer(&mut self) -> Option<(u32, Verdict)> {
        self.answers.pop_front()
    }
}
