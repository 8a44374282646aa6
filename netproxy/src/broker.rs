//! Makes sockets, if the policy allows it.
//!
//! Nothing of what the guest or its peers send passes through here.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with, sockopt,
};
use septum_api_types::network::{Network, Publish};

use crate::policy::{Policy, Way};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Whom to tell of what a person may want to know.
pub type Log = Box<dyn Fn(&str) + Send>;

/// A published port, bound.
#[derive(Debug)]
pub struct Listener {
    /// Its socket.
    pub socket: OwnedFd,
    /// The guest's port.
    pub guest_port: u16,
}

/// Sockets that exist before the partition does.
#[derive(Debug, Default)]
pub struct Ports {
    /// Published ports.
    pub listeners: Vec<Listener>,
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
    /// Binds what is to be published.
    ///
    /// # Errors
    /// One of the ports is somebody else's.
    pub fn bind(network: &Network) -> Result<Self, PublishFailure> {
        let open = |publish: &Publish| {
            let socket = bound(publish)
                .map_err(|error| PublishFailure { publish: publish.clone(), error: error.into() })?;
            Ok(Listener { socket, guest_port: publish.guest_port })
        };
        Ok(Self { listeners: network.publish.iter().map(open).collect::<Result<_, _>>()? })
    }
}

fn flags() -> SocketFlags {
    SocketFlags::NONBLOCK | SocketFlags::CLOEXEC
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn bound(publish: &Publish) -> Result<OwnedFd, Errno> {
    let socket = socket_with(family(publish.host.ip()), SocketType::STREAM, flags(), None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &publish.host)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A connection that is made.
#[derive(Debug)]
pub struct Connecting {
    /// Its socket, which does not block.
    pub socket: OwnedFd,
    /// It stands already; otherwise it is writable when it does.
    pub is_connected: bool,
}

/// Makes sockets for one partition.
pub struct Broker {
    /// What it may reach.
    pub policy: Policy,
    log: Log,
}

impl Broker {
    /// A broker for a partition with this network, which tells `log` what it refuses.
    #[must_use]
    pub fn new(network: &Network, log: Log) -> Self {
        Self { policy: Policy::new(network.allow.clone()), log }
    }

    /// Connects to `to`, as the guest calls it.
    ///
    /// # Errors
    /// What the guest is told: ECONNREFUSED if no rule allows it, otherwise what the host says.
    pub fn connect(&self, to: SocketAddr) -> Result<Connecting, Errno> {
        match self.way(to, "connection")? {
            Way::Direct(to) => start(to),
            Way::Host(port) => start(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        }
    }

    /// Where messages to `to` go.
    ///
    /// # Errors
    /// ECONNREFUSED if no rule allows it.
    pub fn way(&self, to: SocketAddr, what: &str) -> Result<Way, Errno> {
        self.policy.decide(to, is_own).map_err(|refusal| {
            let mut line = String::new();
            // A string takes everything.
            let _ = write!(line, "network: {what} to {} refused; {}", refusal.to, refusal.advice);
            (self.log)(&line);
            Errno::CONNREFUSED
        })
    }
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
    Ok(Connecting { socket, is_connected })
}
