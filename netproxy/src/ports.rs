//! Sockets that exist before the partition does, and who gets which.
//!
//! ```text
//!              worker                             broker
//! TCP          the listening socket
//! UDP          one end of a pair ◄── messages ──► the other end, and the bound socket
//! other doors  the listening socket, of connections that carry bytes (TCP) or messages (UDP)
//!              one end of a pair ◄── requests ──► the other end
//! ```
//!
//! A listening socket leads to nobody. A socket that receives messages from everybody may send them to everybody, too, which only rules may
//! allow: the broker keeps it, and passes on what comes, and what is said to those from whom something came.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, socketpair, sockopt};
use septum_api_types::network::{Network, Protocol, Publish};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// A published or exposed port, bound.
#[derive(Debug)]
pub struct Listener {
    /// Its socket.
    pub(crate) socket: OwnedFd,
    /// The guest's port.
    pub(crate) guest_port: u16,
    /// TCP's sockets listen, UDP's receive.
    pub(crate) protocol: Protocol,
    /// Who comes to it.
    pub(crate) door: Door,
}

impl Listener {
    /// Whether it has messages itself: those of exposed ports come by connections, of which each has one sender.
    pub(crate) fn has_messages(&self) -> bool {
        self.protocol == Protocol::Udp && self.door == Door::Published
    }
}

/// What kind of connections a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Those of a published port.
    Published,
    /// Those of other partitions, by Unix sockets.
    Exposed,
    /// Those of programs of the host, by Unix sockets, which say first to which port of AF_VSOCK.
    Vsock,
}

/// Sockets that exist before the partition does.
#[derive(Debug, Default)]
pub struct Ports {
    listeners: Vec<Listener>,
    nameservers: Vec<SocketAddr>,
}

/// What of it the worker gets.
#[derive(Debug)]
pub struct Inside {
    /// Where the broker takes requests.
    pub(crate) broker: OwnedFd,
    pub(crate) listeners: Vec<Listener>,
}

/// What of it the broker gets.
#[derive(Debug)]
pub struct Outside {
    /// Where the worker makes requests.
    pub(crate) worker: OwnedFd,
    /// Published ports of UDP, and where the worker hears of them.
    pub(crate) published: Vec<(OwnedFd, OwnedFd)>,
    /// Whom to ask for names.
    pub(crate) nameservers: Vec<SocketAddr>,
    /// Who connects to other partitions for this one.
    pub(crate) supervisor: Option<OwnedFd>,
}

impl Inside {
    /// All of it.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.broker.as_fd()).chain(self.listeners.iter().map(|it| it.socket.as_fd()))
    }
}

impl Outside {
    /// All of it.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let published = self.published.iter().flat_map(|(socket, worker)| [socket.as_fd(), worker.as_fd()]);
        let supervisor = self.supervisor.iter().map(|socket| socket.as_fd());
        std::iter::once(self.worker.as_fd()).chain(published).chain(supervisor)
    }
}

/// A published port cannot be had.
#[derive(Debug)]
pub struct PublishFailure {
    /// Which.
    pub publish: Publish,
    /// Why.
    pub error: io::Error,
}

impl Ports {
    /// Binds what is to be published; `nameservers` are the host's.
    ///
    /// # Errors
    /// One of the ports is somebody else's.
    pub fn bind(network: &Network, nameservers: Vec<SocketAddr>) -> Result<Self, PublishFailure> {
        let open = |publish: &Publish| {
            let socket = bound(publish)
                .map_err(|error| PublishFailure { publish: publish.clone(), error: error.into() })?;
            Ok(Listener {
                socket,
                guest_port: publish.guest_port,
                protocol: publish.protocol,
                door: Door::Published,
            })
        };
        let listeners = network.publish.iter().map(open).collect::<Result<_, _>>()?;
        let said: Vec<_> = network.nameservers.iter().map(|server| server.0).collect();
        Ok(Self { listeners, nameservers: if said.is_empty() { nameservers } else { said } })
    }

    /// Adds a port that other partitions connect to, which listens already.
    pub fn expose(&mut self, socket: OwnedFd, guest_port: u16, protocol: Protocol) {
        self.listeners.push(Listener { socket, guest_port, protocol, door: Door::Exposed });
    }

    /// Adds the socket at which the host's programs reach ports of AF_VSOCK, which listens already.
    pub fn add_vsock(&mut self, socket: OwnedFd) {
        self.listeners.push(Listener { socket, guest_port: 0, protocol: Protocol::Tcp, door: Door::Vsock });
    }

    /// Gives each its part; `supervisor` takes calls to other partitions.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn divide(self, supervisor: Option<OwnedFd>) -> Result<(Inside, Outside), Errno> {
        let pair = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags(), None);
        let (broker, worker) = pair()?;
        let mut published = Vec::new();
        let mut listeners = self.listeners;
        for listener in &mut listeners {
            if listener.has_messages() {
                let (inside, outside) = pair()?;
                published.push((std::mem::replace(&mut listener.socket, inside), outside));
            }
        }
        let outside = Outside { worker, published, nameservers: self.nameservers, supervisor };
        Ok((Inside { broker, listeners }, outside))
    }
}

pub(crate) fn flags() -> SocketFlags {
    SocketFlags::NONBLOCK | SocketFlags::CLOEXEC
}

pub(crate) fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn bound(publish: &Publish) -> Result<OwnedFd, Errno> {
    let kind = match publish.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(family(publish.host.ip()), kind, flags(), None)?;
    if publish.protocol == Protocol::Udp {
        bind(&socket, &publish.host)?;
        return Ok(socket);
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // The program's own writes are what is sent, and when; so it is with what is accepted.
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind(&socket, &publish.host)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
