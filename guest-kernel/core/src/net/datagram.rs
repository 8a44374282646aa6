//! Datagram sockets: messages from anyone, until the socket has chosen a peer.
//!
//! A message goes straight into the receiver's inbox. A Unix sender waits while that is full; UDP's message is lost then, as it would be on
//! a network. A UDP message that nobody receives comes back as an error, ECONNREFUSED, of a sender that has chosen a peer (on a network by ICMP).

use super::address::{Address, UnixName};
use super::datagram_end::{self, Outlet};
use super::options::{self, IP, IPV6};
use super::packet::{Headers, Packet};
use super::ports;
use super::route::{self, Way};
use super::shared::Shared;
use super::{Extra, How, Received, Role, Socket, Target};
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::poll;
use crate::io::{Destination, Source};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Most messages in the inbox of a Unix socket.
const MOST_MESSAGES: usize = 512;
/// Most bytes of a UDP message over IPv4; IPv6's header is not counted.
const LONGEST_V4: usize = 65_507;
const LONGEST_V6: usize = 65_527;
/// How far a message may go.
pub const USUAL_HOPS: u8 = 64;

/// Whom a socket is connected to.
#[derive(Clone, Default)]
pub enum Peer {
    /// Nobody.
    #[default]
    None,
    /// A Unix socket and its name.
    Socket(Weak<Socket>, Address),
    /// An address.
    Address(SocketAddr),
}

#[derive(Default)]
struct Inbox {
    packets: VecDeque<Packet>,
    cost: usize,
    /// Senders that found it full.
    waiting: Vec<Weak<Shared>>,
}

/// A datagram socket.
#[derive(Default)]
pub struct Mailbox {
    inbox: Mutex<Inbox>,
    peer: Mutex<Peer>,
    is_deaf: AtomicBool,
    is_mute: AtomicBool,
    /// The way out of the partition, of UDP.
    pub outlet: Outlet,
}

/// The mailbox that `socket` is, if it is of such a kind.
#[must_use]
pub fn of(socket: &Socket) -> Option<&Mailbox> {
    match &socket.role {
        Role::Mailbox(mailbox) => Some(mailbox),
        _ => None,
    }
}

/// What the headers of a message say that `socket` sends.
fn headers(socket: &Socket, to: IpAddr, extra: &Extra) -> Headers {
    let set = socket.options.lock();
    let names = if to.is_ipv4() {
        [(IP, options::TTL), (IP, options::TOS)]
    } else {
        [(IPV6, options::HOPS), (IPV6, options::CLASS)]
    };
    // One that is left to the system (-1) is the usual one.
    let [hops, class] = names.map(|(level, name)| set.recall(level, name).unwrap_or(-1));
    Headers {
        hops: extra.hops.or_else(|| u8::try_from(hops).ok()).unwrap_or(USUAL_HOPS),
        class: extra.class.or_else(|| u8::try_from(class).ok()).unwrap_or(0),
        to: Some(to),
    }
}

impl Mailbox {
    /// Chooses a peer, or none.
    pub fn set_peer(&self, peer: Peer) {
        *self.peer.lock() = peer;
    }

    /// Whom it has chosen.
    pub fn peer_address(&self) -> Result<Address, Errno> {
        match &*self.peer.lock() {
            Peer::None => Err(Errno::ENOTCONN),
            Peer::Socket(_, address) => Ok(address.clone()),
            Peer::Address(address) => Ok(Address::Inet(*address)),
        }
    }

    /// Whether it has chosen anyone.
    #[must_use]
    pub fn has_peer(&self) -> bool {
        !matches!(*self.peer.lock(), Peer::None)
    }

    /// Shows the files on their way.
    pub fn each_file(&self, each: &mut dyn FnMut(&Arc<OpenFile>)) {
        let inbox = self.inbox.lock();
        inbox.packets.iter().filter_map(|packet| packet.files.as_ref()).for_each(|files| files.each(each));
    }

    /// Nobody will receive what there is.
    pub fn clear(&self) {
        let packets = core::mem::take(&mut self.inbox.lock().packets);
        drop(packets);
    }

    /// Bytes of the first message.
    #[must_use]
    pub fn available(&self) -> usize {
        self.inbox.lock().packets.front().map_or(0, Packet::len)
    }

    /// Sends a message as a whole.
    pub fn send(
        &self,
        socket: &Socket,
        from: &mut dyn Source,
        to: &Target,
        extra: &mut Extra,
    ) -> Result<usize, Errno> {
        if let Some(errno) = socket.shared.take_error() {
            return Err(errno);
        }
        if self.is_mute.load(Ordering::SeqCst) {
            return Err(Errno::EPIPE);
        }
        if socket.is_inet() {
            return self.send_inet(socket, from, to, extra);
        }
        let receiver = match to {
            Target::Peer => self.unix_peer()?,
            Target::Socket(receiver) => Arc::clone(receiver),
            Target::Address(_) => return Err(Errno::EINVAL),
        };
        if from.remaining() > socket.options.lock().send_buffer {
            return Err(Errno::EMSGSIZE);
        }
        let mailbox = of(&receiver).ok_or(Errno::EPROTOTYPE)?;
        if !mailbox.hears(socket) {
            return Err(Errno::EPERM);
        }
        if mailbox.is_deaf.load(Ordering::SeqCst) {
            return Err(Errno::EPIPE);
        }
        if !mailbox.has_room_for(&receiver, socket) {
            return Err(Errno::EAGAIN);
        }
        let mut packet = Packet::new(from)?;
        packet.from = socket.address();
        packet.credentials = extra.credentials;
        packet.files = extra.files.take();
        let len = packet.len();
        mailbox.put(&receiver, packet);
        Ok(len)
    }

    fn unix_peer(&self) -> Result<Arc<Socket>, Errno> {
        let mut peer = self.peer.lock();
        match &*peer {
            Peer::Socket(socket, _) => socket.upgrade().ok_or_else(|| {
                *peer = Peer::None;
                Errno::ECONNREFUSED
            }),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// Whether it takes messages from `sender`: it has chosen nobody, or them.
    fn hears(&self, sender: &Socket) -> bool {
        match &*self.peer.lock() {
            Peer::Socket(socket, _) => core::ptr::eq(socket.as_ptr(), sender),
            _ => true,
        }
    }

    /// Whether a Unix message fits; if not, `sender` is woken when one does.
    fn has_room_for(&self, receiver: &Socket, sender: &Socket) -> bool {
        let limit = receiver.options.lock().receive_buffer;
        let mut inbox = self.inbox.lock();
        if inbox.packets.len() <= MOST_MESSAGES && inbox.cost < limit {
            return true;
        }
        let waiter = Arc::downgrade(&sender.shared);
        if !inbox.waiting.iter().any(|other| other.ptr_eq(&waiter)) {
            inbox.waiting.push(waiter);
        }
        false
    }

    fn put(&self, receiver: &Socket, packet: Packet) {
        let mut inbox = self.inbox.lock();
        inbox.cost += packet.cost();
        inbox.packets.push_back(packet);
        drop(inbox);
        receiver.shared.queue.wake_all();
    }

    fn send_inet(
        &self,
        socket: &Socket,
        from: &mut dyn Source,
        to: &Target,
        extra: &Extra,
    ) -> Result<usize, Errno> {
        let (address, is_peer) = match to {
            Target::Address(Address::Inet(address)) => (*address, false),
            Target::Peer => match &*self.peer.lock() {
                Peer::Address(address) => (*address, true),
                _ => return Err(Errno::EDESTADDRREQ),
            },
            _ => return Err(Errno::EINVAL),
        };
        if address.port() == 0 {
            return Err(Errno::EINVAL);
        }
        let longest = if address.is_ipv4() { LONGEST_V4 } else { LONGEST_V6 };
        if from.remaining() > longest {
            return Err(Errno::EMSGSIZE);
        }
        let Way::Loopback { to, from: source } = route::to(address.ip())? else {
            return self.send_outside(socket, from, address);
        };
        let own = ports::bound(socket)?;
        let own_ip = if own.ip().is_unspecified() { source } else { own.ip() };
        let own = SocketAddr::new(own_ip, own.port());
        let mut packet = Packet::new(from)?;
        packet.headers = headers(socket, to, extra);
        let len = packet.len();
        let candidates = ports::find(ports::protocol(socket), SocketAddr::new(to, address.port()));
        // Whoever has chosen the sender is meant first.
        let has_chosen = |socket: &&Arc<Socket>| of(socket).is_some_and(|mailbox| mailbox.has_chosen(own));
        let is_open = |socket: &&Arc<Socket>| of(socket).is_some_and(|mailbox| !mailbox.has_peer());
        let receiver = candidates.iter().find(has_chosen).or_else(|| candidates.iter().find(is_open));
        match receiver.and_then(|receiver| of(receiver).map(|mailbox| (receiver, mailbox))) {
            Some((receiver, mailbox)) => mailbox.deliver(receiver, packet, own),
            None if is_peer || self.has_peer() => socket.shared.fail(Errno::ECONNREFUSED),
            None => {}
        }
        Ok(len)
    }

    /// Sends to somebody outside the partition.
    fn send_outside(&self, socket: &Socket, from: &mut dyn Source, to: SocketAddr) -> Result<usize, Errno> {
        let own = ports::bound(socket)?;
        let is_loopback = own.ip().is_loopback();
        if is_loopback || (!own.ip().is_unspecified() && own.is_ipv4() != to.is_ipv4()) {
            return Err(if is_loopback { Errno::EINVAL } else { Errno::ENETUNREACH });
        }
        self.outlet.send(socket, own, to, from)
    }

    /// A message that came from outside the partition; it is lost if it is from somebody else than the chosen peer.
    pub fn deliver_from(&self, socket: &Socket, packet: Packet, from: SocketAddr) {
        if datagram_end::hears(&self.peer.lock(), from) {
            self.deliver(socket, packet, from);
        }
    }

    /// Whether `sender` is the peer that it has chosen.
    #[must_use]
    pub fn has_chosen(&self, sender: SocketAddr) -> bool {
        matches!(&*self.peer.lock(), Peer::Address(address) if *address == sender)
    }

    /// Puts a UDP message into the inbox, or loses it.
    fn deliver(&self, receiver: &Socket, mut packet: Packet, from: SocketAddr) {
        let limit = receiver.options.lock().receive_buffer;
        if self.is_deaf.load(Ordering::SeqCst) || self.inbox.lock().cost >= limit {
            return;
        }
        packet.from = Address::Inet(from);
        self.put(receiver, packet);
    }

    /// Receives the first message; what does not fit is lost.
    pub fn receive(&self, socket: &Socket, to: &mut dyn Destination, how: How) -> Result<Received, Errno> {
        if let Some(errno) = socket.shared.take_error() {
            return Err(errno);
        }
        let limit = socket.options.lock().receive_buffer;
        let mut inbox = self.inbox.lock();
        let Some(packet) = inbox.packets.front_mut() else {
            let is_deaf = self.is_deaf.load(Ordering::SeqCst);
            return if is_deaf { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
        };
        let mut received = Received {
            len: packet.copy(to)?,
            full_len: packet.len(),
            credentials: Some(packet.credentials),
            from: match &packet.from {
                Address::Unix(UnixName::Unnamed) => None,
                from => Some(from.clone()),
            },
            is_message: true,
            headers: socket.is_inet().then_some(packet.headers),
            ..Received::default()
        };
        if how.is_peek {
            received.files = packet.files.as_ref().map(super::Passed::look).unwrap_or_default();
            return Ok(received);
        }
        received.files = packet.files.take().map(super::Passed::arrive).unwrap_or_default();
        let packet = inbox.packets.pop_front();
        inbox.cost -= packet.as_ref().map_or(0, Packet::cost);
        let has_room = inbox.packets.len() <= MOST_MESSAGES && inbox.cost < limit;
        let waiting = if has_room { core::mem::take(&mut inbox.waiting) } else { Vec::new() };
        drop(inbox);
        drop(packet);
        waiting.iter().filter_map(Weak::upgrade).for_each(|sender| sender.queue.wake_all());
        Ok(received)
    }

    /// `shutdown`. ENOTCONN without a peer.
    pub fn shut_down(&self, socket: &Socket, receiving: bool, sending: bool) -> Result<(), Errno> {
        self.is_deaf.fetch_or(receiving, Ordering::SeqCst);
        self.is_mute.fetch_or(sending, Ordering::SeqCst);
        socket.shared.queue.wake_all();
        // Without a peer it is an error, and done all the same.
        if socket.is_inet() && !self.has_peer() { Err(Errno::ENOTCONN) } else { Ok(()) }
    }

    /// [`poll`] events.
    #[must_use]
    pub fn poll(&self, socket: &Socket) -> u16 {
        let is_deaf = self.is_deaf.load(Ordering::SeqCst);
        let is_mute = self.is_mute.load(Ordering::SeqCst);
        let mut events = if socket.shared.has_error() { poll::ERR } else { 0 };
        if is_deaf || !self.inbox.lock().packets.is_empty() {
            events |= poll::IN;
        }
        if is_deaf {
            events |= poll::READ_HUP;
        }
        if is_deaf && is_mute {
            events |= poll::HUP;
        }
        let peer = match &*self.peer.lock() {
            Peer::Socket(peer, _) => peer.upgrade(),
            _ => None,
        };
        let can_send =
            peer.is_none_or(|peer| of(&peer).is_none_or(|mailbox| mailbox.has_room_for(&peer, socket)));
        if can_send && (!socket.is_inet() || self.outlet.has_room()) {
            events |= poll::OUT;
        }
        events
    }
}
