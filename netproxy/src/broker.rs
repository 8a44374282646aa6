//! Makes sockets, if the policy allows it.
//!
//! Nothing of what the guest or its peers send passes through here.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with, sockopt,
};
use septum_api_types::network::{self, Network, Protocol, Publish};

use crate::names::Bindings;
use crate::neighbours::{Neighbours, Refusal};
use crate::policy::{Policy, Way, is_never};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Whom to tell of what a person may want to know.
pub type Log = Box<dyn Fn(&str) + Send>;

/// A published or exposed port, bound.
#[derive(Debug)]
pub struct Listener {
    /// Its socket.
    pub socket: OwnedFd,
    /// The guest's port.
    pub guest_port: u16,
    /// TCP's sockets listen, UDP's receive.
    pub protocol: Protocol,
    /// Who comes to it.
    pub door: Door,
}

/// What kind of connections a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
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
    /// Published ports.
    pub listeners: Vec<Listener>,
    /// Whom to ask for names.
    pub nameservers: Vec<SocketAddr>,
    /// Who connects to other partitions for this one.
    pub supervisor: Option<OwnedFd>,
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
        Ok(Self {
            listeners,
            nameservers: if said.is_empty() { nameservers } else { said },
            supervisor: None,
        })
    }

    /// Adds a port that other partitions connect to, which listens already.
    pub fn expose(&mut self, socket: OwnedFd, guest_port: u16) {
        self.listeners.push(Listener { socket, guest_port, protocol: Protocol::Tcp, door: Door::Exposed });
    }

    /// Adds the socket at which the host's programs reach ports of AF_VSOCK, which listens already.
    pub fn add_vsock(&mut self, socket: OwnedFd) {
        self.listeners.push(Listener { socket, guest_port: 0, protocol: Protocol::Tcp, door: Door::Vsock });
    }
}

fn flags() -> SocketFlags {
    SocketFlags::NONBLOCK | SocketFlags::CLOEXEC
}

fn family(ip: IpAddr) -> AddressFamily {
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
    bind(&socket, &publish.host)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A connection that is made. Its socket does not block.
#[derive(Debug)]
pub enum Connecting {
    /// It stands already.
    Connected(OwnedFd),
    /// It is writable when it stands.
    Begun(OwnedFd),
    /// It is to another partition, which the supervisor connects it to: its name and port.
    Neighbour(OwnedFd, Arc<str>, u16),
}

/// Makes sockets for one partition.
pub struct Broker {
    policy: Policy,
    bindings: Bindings,
    pub(crate) neighbours: Neighbours,
    has_vsock: bool,
    log: Log,
}

impl Broker {
    /// A broker for a partition with this network, which tells `log` what it refuses. `supervisor` connects to other partitions.
    #[must_use]
    pub fn new(network: &Network, supervisor: Option<OwnedFd>, log: Log) -> Self {
        let (policy, bindings) = (Policy::new(network.allow.clone()), Bindings::new(&network.hosts));
        Self {
            policy,
            bindings,
            neighbours: Neighbours::new(network, supervisor),
            has_vsock: network.vsock.is_some(),
            log,
        }
    }

    /// Connects to `to`, as the guest calls it.
    ///
    /// # Errors
    /// What the guest is told: ECONNREFUSED if no rule allows it, otherwise what the host says.
    pub fn connect(&self, to: SocketAddr) -> Result<Connecting, Errno> {
        let to = match self.way(Protocol::Tcp, to)? {
            Way::Direct(to) => to,
            Way::Host(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            Way::Neighbour(name, port) => {
                let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags(), None)?;
                return Ok(Connecting::Neighbour(socket, name, port));
            }
        };
        start(to)
    }

    /// A socket for messages to `to`, as the guest calls it, and from there.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn exchange(&self, to: SocketAddr) -> Result<OwnedFd, Errno> {
        let to = match self.way(Protocol::Udp, to)? {
            Way::Direct(to) => to,
            Way::Host(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            Way::Neighbour(name, port) => {
                let advice = "partitions reach each other by TCP alone";
                self.tell(format_args!("network: message to {name}:{port}/udp refused; {advice}"));
                return Err(Errno::CONNREFUSED);
            }
        };
        let socket = socket_with(family(to.ip()), SocketType::DGRAM, flags(), None)?;
        connect(&socket, &to)?;
        Ok(socket)
    }

    /// What the guest calls `to`.
    fn way(&self, protocol: Protocol, to: SocketAddr) -> Result<Way, Errno> {
        let neighbour = |ip| self.neighbours.name(ip);
        match self.policy.decide(protocol, to, &self.bindings.names(to.ip()), neighbour, is_own) {
            Ok(way) => Ok(way),
            Err(refusal) => {
                let what = match protocol {
                    Protocol::Tcp => "connection",
                    Protocol::Udp => "message",
                };
                self.tell(format_args!("network: {what} to {} refused; {}", refusal.to, refusal.advice));
                Err(Errno::CONNREFUSED)
            }
        }
    }

    /// Whether a nameserver may be asked for `name`; if not, a person is told.
    #[must_use]
    pub fn may_ask(&self, name: &str) -> bool {
        let may = self.policy.may_ask(name);
        if !may {
            self.tell(format_args!("network: name {name} not looked up; --allow-net {name} would allow it"));
        }
        may
    }

    /// The addresses of those that a nameserver says which may be reached at all. From now on they are those of `name`.
    pub fn bind(&mut self, name: &str, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        let may_be_reached = |ip: &IpAddr| {
            if is_never(*ip) || is_own(*ip) {
                self.tell(format_args!(
                    "network: name {name} leads to {ip}, which no name can open; left out"
                ));
                return false;
            }
            has_route(*ip)
        };
        let addresses: Vec<IpAddr> = addresses.into_iter().filter(may_be_reached).collect();
        addresses.iter().for_each(|ip| self.bindings.bind(*ip, name));
        addresses
    }

    /// A connection to another partition was refused.
    pub(crate) fn tell_of_neighbour(&self, name: &str, port: u16, why: Refusal) {
        let advice = why.advice(name, port);
        self.tell(format_args!("network: connection to {name}:{port} refused; {advice}"));
    }

    /// A socket for a port of the host, which the supervisor connects.
    ///
    /// # Errors
    /// There is none: ECONNRESET.
    pub fn connect_vsock(&self, port: u32) -> Result<OwnedFd, Errno> {
        if !self.has_vsock {
            let advice = format!("--vsock PATH would lead it to PATH_{port}");
            self.tell(format_args!("vsock: connection to port {port} of the host refused; {advice}"));
            return Err(Errno::CONNRESET);
        }
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags(), None)
    }

    /// A connection to a port of the host was refused.
    pub(crate) fn tell_of_vsock(&self, port: u32, why: Refusal) {
        let advice = why.advice("", 0);
        self.tell(format_args!("vsock: connection to port {port} of the host refused; {advice}"));
    }

    /// The address of the partition that a name means, if a rule is about that.
    #[must_use]
    pub fn neighbour(&self, name: &str) -> Option<Ipv4Addr> {
        self.neighbours.address(network::partition(name)?)
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        let mut line = String::new();
        // A string takes everything.
        let _ = line.write_fmt(what);
        (self.log)(&line);
    }
}

/// Whether the host could send to an IPv6 address: programs try those first, and many hosts have none.
fn has_route(ip: IpAddr) -> bool {
    let reaches = |socket: OwnedFd| connect(&socket, &SocketAddr::new(ip, 53)).is_ok();
    ip.is_ipv4() || socket_with(family(ip), SocketType::DGRAM, flags(), None).is_ok_and(reaches)
}

/// Whether an address is one of the host's: only those can be bound.
fn is_own(ip: IpAddr) -> bool {
    let socket = socket_with(family(ip), SocketType::DGRAM, flags(), None);
    socket.is_ok_and(|socket| bind(&socket, &SocketAddr::new(ip, 0)).is_ok())
}

fn start(to: SocketAddr) -> Result<Connecting, Errno> {
    let socket = socket_with(family(to.ip()), SocketType::STREAM, flags(), None)?;
    // The program's own writes are what is sent, and when.
    sockopt::set_tcp_nodelay(&socket, true)?;
    let is_connected = match connect(&socket, &to) {
        Ok(()) => true,
        Err(Errno::INPROGRESS) => false,
        Err(error) => return Err(error),
    };
    // A socket that asks for a port of the range that it connects to may be given that very one, and then talks to itself.
    if is_connected && getsockname(&socket).ok().and_then(|own| SocketAddr::try_from(own).ok()) == Some(to) {
        return Err(Errno::CONNREFUSED);
    }
    Ok(if is_connected { Connecting::Connected(socket) } else { Connecting::Begun(socket) })
}
