//! Connections of the guest, and what happens to their descriptors.
//!
//! ```text
//!  open ──► asked ──the broker has a socket for it──► connecting ──writable──► connected ──► closed
//!                └──one that stands at once──────────────────────────────────────┘
//!  listener readable ──► accepted by the host ──► accepted by the guest
//!
//!  to a partition: asked ──► calling ──its proxy says that its guest accepts──► connected
//!  from one:       offered ──the guest accepts, and it is told────────────────► connected
//!
//!  AF_VSOCK, to the host:  asked ──► connected
//!  from it:                greeting ──"CONNECT PORT"──► offered
//! ```
//!
//! No socket is made here but those that are accepted. A connection to the nameserver ends here, and one of a UDP socket in [`datagrams`](crate::datagrams).
//!
//! One epoll instance knows all descriptors, each from its beginning to its end, by edges: a descriptor that is ready is told once, and the
//! device reads or writes it until it would block.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, SocketFlags, acceptfrom_with, getpeername, getsockname, recv, send, sockopt,
};
use rustix::process::Uid;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use septum_abi::net::{self, Answer, CARRIER, Kind, LABEL, LONGEST_MESSAGE, Preamble};
use septum_api_types::network::Protocol;
use septum_devices::virtio::vsock::{FromGuest, HostSide, News, Opened, Refused, Request, StreamId, ToGuest};

use crate::asking::{Answered, Asking};
use crate::connections::{Connections, Counted};
use crate::datagrams::{Datagrams, Sent};
use crate::names::{Asker, Carrier, Questions, Verdict};
use crate::neighbours::ACCEPTED;
use crate::ports::{Door, Inside, Listener};
use crate::requests::{Answer as FromBroker, Kind as About, Request as ToBroker, State};
use crate::{resets, vsock};

/// Events that are taken at once.
const MOST_EVENTS: usize = 256;
/// Connections that are accepted at once.
const MOST_ACCEPTED: usize = 64;
/// How long a listener rests for whose connections there are no descriptors.
const REST: Duration = Duration::from_millis(100);
/// How often is looked for what is idle.
const TIDYING: Duration = Duration::from_secs(10);
/// How long a peer may take nothing of what the guest had sent before it closed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose an event is: the upper half of its name. The lower is a number.
mod tag {
    pub const STREAM: u64 = 0;
    pub const LISTENER: u64 = 1 << 32;
    pub const PUBLISHED: u64 = 2 << 32;
    pub const PEER: u64 = 3 << 32;
    pub const TIMER: u64 = 4 << 32;
    pub const NEWS: u64 = 5 << 32;
    pub const BROKER: u64 = 6 << 32;
    pub const MASK: u64 = !0 << 32;
}

/// A peer that has no address.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(net::HOST), 0);

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// The host connects it.
    Connecting,
    /// It is connected to another partition, which accepts or not.
    Calling,
    /// A program of the host has yet to say which port it wants.
    Greeting,
    /// Whoever connected waits for our guest to accept it, and is told this then.
    Offered(Vec<u8>),
    /// Both may send.
    Connected,
}

struct Stream {
    file: File,
    phase: Phase,
    peer: SocketAddr,
    /// Of another partition: whether it has been reset there.
    neighbour: Option<bool>,
    _counted: Counted,
}

/// The host's side of the socket device.
pub struct Proxy {
    epoll: OwnedFd,
    broker: Asking,
    streams: HashMap<StreamId, Stream>,
    /// Connections for which the broker has yet to find a socket, and to whom they are.
    asked: HashMap<StreamId, SocketAddr>,
    connections: Arc<Connections>,
    next: StreamId,
    listeners: Vec<Listener>,
    /// Whose partitions may come to exposed ports.
    user: Uid,
    /// Ports that callers seem to have.
    next_caller: u16,
    datagrams: Datagrams,
    names: Questions,
    /// Connections to the nameserver.
    carriers: HashMap<StreamId, Carrier>,
    /// What the guest has closed, and since when its peer takes nothing of what was sent before.
    closing: HashMap<StreamId, Instant>,
    /// Listeners for whose connections there are no descriptors, and when to try again.
    resting: Vec<usize>,
    resume_at: Option<Instant>,
    /// When to look for what is idle.
    tidy_at: Option<Instant>,
    /// Rings when something of that is due, or names are.
    timer: OwnedFd,
    due: Option<Instant>,
    /// What is to be told the next time, and what makes that come.
    later: Vec<News>,
    has_news: OwnedFd,
    message: Vec<u8>,
}

fn refused(errno: Errno) -> Refused {
    let errno = u16::try_from(errno.raw_os_error()).unwrap_or(111);
    Refused(Answer { errno, peer: None, seen: None }.to_bytes().to_vec())
}

fn address(name: Result<rustix::net::SocketAddrAny, Errno>) -> Option<SocketAddr> {
    SocketAddr::try_from(name.ok()?).ok()
}

/// A peer as the guest sees it. Programs of the host are the host's: 127.0.0.1 would be itself.
pub(crate) fn shown(peer: SocketAddr) -> SocketAddr {
    let ip = peer.ip().to_canonical();
    SocketAddr::new(if ip.is_loopback() { IpAddr::V4(net::HOST) } else { ip }, peer.port())
}

impl Proxy {
    /// A proxy that asks a broker for what its guest wants to reach, and leads into the guest what comes to its ports.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(inside: Inside) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (published, listeners): (Vec<_>, Vec<_>) =
            inside.listeners.into_iter().partition(Listener::has_messages);
        for (listener, name) in listeners.iter().zip(tag::LISTENER..) {
            epoll::add(&epoll, &listener.socket, EventData::new_u64(name), EventFlags::IN)?;
        }
        for (listener, name) in published.iter().zip(tag::PUBLISHED..) {
            epoll::add(&epoll, &listener.socket, EventData::new_u64(name), EventFlags::IN | EventFlags::ET)?;
        }
        let broker = Asking::new(inside.broker);
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&epoll, broker.socket(), EventData::new_u64(tag::BROKER), flags)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, EventData::new_u64(tag::TIMER), EventFlags::IN | EventFlags::ET)?;
        let has_news = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &has_news, EventData::new_u64(tag::NEWS), EventFlags::IN | EventFlags::ET)?;
        Ok(Self {
            epoll,
            broker,
            streams: HashMap::new(),
            asked: HashMap::new(),
            connections: Arc::default(),
            next: 0,
            listeners,
            user: rustix::process::geteuid(),
            next_caller: 0,
            datagrams: Datagrams::new(published, tag::PEER),
            names: Questions::default(),
            carriers: HashMap::new(),
            closing: HashMap::new(),
            resting: Vec::new(),
            resume_at: None,
            tidy_at: None,
            timer,
            due: None,
            later: Vec::new(),
            has_news,
            message: vec![0; LABEL + LONGEST_MESSAGE],
        })
    }

    /// How many connections there are, and were.
    #[must_use]
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// A name for a connection.
    fn new_name(&mut self) -> StreamId {
        loop {
            self.next = self.next.wrapping_add(1);
            let name = self.next;
            let is_taken = self.streams.contains_key(&name)
                || self.asked.contains_key(&name)
                || self.carriers.contains_key(&name)
                || self.datagrams.has(name);
            if !is_taken {
                return name;
            }
        }
    }

    /// Has the device ask for news.
    fn tell_later(&mut self, news: News) {
        self.later.push(news);
        self.wake();
    }

    fn wake(&self) {
        // It can only fail when it is full, and then it is readable anyway.
        let _ = rustix::io::write(&self.has_news, &1_u64.to_ne_bytes());
    }

    /// Hands out what the nameserver has answered.
    fn hand_out_answers(&mut self) {
        while let Some((Asker { stream, protocol }, message)) = self.names.next_answer() {
            match (protocol, self.carriers.get_mut(&stream)) {
                (Protocol::Udp, _) => self.datagrams.answer(stream, message),
                (Protocol::Tcp, Some(carrier)) => carrier.answer(&message),
                (Protocol::Tcp, None) => continue,
            }
            self.tell_later(News::Readable(stream));
        }
    }

    fn set_timer(&self, due: Option<Instant>) {
        let left = due.map_or(Duration::ZERO, |due| {
            due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1))
        });
        let it_value = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // The descriptor is a timer, and the time one: it cannot fail.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }

    fn ask(&mut self, stream: StreamId, protocol: Protocol, message: &[u8]) {
        if let Some((number, request)) = self.names.ask(Asker { stream, protocol }, message) {
            self.ask_broker(number, &request);
        }
    }

    fn ask_broker(&mut self, number: u32, request: &ToBroker) {
        if !self.broker.ask(number, request) {
            self.wake();
        }
    }

    /// Takes a socket in, under a name of its own.
    fn add(&mut self, socket: OwnedFd, phase: Phase, peer: SocketAddr) -> Result<StreamId, Errno> {
        let stream = self.new_name();
        self.add_as(stream, socket, phase, peer)?;
        Ok(stream)
    }

    /// Takes a socket in. It may be ready from the beginning, which the first edge tells.
    fn add_as(
        &mut self,
        stream: StreamId,
        socket: OwnedFd,
        phase: Phase,
        peer: SocketAddr,
    ) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &socket, EventData::new_u64(tag::STREAM | u64::from(stream)), flags)?;
        let _counted = self.connections.open();
        let is_neighbour = match &phase {
            Phase::Calling => true,
            Phase::Offered(word) => *word == [ACCEPTED],
            Phase::Connecting | Phase::Greeting | Phase::Connected => false,
        };
        let neighbour = is_neighbour.then_some(false);
        self.streams.insert(stream, Stream { file: File::from(socket), phase, peer, neighbour, _counted });
        Ok(())
    }

    fn stream(&mut self, stream: StreamId) -> io::Result<&mut Stream> {
        self.streams.get_mut(&stream).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn open_stream(&mut self, peer: SocketAddr) -> Opened {
        if peer == SocketAddr::new(IpAddr::V4(net::NAMESERVER), net::NAMES_PORT) {
            let stream = self.new_name();
            self.carriers.insert(stream, Carrier::default());
            let answer = Answer { errno: 0, peer: Some(peer), seen: None };
            return Opened { stream, answer: Some(answer.to_bytes().to_vec()) };
        }
        self.ask_for(peer, &ToBroker::Connect(peer))
    }

    /// Has the broker find a socket for a connection to `peer`.
    fn ask_for(&mut self, peer: SocketAddr, request: &ToBroker) -> Opened {
        let stream = self.new_name();
        self.asked.insert(stream, peer);
        self.ask_broker(stream, request);
        Opened { stream, answer: None }
    }

    /// A program of the host says which port it wants.
    fn greeted(&mut self, id: StreamId, news: &mut Vec<News>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match vsock::read_greeting(&stream.file) {
            Ok(Some(port)) => {
                stream.phase = Phase::Offered(format!("OK {id}\n").into_bytes());
                self.closing.remove(&id);
                news.push(News::Incoming { stream: id, port, carries_messages: false, contents: Vec::new() });
            }
            Ok(None) => {}
            Err(_) => {
                self.streams.remove(&id);
                self.closing.remove(&id);
            }
        }
    }

    /// A descriptor that was connecting is ready: how it went.
    fn connected(&mut self, id: StreamId, news: &mut Vec<News>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let result = match &stream.phase {
            Phase::Connecting => connected_by_host(&stream.file),
            Phase::Calling => connected_by_neighbour(&stream.file),
            Phase::Greeting | Phase::Offered(_) | Phase::Connected => None,
        };
        match result {
            None => {}
            Some(Ok(())) => {
                let is_inet = stream.phase == Phase::Connecting;
                stream.phase = Phase::Connected;
                let seen = if is_inet { address(getsockname(&stream.file)) } else { None };
                let answer = Answer { errno: 0, peer: Some(stream.peer), seen };
                news.push(News::Accepted(id, answer.to_bytes().to_vec()));
            }
            Some(Err(error)) => self.refuse(id, error, news),
        }
    }

    fn refuse(&mut self, id: StreamId, error: Errno, news: &mut Vec<News>) {
        if self.streams.remove(&id).is_some() {
            let Refused(contents) = refused(error);
            news.push(News::Refused(id, contents));
        }
    }

    /// The broker has answered.
    fn hear_answers(&mut self, news: &mut Vec<News>) {
        while let Some(Answered { kind, number, answer, socket }) = self.broker.next_answer() {
            match kind {
                About::Connect | About::Dial => self.found(number, kind, answer, socket, news),
                About::Exchange => {
                    let socket = match (answer, socket) {
                        (FromBroker::Refused(error), _) => Err(error),
                        (FromBroker::Socket(state), Some(socket)) => Ok((socket, state)),
                        _ => Err(Errno::CONNREFUSED),
                    };
                    self.datagrams.found(self.epoll.as_fd(), number, socket, news);
                    self.need_tidying();
                }
                About::LookUp => {
                    let verdict =
                        if let FromBroker::Found(verdict) = answer { verdict } else { Verdict::Failed };
                    self.names.answered(number, &verdict);
                }
            }
        }
        self.hand_out_answers();
    }

    /// There is a socket for a connection, or none.
    fn found(
        &mut self,
        id: StreamId,
        kind: About,
        answer: FromBroker,
        socket: Option<OwnedFd>,
        news: &mut Vec<News>,
    ) {
        // The guest may have closed it meanwhile.
        let Some(peer) = self.asked.remove(&id) else { return };
        let result = match (answer, socket) {
            (FromBroker::Socket(state), Some(socket)) => {
                let (phase, answer) = match state {
                    State::Connecting => (Phase::Connecting, None),
                    State::Calling => (Phase::Calling, None),
                    State::Connected if kind == About::Dial => {
                        (Phase::Connected, Some(Answer { errno: 0, peer: None, seen: None }))
                    }
                    State::Connected => {
                        let seen = address(getsockname(&socket));
                        (Phase::Connected, Some(Answer { errno: 0, peer: Some(peer), seen }))
                    }
                };
                self.add_as(id, socket, phase, peer).map(|()| answer)
            }
            (FromBroker::Refused(error), _) => Err(error),
            _ => Err(Errno::CONNREFUSED),
        };
        match result {
            Ok(Some(answer)) => news.push(News::Accepted(id, answer.to_bytes().to_vec())),
            Ok(None) => {}
            Err(error) => news.push(News::Refused(id, refused(error).0)),
        }
    }

    /// A message of a UDP socket of the guest.
    fn send_message(&mut self, stream: StreamId, from: &mut FromGuest<'_, '_>) -> io::Result<usize> {
        let mut message = std::mem::take(&mut self.message);
        let copied = from.copy_to(&mut message);
        let sent = copied.and_then(|len| {
            let bytes = message.get(..len).unwrap_or_default();
            match self.datagrams.send(stream, bytes)? {
                Sent::Done => self.need_tidying(),
                Sent::Wanted(number, place) => self.ask_broker(number, &ToBroker::Exchange(place)),
                Sent::HasReply => self.tell_later(News::Readable(stream)),
                Sent::Question => {
                    self.ask(stream, Protocol::Udp, bytes.get(LABEL..).unwrap_or_default());
                    self.hand_out_answers();
                }
            }
            Ok(len)
        });
        self.message = message;
        sent
    }

    /// Somebody connects to a published or exposed port.
    fn accept(&mut self, listener: usize, news: &mut Vec<News>) {
        for _ in 0..MOST_ACCEPTED {
            let Some(Listener { socket, guest_port, door, protocol }) = self.listeners.get(listener) else {
                return;
            };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (socket, peer) = match acceptfrom_with(socket, flags) {
                Ok(accepted) => accepted,
                // Whoever it was is gone.
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(Errno::AGAIN) => return,
                Err(_) => return self.rest(listener),
            };
            let (own, door, protocol) =
                (SocketAddr::new(IpAddr::V4(net::GUEST), *guest_port), *door, *protocol);
            if door == Door::Vsock {
                if let Ok(stream) = self.add(socket, Phase::Greeting, NOBODY) {
                    // Whoever says nothing for long is let go.
                    self.closing.insert(stream, Instant::now());
                    self.need_tidying();
                }
                continue;
            }
            let (peer, phase) = if door == Door::Exposed {
                if !is_users(self.user, &socket) {
                    continue;
                }
                // As many as there are: programs tell their clients apart by their ports.
                self.next_caller = self.next_caller.wrapping_add(1).max(1024);
                let caller = SocketAddr::new(IpAddr::V4(net::NEIGHBOUR), self.next_caller);
                if protocol == Protocol::Udp {
                    self.datagrams.called(self.epoll.as_fd(), own.port(), caller, socket);
                    self.need_tidying();
                    continue;
                }
                (caller, Phase::Offered(vec![ACCEPTED]))
            } else {
                let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) else { continue };
                (peer, Phase::Connected)
            };
            let preamble = Preamble { kind: Kind::Stream, peer: Some(shown(peer)), own: Some(own) };
            if let Ok(stream) = self.add(socket, phase, peer) {
                let contents = preamble.to_bytes().to_vec();
                news.push(News::Incoming { stream, port: CARRIER, carries_messages: false, contents });
            }
        }
    }

    /// There are no descriptors for those who wait at a listener: it is looked at again after a while. The host keeps them meanwhile.
    fn rest(&mut self, listener: usize) {
        self.listen(listener, EventFlags::empty());
        self.resting.push(listener);
        self.resume_at.get_or_insert_with(|| Instant::now() + REST);
        self.schedule();
    }

    fn listen(&self, listener: usize, flags: EventFlags) {
        let Some(Listener { socket, .. }) = self.listeners.get(listener) else { return };
        let Ok(number) = u64::try_from(listener) else { return };
        // It is known to it, and changing what it is watched for takes no memory.
        let _ = epoll::modify(&self.epoll, socket, EventData::new_u64(tag::LISTENER | number), flags);
    }

    /// What is to be done at certain times.
    fn tick(&mut self, now: Instant, news: &mut Vec<News>) {
        if self.resume_at.is_some_and(|at| at <= now) {
            self.resume_at = None;
            for listener in std::mem::take(&mut self.resting) {
                self.listen(listener, EventFlags::IN);
            }
        }
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy_at = None;
            self.datagrams.sweep(now);
            let late = self.closing.extract_if(|_, since| now.duration_since(*since) >= PATIENCE);
            for (stream, _) in late {
                if self.streams.get(&stream).is_some_and(|stream| stream.phase == Phase::Greeting) {
                    self.streams.remove(&stream);
                } else {
                    news.push(News::Broken(stream));
                }
            }
            self.need_tidying();
        }
        self.schedule();
    }

    /// Has things tidied up after a while, as long as there are any.
    fn need_tidying(&mut self) {
        if self.tidy_at.is_none() && !(self.closing.is_empty() && self.datagrams.is_idle()) {
            self.tidy_at = Some(Instant::now() + TIDYING);
            self.schedule();
        }
    }

    /// Sets the timer to what is due first.
    fn schedule(&mut self) {
        let due = [self.resume_at, self.tidy_at].into_iter().flatten().min();
        if due != self.due {
            self.due = due;
            self.set_timer(due);
        }
    }
}

/// Whether whoever connected is the user whose partitions these are, or root. The folder lets nobody else in.
fn is_users(own: Uid, socket: &OwnedFd) -> bool {
    // Both are told as our user namespace has them, in which nobody else is.
    sockopt::socket_peercred(socket).is_ok_and(|theirs| theirs.uid.is_root() || theirs.uid == own)
}

/// How it went with a socket that the host connects; `None` if that is not decided.
fn connected_by_host(socket: &File) -> Option<Result<(), Errno>> {
    match sockopt::socket_error(socket) {
        Ok(Ok(())) if getpeername(socket).is_err() => None,
        Ok(Ok(())) => Some(Ok(())),
        Ok(Err(error)) | Err(error) => Some(Err(error)),
    }
}

/// The same with one that the supervisor connects to another partition.
fn connected_by_neighbour(socket: &File) -> Option<Result<(), Errno>> {
    let mut first = [0];
    match recv(socket, &mut first[..], RecvFlags::DONTWAIT) {
        Ok((1, _)) if first == [ACCEPTED] => Some(Ok(())),
        // It is not connected yet, or not accepted.
        Err(Errno::AGAIN | Errno::INTR | Errno::INVAL | Errno::NOTCONN) => None,
        // Nobody listens there.
        Ok(_) | Err(_) => Some(Err(Errno::CONNREFUSED)),
    }
}

impl HostSide for Proxy {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    fn happened(&mut self, news: &mut Vec<News>) {
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; MOST_EVENTS];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        // What is not told now, because it was interrupted, is told the next time.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut events[..], Some(&now)) else { return };
        for event in &*events {
            let (name, flags) = (event.data.u64(), event.flags);
            let number = u32::try_from(name & !tag::MASK).unwrap_or(u32::MAX);
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            match name & tag::MASK {
                tag::STREAM => {}
                tag::LISTENER => {
                    self.accept(index, news);
                    continue;
                }
                tag::PUBLISHED => {
                    self.datagrams.published_ready(index, news);
                    continue;
                }
                tag::PEER => {
                    self.datagrams.peer_ready(number, news);
                    continue;
                }
                tag::TIMER => {
                    self.due = None;
                    self.tick(Instant::now(), news);
                    continue;
                }
                tag::BROKER => {
                    self.broker.send();
                    self.hear_answers(news);
                    continue;
                }
                _ => {
                    self.hear_answers(news);
                    continue;
                }
            }
            let stream = number;
            let is_begun = |stream: &Stream| matches!(stream.phase, Phase::Connecting | Phase::Calling);
            if self.streams.get(&stream).is_some_and(|stream| stream.phase == Phase::Greeting) {
                self.greeted(stream, news);
                continue;
            }
            if self.streams.get(&stream).is_some_and(is_begun) {
                self.connected(stream, news);
                continue;
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
                news.push(News::Readable(stream));
            }
            if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
                news.push(News::Writable(stream));
            }
        }
        news.append(&mut self.later);
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Opened, Refused> {
        if request.port != CARRIER && !request.carries_messages {
            return Ok(self.ask_for(NOBODY, &ToBroker::Dial(request.port)));
        }
        let preamble = Preamble::from_bytes(request.contents).map_err(|_| refused(Errno::PROTO))?;
        match (request.port, preamble.kind, preamble.peer, request.carries_messages) {
            (CARRIER, Kind::Stream, Some(peer), false) => Ok(self.open_stream(peer)),
            (CARRIER, Kind::Datagram, _, true) => {
                let stream = self.new_name();
                self.datagrams.open(stream, preamble.own.map_or(0, |own| own.port()));
                let answer = Answer { errno: 0, peer: None, seen: None };
                Ok(Opened { stream, answer: Some(answer.to_bytes().to_vec()) })
            }
            _ => Err(refused(Errno::PROTO)),
        }
    }

    fn write(&mut self, stream: StreamId, from: &mut FromGuest<'_, '_>) -> io::Result<usize> {
        if self.datagrams.has(stream) {
            return self.send_message(stream, from);
        }
        if let Some(carrier) = self.carriers.get_mut(&stream) {
            let len = carrier.take(from)?;
            while let Some(question) = self.carriers.get_mut(&stream).and_then(Carrier::next_question) {
                self.ask(stream, Protocol::Tcp, &question);
            }
            self.hand_out_answers();
            return Ok(len);
        }
        if from.is_empty() {
            return Ok(0);
        }
        let written = from.write_to(&mut self.stream(stream)?.file);
        if !self.closing.is_empty()
            && written.as_ref().is_ok_and(|len| *len > 0)
            && let Some(since) = self.closing.get_mut(&stream)
        {
            *since = Instant::now();
        }
        written
    }

    fn read(&mut self, stream: StreamId, to: &mut ToGuest<'_, '_>) -> io::Result<usize> {
        if self.datagrams.has(stream) {
            return self.datagrams.receive(stream, to);
        }
        if let Some(carrier) = self.carriers.get_mut(&stream) {
            return carrier.give(to);
        }
        let stream = self.stream(stream)?;
        if let Some(was_reset) = &mut stream.neighbour {
            *was_reset |= resets::is_told(&stream.file);
        }
        let len = to.read_from(&mut stream.file)?;
        let is_over = len == 0 && stream.neighbour == Some(true);
        if is_over { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(len) }
    }

    fn finish(&mut self, stream: StreamId) {
        if let Some(carrier) = self.carriers.get_mut(&stream) {
            carrier.finish();
            self.tell_later(News::Readable(stream));
            return;
        }
        if let Ok(stream) = self.stream(stream) {
            // A peer that is gone already need not be told.
            let _ = rustix::net::shutdown(&stream.file, rustix::net::Shutdown::Write);
        }
    }

    fn accepted(&mut self, stream: StreamId) {
        if let Some(stream) = self.streams.get_mut(&stream)
            && let Phase::Offered(word) = std::mem::replace(&mut stream.phase, Phase::Connected)
        {
            // Nothing was sent before it: there is room. A peer that is gone is noticed by what follows.
            let _ = send(&stream.file, &word, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }

    fn closing(&mut self, stream: StreamId) {
        self.closing.insert(stream, Instant::now());
        self.need_tidying();
    }

    fn close(&mut self, stream: StreamId, is_reset: bool) {
        self.closing.remove(&stream);
        self.asked.remove(&stream);
        let Some(stream) = self.streams.remove(&stream) else {
            self.datagrams.close(stream);
            self.carriers.remove(&stream);
            self.names.forget(stream);
            return;
        };
        if is_reset && stream.neighbour.is_some() {
            resets::tell(&stream.file);
        } else if is_reset {
            // It is closed all the same, only less rudely.
            let _ = sockopt::set_socket_linger(&stream.file, Some(Duration::ZERO));
        }
    }

    fn close_all(&mut self) {
        self.streams.clear();
        self.asked.clear();
        self.closing.clear();
        self.carriers.clear();
        self.datagrams.close_all();
        self.names.forget_all();
    }
}
