//! Makes a partition's sockets, in a process of its own.
//!
//! ```text
//!  worker                     Broker                                     host
//!  Proxy ──── requests ─────► requests, at most so many at a time
//!                             ├─ Maker: which rule allows it? ─────────► connects, without waiting
//!                             ├─ Resolver: whose name is it? ──────────► nameservers
//!                             ├─ Neighbours ───────────────────────────► supervisor, which connects
//!    ◄─── sockets, errors ────┘
//!    ◄─── messages of published UDP ports ──► Relay ───────────────────► those who have sent something
//! ```
//!
//! The worker may have been taken over, and knows no other way out: it has a network of its own, with nothing in it, and can make no socket.
//! What it asks for is checked for its form and against the rules; it gets a socket that is connected, or that the host is connecting, and
//! can do nothing but read, write and close it. So the broker remembers no connection, and waits for none: one that leads nowhere costs the
//! worker a descriptor. Streams and the messages of connected sockets do not pass through here.
//!
//! What it has of the worker's: one request at a time, up to [`MOST_CALLS`] of which the supervisor has, 256 names that nameservers
//! are asked for, and answers to those for which the worker's socket has no room. While it has such answers, or so many calls, it takes no requests.

mod allowance;
mod maker;
mod relay;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use septum_api_types::network::{Network, Protocol};

pub(crate) use self::maker::Maker;

use self::allowance::Allowance;
use self::maker::Connecting;
use self::relay::Relay;
use crate::names::Resolver;
use crate::neighbours::{Refusal, send_with};
use crate::ports::Outside;
use crate::requests::{Answer, Kind, LONGEST_REQUEST, Request, State};

/// Whom to tell of what a person may want to know.
pub type Log = Box<dyn Fn(&str) + Send>;

/// Requests that are served before anybody else is.
const TURN: usize = 64;
/// Calls that the supervisor has.
const MOST_CALLS: usize = 1024;
/// How long a worker rests that has asked too much.
const REST: Duration = Duration::from_millis(5);
const MOST_EVENTS: usize = 64;

/// Whose an event is: the upper half of its name. The lower is a number.
mod tag {
    pub const WORKER: u64 = 0;
    pub const CALLS: u64 = 1 << 32;
    pub const QUESTION: u64 = 2 << 32;
    pub const PUBLISHED: u64 = 3 << 32;
    pub const REPLY: u64 = 4 << 32;
    pub const MASK: u64 = !0 << 32;
}

/// The worker said something that no proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What the supervisor was asked to connect.
enum Called {
    Neighbour { number: u32, name: std::sync::Arc<str>, port: u16, protocol: Protocol },
    Host { number: u32, port: u32 },
}

/// Serves one worker.
pub struct Broker {
    epoll: OwnedFd,
    worker: OwnedFd,
    maker: Maker,
    resolver: Resolver,
    relays: Vec<Relay>,
    calls: HashMap<u32, Called>,
    next_call: u32,
    /// Answers that the worker has no room for.
    waiting: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    allowance: Allowance,
    /// When a worker that has asked too much may ask again.
    resume_at: Option<Instant>,
    /// What the worker's socket is watched for.
    watched: EventFlags,
}

impl Broker {
    /// A broker for a partition with this network, which tells `log` what it refuses.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(network: &Network, outside: Outside, log: Log) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let maker = Maker::new(network, outside.supervisor, log);
        epoll::add(&epoll, &outside.worker, EventData::new_u64(tag::WORKER), EventFlags::IN)?;
        if let Some(socket) = maker.neighbours.socket() {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&epoll, socket, EventData::new_u64(tag::CALLS), flags)?;
        }
        let relays: Vec<_> = outside.published.into_iter().map(Relay::new).collect();
        for (relay, number) in relays.iter().zip(0..) {
            epoll::add(&epoll, &relay.socket, EventData::new_u64(tag::PUBLISHED | number), EventFlags::IN)?;
            epoll::add(&epoll, &relay.worker, EventData::new_u64(tag::REPLY | number), EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            worker: outside.worker,
            maker,
            resolver: Resolver::new(network.hosts.clone(), outside.nameservers, tag::QUESTION),
            relays,
            calls: HashMap::new(),
            next_call: 0,
            waiting: VecDeque::new(),
            allowance: Allowance::new(Instant::now()),
            resume_at: None,
            watched: EventFlags::IN,
        })
    }

    /// Serves until the worker is gone.
    ///
    /// # Errors
    /// It is not, and has said something that no proxy says.
    pub fn serve(mut self) -> Result<(), Malformed> {
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; MOST_EVENTS];
        loop {
            let due = [self.resolver.due(), self.resume_at].into_iter().flatten().min();
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let events = match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
                Ok((events, _)) => events,
                Err(Errno::INTR) => continue,
                // It is an epoll's descriptor, and the events are ours.
                Err(_) => return Err(Malformed),
            };
            for event in &*events {
                let name = event.data.u64();
                let number = u32::try_from(name & !tag::MASK).unwrap_or(u32::MAX);
                match name & tag::MASK {
                    tag::WORKER => {
                        if !self.hear(event.flags)? {
                            return Ok(());
                        }
                    }
                    tag::CALLS => self.maker.neighbours.send(),
                    tag::QUESTION => self.resolver.ready(&mut self.maker, self.epoll.as_fd(), number),
                    tag::PUBLISHED => {
                        if let Some(relay) = self.relay(number) {
                            relay.receive();
                        }
                    }
                    _ => self.reply(number)?,
                }
            }
            self.resolver.tick(&mut self.maker, self.epoll.as_fd(), Instant::now());
            self.pass_on();
            self.watch();
        }
    }

    fn relay(&mut self, number: u32) -> Option<&mut Relay> {
        self.relays.get_mut(usize::try_from(number).ok()?)
    }

    fn reply(&mut self, number: u32) -> Result<(), Malformed> {
        let Some(relay) = usize::try_from(number).ok().and_then(|number| self.relays.get_mut(number)) else {
            return Ok(());
        };
        if !relay.reply()? {
            // Nobody listens any more. It is known to the epoll.
            let _ = epoll::delete(&self.epoll, &relay.worker);
            let _ = epoll::delete(&self.epoll, &relay.socket);
        }
        Ok(())
    }

    /// The worker's socket is ready; false if the worker is gone.
    fn hear(&mut self, flags: EventFlags) -> Result<bool, Malformed> {
        self.flush();
        if !flags.contains(EventFlags::IN) {
            return Ok(!flags.intersects(EventFlags::HUP | EventFlags::ERR));
        }
        let now = Instant::now();
        for _ in 0..TURN {
            if !self.waiting.is_empty() || self.calls.len() >= MOST_CALLS {
                break;
            }
            if !self.allowance.take(now) {
                self.resume_at = Some(now + REST);
                break;
            }
            // One byte more, so that what is too long is seen to be.
            let mut bytes = [0; LONGEST_REQUEST + 1];
            let len = match recv(&self.worker, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) if self.is_gone() => return Ok(false),
                Ok((len, _)) => len,
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => return Ok(false),
            };
            let request = bytes.get(..len).and_then(Request::from_bytes);
            let (number, request) = request.ok_or(Malformed)?;
            self.meet(number, request);
        }
        Ok(true)
    }

    /// Whether nobody is at the other end: an empty packet looks the same.
    fn is_gone(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut worker = [PollFd::new(&self.worker, PollFlags::empty())];
        poll(&mut worker, Some(&now)).is_ok() && worker[0].revents().contains(PollFlags::HUP)
    }

    /// Does what is wanted, or begins it.
    fn meet(&mut self, number: u32, request: Request) {
        let kind = request.kind();
        let result = match request {
            Request::LookUp(name, family) => {
                self.resolver.look_up(&self.maker, self.epoll.as_fd(), number, &name, family);
                return;
            }
            Request::Exchange(to) => return self.made(number, Protocol::Udp, self.maker.exchange(to)),
            Request::Connect(to) => return self.made(number, Protocol::Tcp, self.maker.connect(to)),
            Request::Dial(port) => match self.maker.dial(port) {
                Ok(()) => return self.call(Called::Host { number, port }),
                Err(error) => Err(error),
            },
        };
        self.answer(kind, number, result);
    }

    /// Passes on what the maker has, or has the supervisor connect.
    fn made(&mut self, number: u32, protocol: Protocol, made: Result<Connecting, Errno>) {
        let result = match made {
            Ok(Connecting::Socket(socket, state)) => Ok((socket, state)),
            Ok(Connecting::Neighbour(name, port)) => {
                return self.call(Called::Neighbour { number, name, port, protocol });
            }
            Err(error) => Err(error),
        };
        self.answer(kind_of(protocol), number, result);
    }

    fn answer(&mut self, kind: Kind, number: u32, result: Result<(OwnedFd, State), Errno>) {
        let (answer, socket) = match result {
            Ok((socket, state)) => (Answer::Socket(state), Some(socket)),
            Err(error) => (Answer::Refused(error), None),
        };
        self.tell(answer.to_bytes(kind, number), socket);
    }

    fn tell(&mut self, packet: Vec<u8>, socket: Option<OwnedFd>) {
        self.waiting.push_back((packet, socket));
        self.flush();
    }

    /// Sends the worker what waits for it, as far as it has room.
    fn flush(&mut self) {
        while let Some((packet, socket)) = self.waiting.front() {
            let sent = send_with(&self.worker, packet, socket.as_ref().map(|socket| socket.as_fd()));
            if matches!(sent, Err(Errno::AGAIN | Errno::INTR)) {
                return;
            }
            let about = Answer::from_bytes(packet).map(|(kind, number, _)| (kind, number));
            let had_socket = socket.is_some();
            self.waiting.pop_front();
            // Too many descriptors are on their way to processes of this user. A worker that is gone is noticed soon enough.
            if let (Err(Errno::TOOMANYREFS | Errno::NOBUFS), Some((kind, number)), true) =
                (sent, about, had_socket)
            {
                self.waiting.push_front((Answer::Refused(Errno::MFILE).to_bytes(kind, number), None));
            }
        }
    }

    fn call(&mut self, called: Called) {
        while self.calls.contains_key(&self.next_call) {
            self.next_call = self.next_call.wrapping_add(1);
        }
        let number = self.next_call;
        let (name, port, protocol) = match &called {
            Called::Neighbour { name, port, protocol, .. } => (&**name, u32::from(*port), *protocol),
            Called::Host { port, .. } => ("", *port, Protocol::Tcp),
        };
        self.maker.neighbours.call(number, name, port, protocol);
        self.calls.insert(number, called);
    }

    fn refuse(&mut self, called: &Called, why: Refusal) {
        match called {
            Called::Neighbour { number, name, port, protocol } => {
                self.maker.tell_of_neighbour(name, *port, *protocol, why);
                self.answer(kind_of(*protocol), *number, Err(Errno::CONNREFUSED));
            }
            Called::Host { number, port } => {
                self.maker.tell_of_vsock(*port, why);
                self.answer(Kind::Dial, *number, Err(Errno::CONNRESET));
            }
        }
    }

    /// Tells the worker what the supervisor and nameservers have said.
    fn pass_on(&mut self) {
        while let Some((number, how)) = self.maker.neighbours.next_answer() {
            let Some(called) = self.calls.remove(&number) else { continue };
            match (how, &called) {
                (Err(why), called) => self.refuse(called, why),
                (Ok(socket), Called::Neighbour { number, protocol, .. }) => {
                    self.answer(kind_of(*protocol), *number, Ok((socket, State::Calling)));
                }
                (Ok(socket), Called::Host { number, .. }) => {
                    self.answer(Kind::Dial, *number, Ok((socket, State::Connected)));
                }
            }
        }
        while let Some((number, verdict)) = self.resolver.next_answer() {
            self.tell(Answer::Found(verdict).to_bytes(Kind::LookUp, number), None);
        }
    }

    /// Watches the worker's socket for what can be done with it.
    fn watch(&mut self) {
        if self.resume_at.is_some_and(|at| at <= Instant::now()) {
            self.resume_at = None;
        }
        let wanted = match (self.waiting.is_empty(), self.resume_at) {
            (false, _) => EventFlags::OUT,
            (true, Some(_)) => EventFlags::empty(),
            (true, None) if self.calls.len() >= MOST_CALLS => EventFlags::empty(),
            (true, None) => EventFlags::IN,
        };
        if wanted != self.watched {
            self.watched = wanted;
            // It is known to it, and changing what it is watched for takes no memory.
            let _ = epoll::modify(&self.epoll, &self.worker, EventData::new_u64(tag::WORKER), wanted);
        }
    }
}

/// What asks for a way by this protocol.
fn kind_of(protocol: Protocol) -> Kind {
    match protocol {
        Protocol::Tcp => Kind::Connect,
        Protocol::Udp => Kind::Exchange,
    }
}

#[cfg(test)]
mod tests;
