//! Makes sockets, if the policy allows it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{SocketType, bind, connect, getsockname, socket_with, sockopt};
use septum_api_types::network::{self, Network, Protocol};

use super::Log;
use crate::names::Bindings;
use crate::neighbours::{Neighbours, Refusal};
use crate::policy::{Policy, Way, is_never};
use crate::ports::{family, flags};
use crate::requests::State;

/// A connection that is made.
#[derive(Debug)]
pub(crate) enum Connecting {
    /// The host connects this socket, which does not block, or has.
    Socket(OwnedFd, State),
    /// It is to this port of another partition, which the supervisor connects to.
    Neighbour(Arc<str>, u16),
}

/// Makes sockets for one partition.
pub(crate) struct Maker {
    policy: Policy,
    bindings: Bindings,
    pub neighbours: Neighbours,
    has_vsock: bool,
    log: Log,
}

impl Maker {
    /// One for a partition with this network, which tells `log` what it refuses. `supervisor` connects to other partitions.
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
            Way::Neighbour(name, port) => return Ok(Connecting::Neighbour(name, port)),
        };
        start(to)
    }

    /// A socket for messages to `to`, as the guest calls it, and from there.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn exchange(&self, to: SocketAddr) -> Result<Connecting, Errno> {
        let to = match self.way(Protocol::Udp, to)? {
            Way::Direct(to) => to,
            Way::Host(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            Way::Neighbour(name, port) => return Ok(Connecting::Neighbour(name, port)),
        };
        let socket = socket_with(family(to.ip()), SocketType::DGRAM, flags(), None)?;
        connect(&socket, &to)?;
        Ok(Connecting::Socket(socket, State::Connected))
    }

    /// What the guest calls `to`.
    fn way(&self, protocol: Protocol, to: SocketAddr) -> Result<Way, Errno> {
        let neighbour = |ip| self.neighbours.name(ip);
        match self.policy.decide(protocol, to, &self.bindings.names(to.ip()), neighbour, is_own) {
            Ok(way) => Ok(way),
            Err(refusal) => {
                let what = what(protocol);
                self.tell(format_args!("network: {what} to {} refused; {}", refusal.to, refusal.advice));
                Err(Errno::CONNREFUSED)
            }
        }
    }

    /// Whether a nameserver may be asked for `name`; if not, a person is told.
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
    pub fn tell_of_neighbour(&self, name: &str, port: u16, protocol: Protocol, why: Refusal) {
        let (what, advice) = (what(protocol), why.advice(name, port, protocol));
        let suffix = protocol.suffix();
        self.tell(format_args!("network: {what} to {name}:{port}{suffix} refused; {advice}"));
    }

    /// Whether the supervisor may be asked for a port of the host; if not, a person is told.
    ///
    /// # Errors
    /// There is none: ECONNRESET.
    pub fn dial(&self, port: u32) -> Result<(), Errno> {
        if self.has_vsock {
            return Ok(());
        }
        let advice = format!("--vsock PATH would lead it to PATH_{port}");
        self.tell(format_args!("vsock: connection to port {port} of the host refused; {advice}"));
        Err(Errno::CONNRESET)
    }

    /// A connection to a port of the host was refused.
    pub fn tell_of_vsock(&self, port: u32, why: Refusal) {
        let advice = why.advice("", 0, Protocol::Tcp);
        self.tell(format_args!("vsock: connection to port {port} of the host refused; {advice}"));
    }

    /// The address of the partition that a name means, if a rule is about that.
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

/// What a refusal is of.
fn what(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "connection",
        Protocol::Udp => "message",
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
    Ok(Connecting::Socket(socket, if is_connected { State::Connected } else { State::Connecting }))
}
