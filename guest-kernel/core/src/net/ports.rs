//! Who has which port of TCP and UDP.
//!
//! Two sockets may have the same port if their addresses differ, if both say SO_REUSEPORT, or if both say SO_REUSEADDR and
//! neither listens. An IPv6 socket that is bound to any address has IPv4's too, unless it says IPV6_V6ONLY.

use super::address::{Address, Family};
use super::passing::Credentials;
use super::{Socket, connection, route};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU16, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Ports that are given to those who do not choose (net.ipv4.ip_local_port_range).
const EPHEMERAL: core::ops::RangeInclusive<u16> = 32_768..=60_999;
/// Ports below are for user 0.
const UNPRIVILEGED: u16 = 1024;

/// Whose ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// UDP-Lite, whose checksums nobody needs here either
    UdpLite,
}

/// A socket's port.
#[derive(Clone)]
struct Entry {
    socket: Weak<Socket>,
    ip: IpAddr,
    is_only_v6: bool,
    reuses_address: bool,
    reuses_port: bool,
    uid: u32,
}

type Table = Mutex<BTreeMap<u16, Vec<Entry>>>;

static TCP: Table = Mutex::new(BTreeMap::new());
static UDP: Table = Mutex::new(BTreeMap::new());
static UDP_LITE: Table = Mutex::new(BTreeMap::new());

fn table(protocol: Protocol) -> &'static Table {
    match protocol {
        Protocol::Tcp => &TCP,
        Protocol::Udp => &UDP,
        Protocol::UdpLite => &UDP_LITE,
    }
}

/// The protocol of a socket.
#[must_use]
pub fn protocol(socket: &Socket) -> Protocol {
    match socket.protocol {
        _ if connection::of(socket).is_some() => Protocol::Tcp,
        super::UDP_LITE => Protocol::UdpLite,
        _ => Protocol::Udp,
    }
}

/// A port that is somebody's; dropping it frees it.
pub struct Held {
    protocol: Protocol,
    port: u16,
    socket: Weak<Socket>,
    /// The program chose it, or the address.
    pub is_chosen: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ports = table(self.protocol).lock();
        if let Some(entries) = ports.get_mut(&self.port) {
            entries.retain(|entry| !entry.socket.ptr_eq(&self.socket));
            if entries.is_empty() {
                ports.remove(&self.port);
            }
        }
    }
}

impl Entry {
    /// Whether a message to `ip` is this socket's.
    fn takes(&self, ip: IpAddr) -> bool {
        match self.ip {
            IpAddr::V6(own) if own.is_unspecified() => ip.is_ipv6() || !self.is_only_v6,
            own if own.is_unspecified() => ip.is_ipv4(),
            own => own == ip,
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.takes(other.ip) || other.takes(self.ip)
    }
}

/// `bind`. EADDRNOTAVAIL if the address is not this host's, EADDRINUSE if the port is somebody's.
pub fn bind(socket: &Arc<Socket>, address: SocketAddr) -> Result<(), Errno> {
    let mut name = socket.name.lock();
    if name.port.is_some() {
        return Err(Errno::EINVAL);
    }
    let options = socket.options.lock().clone();
    let is_v4_in_v6 = socket.family == Family::V6 && address.is_ipv4();
    if is_v4_in_v6 && options.is_only_v6 {
        return Err(Errno::EINVAL);
    }
    if !route::is_local(address.ip()) {
        return Err(Errno::EADDRNOTAVAIL);
    }
    let uid = Credentials::current().uid;
    if (1..UNPRIVILEGED).contains(&address.port()) && uid != 0 {
        return Err(Errno::EACCES);
    }
    let entry = Entry {
        socket: Arc::downgrade(socket),
        ip: address.ip(),
        is_only_v6: options.is_only_v6,
        reuses_address: options.reuses_address,
        reuses_port: options.reuses_port,
        uid,
    };
    let port = take(protocol(socket), address.port(), entry)?;
    name.address = Address::Inet(SocketAddr::new(address.ip(), port));
    name.port =
        Some(Held { protocol: protocol(socket), port, socket: Arc::downgrade(socket), is_chosen: true });
    Ok(())
}

/// Puts an entry in; port 0 is any.
fn take(protocol: Protocol, port: u16, entry: Entry) -> Result<u16, Errno> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Sockets that may be the last reference to themselves are dropped after the lock.
    let mut looked_at = Vec::new();
    let mut ports = table(protocol).lock();
    let mut is_free = |ports: &BTreeMap<u16, Vec<Entry>>, port: u16| {
        let mut others = ports.get(&port).into_iter().flatten().filter(|other| other.overlaps(&entry));
        others.all(|other| {
            if entry.reuses_port && other.reuses_port && entry.uid == other.uid {
                return true;
            }
            let listens = other.socket.upgrade().is_some_and(|socket| {
                let listens = connection::of(&socket).is_some_and(connection::Connection::is_listening);
                looked_at.push(socket);
                listens
            });
            entry.reuses_address && other.reuses_address && !listens
        })
    };
    let port = if port == 0 {
        let count = EPHEMERAL.end() - EPHEMERAL.start() + 1;
        let free = (0..count).find_map(|_| {
            let port = EPHEMERAL.start() + NEXT.fetch_add(1, Ordering::Relaxed) % count;
            // Nobody shares a port without asking for it.
            ports.get(&port).is_none().then_some(port)
        });
        free.ok_or(Errno::EADDRINUSE)?
    } else if is_free(&ports, port) {
        port
    } else {
        drop(ports);
        return Err(Errno::EADDRINUSE);
    };
    ports.entry(port).or_default().push(entry);
    drop(ports);
    Ok(port)
}

/// Before it listens: EADDRINUSE if another socket does at an address of its own.
pub fn may_listen(socket: &Socket) -> Result<(), Errno> {
    let Address::Inet(address) = socket.address() else { return Ok(()) };
    let (others, own) = {
        let ports = TCP.lock();
        let entries = ports.get(&address.port()).cloned().unwrap_or_default();
        let (own, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| core::ptr::eq(entry.socket.as_ptr(), socket));
        (others, own)
    };
    let Some(own) = own.first() else { return Ok(()) };
    let listens = |entry: &&Entry| {
        entry
            .socket
            .upgrade()
            .is_some_and(|other| connection::of(&other).is_some_and(connection::Connection::is_listening))
    };
    let is_in_use = others
        .iter()
        .filter(|other| other.overlaps(own))
        .filter(listens)
        .any(|other| !(own.reuses_port && other.reuses_port));
    if is_in_use { Err(Errno::EADDRINUSE) } else { Ok(()) }
}

/// The socket's own address; if it has none it gets a port.
pub fn bound(socket: &Socket) -> Result<SocketAddr, Errno> {
    let own = socket.this()?;
    let is_bound = own.name.lock().port.is_some();
    if !is_bound {
        match bind(&own, route::unspecified(own.family)) {
            // Another thread was faster.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(errno),
        }
        if let Some(held) = &mut own.name.lock().port {
            held.is_chosen = false;
        }
    }
    match own.address() {
        Address::Inet(address) => Ok(address),
        _ => Err(Errno::EINVAL),
    }
}

/// Sockets that have the port and take what is sent to `to`: first those bound to just this address.
#[must_use]
pub fn find(protocol: Protocol, to: SocketAddr) -> Vec<Arc<Socket>> {
    static TURN: AtomicU16 = AtomicU16::new(0);
    let entries = table(protocol).lock().get(&to.port()).cloned().unwrap_or_default();
    let takers = || entries.iter().filter(|entry| entry.takes(to.ip()));
    let found = |is_exact: bool| {
        takers()
            .filter(move |entry| (entry.ip == to.ip()) == is_exact)
            .filter_map(|entry| entry.socket.upgrade())
    };
    let mut exact: Vec<_> = found(true).collect();
    let mut any: Vec<_> = found(false).collect();
    // Those that share a port take turns.
    for sockets in [&mut exact, &mut any] {
        if sockets.len() > 1 {
            let turn = usize::from(TURN.fetch_add(1, Ordering::Relaxed)) % sockets.len();
            sockets.rotate_left(turn);
        }
    }
    exact.append(&mut any);
    exact
}
