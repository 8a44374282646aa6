//! Sockets: between the programs of one partition, and through the host's proxy with the rest of the world.
//!
//! No packet of a network is ever made: a TCP connection, like a Unix one, is two [`Channel`](channel::Channel)s, and a
//! datagram is a [`Packet`](packet::Packet) in the receiver's list. Checksums, windows and retransmission have nothing to do here.
//!
//! ```text
//!                  Socket: family, kind, options, name
//!                  /                 |               \
//!   Connection (stream,        Mailbox (dgram)     Routes (netlink)
//!   seqpacket): listens,       peer, inbox
//!   or has two Channels
//! ```
//!
//! * [`address`], [`options`], [`passing`]: what programs say, and what goes with messages;
//! * [`packet`], [`channel`]: what is on its way, and how much of it there may be ([`memory`]);
//! * [`connection`], [`datagram`], [`netlink`]: what each kind of socket does;
//! * [`unix`], [`ports`]: who has which name; [`route`]: what can be reached;
//! * [`outside`], [`stream_end`], [`datagram_end`]: the way out of the partition; [`vsock`]: the host itself;
//! * [`interfaces`]: the network interfaces there are, `lo` and, with a way out, `eth0`.
//!
//! A socket is a [`File`]: nothing waits here, and what would is EAGAIN. Locks: a socket's before a registry's; never two sockets' or two channels' at once.
//! What a queue holds is dropped without locks, because it may be the last reference to a file, and that file a socket.

pub mod address;
pub mod channel;
mod circles;
pub mod connection;
pub mod datagram;
pub mod datagram_end;
pub mod interfaces;
pub mod memory;
pub mod netlink;
pub mod options;
pub mod outside;
pub mod packet;
pub mod passing;
pub mod ports;
pub mod route;
pub mod shared;
pub mod stream_end;
pub mod unix;
pub mod vsock;

#[cfg(test)]
mod tests;

use crate::fs::anonymous;
use crate::fs::dentry::Dentry;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::{File, FileKind};
use crate::fs::open::OpenFlags;
use crate::io::{Destination, Source};
use crate::wait::WaitQueue;
use address::{Address, Family, UnixName};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use connection::Connection;
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};
use datagram::Mailbox;
use netlink::Routes;
use options::Options;
use packet::Headers;
use passing::{Credentials, Passed};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;
use shared::Shared;

/// SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Bytes over a connection.
    Stream,
    /// Messages without one.
    Datagram,
    /// What netlink's sockets may call themselves.
    Raw,
    /// Messages over a connection.
    Messages,
}

impl Kind {
    /// From the number, without flags.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Stream,
            2 => Self::Datagram,
            3 => Self::Raw,
            5 => Self::Messages,
            _ => return None,
        })
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Stream => 1,
            Self::Datagram => 2,
            Self::Raw => 3,
            Self::Messages => 5,
        }
    }
}

/// What goes with the bytes that are sent.
#[derive(Debug, Default)]
pub struct Extra {
    /// Who sends.
    pub credentials: Credentials,
    /// Files; taken when they are on their way.
    pub files: Option<Passed>,
    /// Hop limit and traffic class, if it is not the socket's.
    pub hops: Option<u8>,
    /// See above.
    pub class: Option<u8>,
    /// The last byte is urgent (MSG_OOB).
    pub is_urgent: bool,
}

/// How something is received.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// It stays (MSG_PEEK).
    pub is_peek: bool,
    /// Bytes of different senders are not given together (SO_PASSCRED).
    pub tells_senders_apart: bool,
}

/// What was received besides the bytes.
#[derive(Default)]
pub struct Received {
    /// Bytes that were stored.
    pub len: usize,
    /// Bytes that the message has.
    pub full_len: usize,
    /// Who sent it, if anything came.
    pub credentials: Option<Credentials>,
    /// From where.
    pub from: Option<Address>,
    /// Files that came with it.
    pub files: Vec<Arc<OpenFile>>,
    /// It is a whole message, not bytes of a stream.
    pub is_message: bool,
    /// It is the urgent byte.
    pub is_urgent: bool,
    /// What its headers said, if it came by an Internet protocol.
    pub headers: Option<Headers>,
}

/// To whom a message is sent.
#[derive(Clone)]
pub enum Target {
    /// To whom the socket is connected.
    Peer,
    /// A Unix socket.
    Socket(Arc<Socket>),
    /// An address of the Internet protocols, or of netlink.
    Address(Address),
}

/// What a socket does.
pub enum Role {
    /// Stream and seqpacket sockets.
    Connection(Connection),
    /// Datagram sockets.
    Mailbox(Mailbox),
    /// Netlink sockets.
    Routes(Routes),
}

/// The name of a socket.
pub struct Name {
    /// As it is told.
    pub address: Address,
    /// The file that it has.
    pub place: Option<Arc<Dentry>>,
    /// Its port's entry, of the Internet protocols.
    pub port: Option<ports::Held>,
}

/// A socket.
pub struct Socket {
    this: Weak<Self>,
    /// Family.
    pub family: Family,
    /// Kind.
    pub kind: Kind,
    /// Protocol, as it is told.
    pub protocol: i32,
    /// Options.
    pub options: Mutex<Options>,
    /// Its name, once it has one.
    pub name: Mutex<Name>,
    /// What others reach of it.
    pub shared: Arc<Shared>,
    /// What it does.
    pub role: Role,
    is_closed: AtomicBool,
}

/// IPPROTO_TCP, IPPROTO_UDP
const TCP: i32 = 6;
const UDP: i32 = 17;
/// IPPROTO_UDPLITE
pub const UDP_LITE: i32 = 136;
/// PF_VSOCK
const VSOCK_PROTOCOL: i32 = 40;
/// IPPROTO_MAX
const PROTOCOLS: i32 = 263;

impl Socket {
    /// `socket`: one that has no name and no peer. The errors are those of Linux for what there is not.
    pub fn create(family: u32, kind: u32, protocol: i32) -> Result<Arc<Self>, Errno> {
        let kind =
            Kind::from_number(kind).ok_or(if kind < 11 { Errno::ESOCKTNOSUPPORT } else { Errno::EINVAL })?;
        let (family, protocol) = match u16::try_from(family).unwrap_or(u16::MAX) {
            address::UNIX => {
                if !(0..=1).contains(&protocol) {
                    return Err(Errno::EPROTONOSUPPORT);
                }
                (Family::Unix, 0)
            }
            of @ (address::INET | address::INET6) => {
                if !(0..PROTOCOLS).contains(&protocol) {
                    return Err(Errno::EINVAL);
                }
                let protocol = match (kind, protocol) {
                    (Kind::Stream, 0 | TCP) => TCP,
                    (Kind::Datagram, 0 | UDP) => UDP,
                    (Kind::Datagram, UDP_LITE) => UDP_LITE,
                    // Making packets oneself would take CAP_NET_RAW, and somebody to send them to.
                    (Kind::Raw, 1..=255) => return Err(Errno::EPERM),
                    (Kind::Messages, _) => return Err(Errno::ESOCKTNOSUPPORT),
                    _ => return Err(Errno::EPROTONOSUPPORT),
                };
                (if of == address::INET { Family::V4 } else { Family::V6 }, protocol)
            }
            address::NETLINK => {
                if !matches!(kind, Kind::Raw | Kind::Datagram) {
                    return Err(Errno::ESOCKTNOSUPPORT);
                }
                if protocol != 0 {
                    return Err(Errno::EPROTONOSUPPORT);
                }
                (Family::Netlink, 0)
            }
            address::VSOCK => {
                if !matches!(protocol, 0 | VSOCK_PROTOCOL) {
                    return Err(Errno::EPROTONOSUPPORT);
                }
                if kind != Kind::Stream {
                    return Err(Errno::ESOCKTNOSUPPORT);
                }
                (Family::Vsock, 0)
            }
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        // A raw Unix socket is a datagram socket.
        let kind = if family == Family::Unix && kind == Kind::Raw { Kind::Datagram } else { kind };
        Ok(Self::new(family, kind, protocol))
    }

    /// A socket without name and peer.
    #[must_use]
    pub fn new(family: Family, kind: Kind, protocol: i32) -> Arc<Self> {
        let role = match (family, kind) {
            (Family::Netlink, _) => Role::Routes(Routes::default()),
            (_, Kind::Stream | Kind::Messages) => Role::Connection(Connection::default()),
            (_, Kind::Datagram | Kind::Raw) => Role::Mailbox(Mailbox::default()),
        };
        let address = match family {
            Family::Unix => Address::Unix(UnixName::Unnamed),
            Family::V4 | Family::V6 => Address::Inet(route::unspecified(family)),
            Family::Netlink => Address::Netlink { port: 0, groups: 0 },
            Family::Vsock => Address::Vsock { cid: vsock::ANY, port: vsock::ANY },
        };
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            family,
            kind,
            protocol,
            options: Mutex::default(),
            name: Mutex::new(Name { address, place: None, port: None }),
            shared: Arc::default(),
            role,
            is_closed: AtomicBool::new(false),
        })
    }

    /// Two Unix sockets that are connected to each other.
    pub fn pair(kind: Kind) -> Result<[Arc<Self>; 2], Errno> {
        let pair = [(); 2].map(|()| Self::new(Family::Unix, kind, 0));
        match (&pair[0].role, &pair[1].role) {
            (Role::Connection(_), Role::Connection(_)) => connection::join(&pair[0], &pair[1])?,
            (Role::Mailbox(first), Role::Mailbox(second)) => {
                first.set_peer(datagram::Peer::Socket(Arc::downgrade(&pair[1]), pair[1].address()));
                second.set_peer(datagram::Peer::Socket(Arc::downgrade(&pair[0]), pair[0].address()));
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        Ok(pair)
    }

    /// The socket that `file` is, if it is one.
    #[must_use]
    pub fn of(file: &OpenFile) -> Option<&Self> {
        file.file().as_any().downcast_ref()
    }

    /// As an open file.
    #[must_use]
    pub fn open(self: Arc<Self>, flags: OpenFlags) -> Arc<OpenFile> {
        anonymous::open(b"socket", FileKind::Socket, self, OpenFlags::READ_WRITE | flags)
    }

    /// Itself, to be kept. EBADF while it is being closed.
    pub fn this(&self) -> Result<Arc<Self>, Errno> {
        self.this.upgrade().ok_or(Errno::EBADF)
    }

    /// Itself, for those who must not keep it.
    #[must_use]
    pub fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.this)
    }

    /// Its name.
    #[must_use]
    pub fn address(&self) -> Address {
        self.name.lock().address.clone()
    }

    /// Whether it is of an Internet protocol.
    #[must_use]
    pub fn is_inet(&self) -> bool {
        matches!(self.family, Family::V4 | Family::V6)
    }

    /// Whether its peers may be outside the partition.
    #[must_use]
    pub fn may_leave(&self) -> bool {
        self.is_inet() || self.family == Family::Vsock
    }

    /// Sends, or EAGAIN. A message is sent as a whole.
    pub fn send(&self, from: &mut dyn Source, to: &Target, extra: &mut Extra) -> Result<usize, Errno> {
        self.look_outside();
        match &self.role {
            Role::Connection(connection) => connection.send(self, from, to, extra),
            Role::Mailbox(mailbox) => mailbox.send(self, from, to, extra),
            Role::Routes(routes) => routes.send(self, from),
        }
    }

    /// Receives, or EAGAIN.
    pub fn receive(&self, to: &mut dyn Destination, how: How) -> Result<Received, Errno> {
        self.look_outside();
        match &self.role {
            Role::Connection(connection) => connection.receive(self, to, how),
            Role::Mailbox(mailbox) => mailbox.receive(self, to, how),
            Role::Routes(routes) => routes.receive(to, how),
        }
    }

    /// `shutdown`: ends receiving, sending, or both.
    pub fn shut_down(&self, receiving: bool, sending: bool) -> Result<(), Errno> {
        match &self.role {
            Role::Connection(connection) => connection.shut_down(self, receiving, sending),
            Role::Mailbox(mailbox) => mailbox.shut_down(self, receiving, sending),
            Role::Routes(_) => Err(Errno::EOPNOTSUPP),
        }
    }

    /// The name of whom it is connected to.
    pub fn peer_address(&self) -> Result<Address, Errno> {
        match &self.role {
            Role::Connection(connection) => connection.peer_address(),
            Role::Mailbox(mailbox) => mailbox.peer_address(),
            Role::Routes(_) => Ok(Address::Netlink { port: 0, groups: 0 }),
        }
    }
}

impl File for Socket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn release(&self) {
        self.close();
        if self.family == Family::Unix {
            circles::look();
        }
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        // Files that came along are closed: there is no place for them.
        self.receive(to, How::default()).map(|received| received.len)
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        self.send(from, &Target::Peer, &mut self.extra())
    }

    fn poll(&self) -> u16 {
        self.look_outside();
        match &self.role {
            Role::Connection(connection) => connection.poll(self),
            Role::Mailbox(mailbox) => mailbox.poll(self),
            Role::Routes(routes) => routes.poll(),
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.shared.queue)
    }

    fn patience_ns(&self, is_write: bool) -> Option<u64> {
        let options = self.options.lock();
        let timeout = if is_write { options.send_timeout_ns } else { options.receive_timeout_ns };
        (timeout > 0).then_some(timeout)
    }

    fn breaks_silently(&self) -> bool {
        self.kind != Kind::Stream
    }

    fn available(&self) -> Result<usize, Errno> {
        self.look_outside();
        match &self.role {
            Role::Connection(connection) => connection.available(),
            Role::Mailbox(mailbox) => Ok(mailbox.available()),
            Role::Routes(routes) => Ok(routes.available()),
        }
    }
}

impl Socket {
    /// Takes in what has come from outside the partition, if that may be for this socket.
    pub fn look_outside(&self) {
        if self.may_leave() {
            outside::look();
        }
    }

    /// Shows the files on their way to it.
    pub fn each_file(&self, each: &mut dyn FnMut(&Arc<OpenFile>)) {
        match &self.role {
            Role::Connection(connection) => connection.each_file(each),
            Role::Mailbox(mailbox) => mailbox.each_file(each),
            Role::Routes(_) => {}
        }
    }

    /// Closes it, which nobody has open, and drops what it would have received.
    pub fn abandon(&self) {
        self.close();
        if let Role::Mailbox(mailbox) = &self.role {
            mailbox.clear();
        }
    }

    /// What goes with bytes that are simply written.
    #[must_use]
    pub fn extra(&self) -> Extra {
        let credentials =
            if self.family == Family::Unix { Credentials::current() } else { Credentials::default() };
        Extra { credentials, ..Extra::default() }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.close();
    }
}

impl Socket {
    /// Whoever is at the other end hears of it, and the name is free. Once.
    fn close(&self) {
        if self.is_closed.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Role::Connection(connection) = &self.role {
            connection.close(self);
        }
        if let Role::Mailbox(mailbox) = &self.role
            && self.is_inet()
        {
            mailbox.outlet.close();
        }
        match self.family {
            Family::Unix => unix::forget(&self.name.lock()),
            Family::Vsock => vsock::forget(self),
            _ => {}
        }
        let port = self.name.lock().port.take();
        drop(port);
    }
}
