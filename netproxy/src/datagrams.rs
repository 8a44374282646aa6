//! UDP: messages of the guest's sockets, each of which is one connection that carries all of its messages.
//!
//! ```text
//!                        ┌─► nameserver                       answered by `names`
//! guest's socket ── stream ─► socket of the host for a peer   connected, so that only the peer's messages come back, and its refusals
//!                        ├─► published port's packets         to those who have sent something to it (broker::relay)
//!                        └─► another partition                 a Unix socket of packets, each a message behind one byte
//! ```
//!
//! Who sends to an exposed port comes as a connection, and is a peer of the socket that has the port; if none has, it is closed with what it
//! said unread, and that is what a refusal looks like to the other side. A peer that has only ended is asked for anew by the next message.
//!
//! Messages are lost where a network would lose them: for want of room, at the guest or on the host.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::{Errno, readv};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use septum_abi::net::{self, LABEL, LONGEST_MESSAGE, Label};
use septum_devices::virtio::vsock::{News, StreamId, ToGuest};

use crate::ports::Listener;
use crate::requests::State;

/// Peers of all sockets of the guest, and of one.
const MOST_PEERS: usize = 1024;
const MOST_PEERS_OF_ONE: usize = 256;
/// A peer of whom nothing is heard or said for so long gives its place to another.
const IDLE: Duration = Duration::from_secs(120);
/// Messages that wait for the broker to make a socket for their peer.
const MOST_WAITING: usize = 64;
/// Messages of the proxy itself that wait for the guest.
const MOST_REPLIES: usize = 256;
/// Before a message between partitions: an empty packet would look like the end.
const FRAME: u8 = 0;
/// Senders to published ports who can be answered.
const MOST_SENDERS: usize = 1024;

/// Something to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ready {
    Peer(u32),
    Published(usize),
}

struct Peer {
    stream: StreamId,
    place: SocketAddr,
    socket: ToPeer,
    used: Instant,
    /// It has come to an exposed port.
    is_caller: bool,
}

enum ToPeer {
    /// The broker was asked for it.
    Asked(Vec<Vec<u8>>),
    Open(OwnedFd),
    /// Another partition's.
    Framed(OwnedFd),
}

/// A socket of the guest.
#[derive(Default)]
struct Socket {
    port: u16,
    peers: HashMap<SocketAddr, u32>,
    ready: VecDeque<Ready>,
    is_ready: HashSet<Ready>,
    replies: VecDeque<(Label, Vec<u8>)>,
    /// Who sent to its published port: what the guest calls them, the port's socket, and who they are.
    senders: HashMap<SocketAddr, (usize, SocketAddr)>,
    order: VecDeque<SocketAddr>,
}

impl Socket {
    fn set_ready(&mut self, what: Ready) {
        if self.is_ready.insert(what) {
            self.ready.push_back(what);
        }
    }

    fn reply(&mut self, label: Label, message: Vec<u8>) {
        if self.replies.len() < MOST_REPLIES {
            self.replies.push_back((label, message));
        }
    }

    fn remember(&mut self, shown: SocketAddr, listener: usize, real: SocketAddr) {
        if self.senders.insert(shown, (listener, real)).is_none() {
            self.order.push_back(shown);
        }
        if self.senders.len() > MOST_SENDERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.senders.remove(&oldest);
        }
    }
}

/// What is to be done with a message of the guest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing more.
    Done,
    /// The broker is to be asked for a socket for this place, by this number; it waits meanwhile.
    Wanted(u32, SocketAddr),
    /// The guest has something to read.
    HasReply,
    /// It is a question for the nameserver, behind its label.
    Question,
}

/// All UDP sockets of the guest.
pub(crate) struct Datagrams {
    sockets: HashMap<StreamId, Socket>,
    peers: HashMap<u32, Peer>,
    next: u32,
    /// Marks events of peers' sockets.
    tag: u64,
    published: Vec<Listener>,
    buffer: Vec<u8>,
}

/// Where the guest asks for names.
const NAMES: SocketAddr = SocketAddr::new(IpAddr::V4(net::NAMESERVER), net::NAMES_PORT);

fn number_of(error: Errno) -> u16 {
    u16::try_from(error.raw_os_error()).unwrap_or(111)
}

impl Datagrams {
    /// None yet; `published` are the host's sockets that lead to some.
    pub fn new(published: Vec<Listener>, tag: u64) -> Self {
        let (sockets, peers) = Default::default();
        Self { sockets, peers, next: 0, tag, published, buffer: vec![0; LABEL + LONGEST_MESSAGE] }
    }

    /// Whether this stream is one of them.
    pub fn has(&self, stream: StreamId) -> bool {
        self.sockets.contains_key(&stream)
    }

    /// The guest has made a socket with this port.
    pub fn open(&mut self, stream: StreamId, port: u16) {
        let mut socket = Socket { port, ..Socket::default() };
        for (index, listener) in self.published.iter().enumerate() {
            if listener.guest_port == port {
                socket.set_ready(Ready::Published(index));
            }
        }
        self.sockets.insert(stream, socket);
    }

    /// The guest has closed it.
    pub fn close(&mut self, stream: StreamId) {
        let Some(socket) = self.sockets.remove(&stream) else { return };
        socket.peers.values().for_each(|number| drop(self.peers.remove(number)));
    }

    /// All of them are closed.
    pub fn close_all(&mut self) {
        self.sockets.clear();
        self.peers.clear();
    }

    /// A peer has sent something, or is not there.
    pub fn peer_ready(&mut self, number: u32, news: &mut Vec<News>) {
        let Some(peer) = self.peers.get(&number) else { return };
        if let Some(socket) = self.sockets.get_mut(&peer.stream) {
            socket.set_ready(Ready::Peer(number));
            news.push(News::Readable(peer.stream));
        }
    }

    /// Somebody has sent something to a published port.
    pub fn published_ready(&mut self, index: usize, news: &mut Vec<News>) {
        let Some(listener) = self.published.get(index) else { return };
        let Some(stream) = self.socket_at(listener.guest_port) else { return };
        if let Some(socket) = self.sockets.get_mut(&stream) {
            socket.set_ready(Ready::Published(index));
            news.push(News::Readable(stream));
        }
    }

    /// An answer of the nameserver.
    pub fn answer(&mut self, stream: StreamId, message: Vec<u8>) {
        if let Some(socket) = self.sockets.get_mut(&stream) {
            socket.reply(Label { place: NAMES, errno: 0 }, message);
        }
    }

    /// A message of the guest, behind its label.
    ///
    /// # Errors
    /// It has no label.
    pub fn send(&mut self, stream: StreamId, message: &[u8]) -> io::Result<Sent> {
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let (label, message) = message.split_first_chunk::<LABEL>().ok_or_else(malformed)?;
        let place = Label::from_bytes(label).map_err(|_| malformed())?.place;
        if place == NAMES {
            return Ok(Sent::Question);
        }
        let Some(socket) = self.sockets.get_mut(&stream) else { return Ok(Sent::Done) };
        if let Some((index, real)) = socket.senders.get(&place)
            && let Some(listener) = self.published.get(*index)
        {
            // It may be lost, as on a network.
            let packet = [&Label { place: *real, errno: 0 }.to_bytes()[..], message].concat();
            let _ = send(&listener.socket, &packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            return Ok(Sent::Done);
        }
        let Some(number) = socket.peers.get(&place).copied() else {
            if place.ip() == net::NEIGHBOUR {
                // Whoever had come from there is gone.
                return Ok(Sent::Done);
            }
            return Ok(Sent::Wanted(self.add_peer(stream, place, message), place));
        };
        let Some(peer) = self.peers.get_mut(&number) else { return Ok(Sent::Done) };
        peer.used = Instant::now();
        match &mut peer.socket {
            ToPeer::Asked(waiting) => {
                if waiting.len() < MOST_WAITING {
                    waiting.push(message.to_vec());
                }
                Ok(Sent::Done)
            }
            ToPeer::Open(socket) => match send_to(socket, message) {
                Ok(()) => Ok(Sent::Done),
                Err(error) => {
                    self.tell_refusal(stream, place, error);
                    Ok(Sent::HasReply)
                }
            },
            ToPeer::Framed(socket) => match send_framed(socket, message) {
                Ok(()) => Ok(Sent::Done),
                // It has ended, and another may be there now; whoever called us is not to be called.
                Err(_) if peer.is_caller => Ok(Sent::Done),
                Err(_) => {
                    self.remove(vec![number]);
                    Ok(Sent::Wanted(self.add_peer(stream, place, message), place))
                }
            },
        }
    }

    fn tell_refusal(&mut self, stream: StreamId, place: SocketAddr, error: Errno) {
        if let Some(socket) = self.sockets.get_mut(&stream) {
            socket.reply(Label { place, errno: number_of(error) }, Vec::new());
        }
    }

    /// A peer for which the broker has yet to make a socket.
    fn add_peer(&mut self, stream: StreamId, place: SocketAddr, message: &[u8]) -> u32 {
        self.make_room(stream);
        let number = self.number();
        let socket = ToPeer::Asked(vec![message.to_vec()]);
        self.insert(number, Peer { stream, place, socket, used: Instant::now(), is_caller: false });
        number
    }

    fn insert(&mut self, number: u32, peer: Peer) {
        if let Some(socket) = self.sockets.get_mut(&peer.stream) {
            socket.peers.insert(peer.place, number);
        }
        self.peers.insert(number, peer);
    }

    /// Another partition has connected to an exposed port, and is called so. If no socket has the port, it is let go.
    pub fn called(&mut self, epoll: BorrowedFd<'_>, port: u16, place: SocketAddr, socket: OwnedFd) {
        let Some(stream) = self.socket_at(port) else { return };
        // Its number may have come round.
        let earlier = self.sockets.get(&stream).and_then(|socket| socket.peers.get(&place).copied());
        self.remove(earlier.into_iter().collect());
        self.make_room(stream);
        let number = self.number();
        let event = EventData::new_u64(self.tag | u64::from(number));
        if epoll::add(epoll, &socket, event, EventFlags::IN | EventFlags::ET).is_ok() {
            let socket = ToPeer::Framed(socket);
            self.insert(number, Peer { stream, place, socket, used: Instant::now(), is_caller: true });
        }
    }

    /// The socket that has a port: that which was made last.
    fn socket_at(&self, port: u16) -> Option<StreamId> {
        let has_port = |(_, socket): &(&StreamId, &Socket)| socket.port == port;
        self.sockets.iter().filter(has_port).map(|(stream, _)| *stream).max()
    }

    /// The broker has made the socket for a peer, or has not.
    pub fn found(
        &mut self,
        epoll: BorrowedFd<'_>,
        number: u32,
        socket: Result<(OwnedFd, State), Errno>,
        news: &mut Vec<News>,
    ) {
        // It may have given its place to another meanwhile.
        let Some(peer) = self.peers.get_mut(&number) else { return };
        let (stream, place) = (peer.stream, peer.place);
        let flags = EventFlags::IN | EventFlags::ET;
        let event = EventData::new_u64(self.tag | u64::from(number));
        let sent = socket
            .and_then(|(socket, state)| epoll::add(epoll, &socket, event, flags).map(|()| (socket, state)))
            .and_then(|(socket, state)| {
                let waiting = match &mut peer.socket {
                    ToPeer::Asked(waiting) => std::mem::take(waiting),
                    ToPeer::Open(_) | ToPeer::Framed(_) => Vec::new(),
                };
                let mut waiting = waiting.iter();
                if state == State::Calling {
                    waiting.try_for_each(|message| send_framed(&socket, message))?;
                    peer.socket = ToPeer::Framed(socket);
                    return Ok(());
                }
                let sent = waiting.try_for_each(|message| send_to(&socket, message));
                peer.socket = ToPeer::Open(socket);
                sent
            });
        if let Err(error) = sent {
            self.tell_refusal(stream, place, error);
            news.push(News::Readable(stream));
            if self.peers.get(&number).is_some_and(|peer| matches!(peer.socket, ToPeer::Asked(_))) {
                self.remove(vec![number]);
            }
        }
    }

    fn number(&mut self) -> u32 {
        loop {
            self.next = self.next.wrapping_add(1);
            if !self.peers.contains_key(&self.next) {
                return self.next;
            }
        }
    }

    /// Closes what is idle, and if there are too many, what was used longest ago.
    fn make_room(&mut self, stream: StreamId) {
        let own = self.sockets.get(&stream).map_or(0, |socket| socket.peers.len());
        let is_one_too_many = own >= MOST_PEERS_OF_ONE;
        if self.peers.len() < MOST_PEERS && !is_one_too_many && self.peers.len() % 64 != 63 {
            return;
        }
        let is_candidate = |peer: &&Peer| !is_one_too_many || peer.stream == stream;
        let oldest = self.peers.values().filter(is_candidate).map(|peer| peer.used).min();
        let idle = Instant::now().checked_sub(IDLE);
        let is_full = is_one_too_many || self.peers.len() >= MOST_PEERS;
        let gone: Vec<u32> = (self.peers.iter())
            .filter(|(_, peer)| idle.is_some_and(|idle| peer.used < idle))
            .map(|(number, _)| *number)
            .collect();
        let gone = match oldest {
            Some(oldest) if gone.is_empty() && is_full => {
                let is_oldest = |(_, peer): &(&u32, &Peer)| is_candidate(peer) && peer.used == oldest;
                self.peers.iter().find(is_oldest).map(|(number, _)| *number).into_iter().collect()
            }
            _ => gone,
        };
        self.remove(gone);
    }

    /// Whether it has no peers.
    pub fn is_idle(&self) -> bool {
        self.peers.is_empty()
    }

    /// Closes the host's sockets for peers of whom nothing is heard or said for long.
    pub fn sweep(&mut self, now: Instant) {
        let gone: Vec<u32> = (self.peers.iter())
            .filter(|(_, peer)| now.duration_since(peer.used) >= IDLE)
            .map(|(number, _)| *number)
            .collect();
        self.remove(gone);
    }

    fn remove(&mut self, gone: Vec<u32>) {
        for number in gone {
            let Some(peer) = self.peers.remove(&number) else { continue };
            if let Some(socket) = self.sockets.get_mut(&peer.stream) {
                socket.peers.remove(&peer.place);
            }
        }
    }

    /// Gives the guest one message.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub fn receive(&mut self, stream: StreamId, to: &mut ToGuest<'_, '_>) -> io::Result<usize> {
        let socket = self.sockets.get_mut(&stream).ok_or(io::ErrorKind::NotConnected)?;
        if let Some((label, message)) = socket.replies.pop_front() {
            return put(to, label, &message);
        }
        while let Some(ready) = socket.ready.pop_front() {
            let (head, room) = self.buffer.split_at_mut(LABEL);
            let mut is_over = None;
            let received = match ready {
                Ready::Peer(number) => match self.peers.get_mut(&number) {
                    Some(Peer { socket: ToPeer::Open(socket), place, used, .. }) => {
                        *used = Instant::now();
                        recv(socket, &mut *room, RecvFlags::DONTWAIT)
                            .map(|(len, _)| (Label { place: *place, errno: 0 }, len))
                            .or_else(|error| refusal(error, *place))
                    }
                    Some(Peer { socket: ToPeer::Framed(socket), place, used, .. }) => {
                        *used = Instant::now();
                        receive_framed(socket, head, room, *place).inspect_err(|error| {
                            is_over = (*error != Errno::AGAIN).then_some((number, *place, *error));
                        })
                    }
                    _ => Err(Errno::AGAIN),
                },
                Ready::Published(index) => receive_published(&self.published, index, head, room, socket),
            };
            match received {
                Ok((label, len)) => {
                    socket.ready.push_back(ready);
                    let message = room.get(..len).unwrap_or_default();
                    if LABEL + len <= to.room() {
                        return put(to, label, message);
                    }
                    // The guest is behind by more than it keeps: lost.
                }
                Err(_) => drop(socket.is_ready.remove(&ready)),
            }
            if let Some((number, place, why)) = is_over {
                socket.peers.remove(&place);
                self.peers.remove(&number);
                if why == Errno::CONNREFUSED {
                    return put(to, Label { place, errno: number_of(why) }, &[]);
                }
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// An error that a peer's socket tells is one of an earlier message.
fn refusal(error: Errno, place: SocketAddr) -> Result<(Label, usize), Errno> {
    match error {
        Errno::AGAIN | Errno::INTR => Err(Errno::AGAIN),
        error => Ok((Label { place, errno: number_of(error) }, 0)),
    }
}

/// A message of another partition. CONNREFUSED if it is over and has not taken what was sent, PIPE if it is over.
fn receive_framed(
    socket: &OwnedFd,
    head: &mut [u8],
    room: &mut [u8],
    place: SocketAddr,
) -> Result<(Label, usize), Errno> {
    let frame = head.last_mut().map(std::slice::from_mut).unwrap_or_default();
    let mut pieces = [IoSliceMut::new(frame), IoSliceMut::new(room)];
    match readv(socket, &mut pieces) {
        Ok(0) => Err(Errno::PIPE),
        Ok(len) => Ok((Label { place, errno: 0 }, len - 1)),
        Err(Errno::AGAIN | Errno::INTR) => Err(Errno::AGAIN),
        Err(_) => Err(Errno::CONNREFUSED),
    }
}

/// Sends a message to another partition, or loses it.
///
/// # Errors
/// CONNREFUSED: nobody is there.
fn send_framed(socket: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    let packet = [&[FRAME][..], message].concat();
    match send(socket, &packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::MSGSIZE) => Ok(()),
        Err(_) => Err(Errno::CONNREFUSED),
    }
}

/// A packet of the broker's: a message behind the label that says whose it is.
fn receive_published(
    published: &[Listener],
    index: usize,
    head: &mut [u8],
    room: &mut [u8],
    socket: &mut Socket,
) -> Result<(Label, usize), Errno> {
    let listener = published.get(index).ok_or(Errno::AGAIN)?;
    let mut pieces = [IoSliceMut::new(head), IoSliceMut::new(room)];
    let len = readv(&listener.socket, &mut pieces)?.checked_sub(LABEL).ok_or(Errno::AGAIN)?;
    let label = head.first_chunk().and_then(|label| Label::from_bytes(label).ok()).ok_or(Errno::AGAIN)?;
    let shown = crate::proxy::shown(label.place);
    socket.remember(shown, index, label.place);
    Ok((Label { place: shown, errno: 0 }, len))
}

/// Sends one message to a peer; it may be lost, as on a network.
fn send_to(socket: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    let try_to = || send(socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    match try_to() {
        // That is about an earlier message, which the guest hears of when it receives.
        Err(Errno::CONNREFUSED) => try_to(),
        result => result,
    }
    .map(drop)
    .or_else(|error| if matches!(error, Errno::AGAIN | Errno::NOBUFS) { Ok(()) } else { Err(error) })
}

fn put(to: &mut ToGuest<'_, '_>, label: Label, message: &[u8]) -> io::Result<usize> {
    let len = to.put(&label.to_bytes())?;
    Ok(len + if message.is_empty() { 0 } else { to.put(message)? })
}
