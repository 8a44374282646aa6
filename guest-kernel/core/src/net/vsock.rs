//! AF_VSOCK: streams between a program and whoever listens or connects on the host.
//!
//! ```text
//! connect to (HOST, port) ──► Connecting ──answered──► Connected: as a TCP connection that leaves the partition
//! the host connects to a port ──► a socket in the listener's backlog
//! connect to (LOCAL or GUEST_CID, port) ──► two channels, as inside one kernel
//! ```
//!
//! Ports are 32 bits, of one table. Which port the other side sees is the carrier's matter: the address of a socket is what its program knows.

use super::address::Address;
use super::connection::{self, Connection};
use super::outside::{self, Wire};
use super::passing::Credentials;
use super::stream_end::StreamEnd;
use super::{Kind, Socket};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::Errno;
use septum_abi::net::{Answer, CARRIER};
use septum_abi::vsock::{GUEST_CID, HOST_CID};
use septum_guest_hal::sync::Mutex;

/// VMADDR_CID_ANY, VMADDR_PORT_ANY
pub const ANY: u32 = u32::MAX;
/// VMADDR_CID_LOCAL
const LOCAL: u32 = 1;
/// VMADDR_CID_HOST
const HOST: u32 = 2;
/// The partition.
const GUEST: u32 = 3;
const _: () = assert!(HOST as u64 == HOST_CID && GUEST as u64 == GUEST_CID);
/// The first port that is not user 0's, and that is given to those who do not choose.
const FIRST_PORT: u32 = 1024;

static PORTS: Mutex<BTreeMap<u32, Weak<Socket>>> = Mutex::new(BTreeMap::new());

/// What `/dev/vsock` says the partition is.
#[must_use]
pub fn local_cid() -> u32 {
    if outside::carrier().is_some() { GUEST } else { ANY }
}

/// `bind`. EINVAL if it has a name, EADDRNOTAVAIL if the address is not the partition's, EADDRINUSE if the port is somebody's.
pub fn bind(socket: &Arc<Socket>, cid: u32, port: u32) -> Result<(), Errno> {
    if !matches!(cid, ANY | LOCAL | GUEST) {
        return Err(Errno::EADDRNOTAVAIL);
    }
    if port < FIRST_PORT && Credentials::current().uid != 0 {
        return Err(Errno::EACCES);
    }
    let mut name = socket.name.lock();
    if !matches!(name.address, Address::Vsock { port: ANY, .. }) {
        return Err(Errno::EINVAL);
    }
    static NEXT: AtomicU32 = AtomicU32::new(FIRST_PORT);
    let mut ports = PORTS.lock();
    let port = if port == ANY {
        let next = || NEXT.fetch_add(1, Ordering::Relaxed).clamp(FIRST_PORT, ANY - 1);
        // One more than are taken is enough to find one that is free.
        (0..=ports.len())
            .map(|_| next())
            .find(|port| !ports.contains_key(port))
            .ok_or(Errno::EADDRNOTAVAIL)?
    } else if ports.contains_key(&port) {
        return Err(Errno::EADDRINUSE);
    } else {
        port
    };
    ports.insert(port, Arc::downgrade(socket));
    drop(ports);
    name.address = Address::Vsock { cid, port };
    Ok(())
}

/// The socket is closed: its port is free, if it has one.
pub fn forget(socket: &Socket) {
    let Address::Vsock { port, .. } = socket.name.lock().address else { return };
    let mut ports = PORTS.lock();
    // What was accepted has its listener's port, and no entry.
    if ports.get(&port).is_some_and(|entry| core::ptr::eq(entry.as_ptr(), socket)) {
        ports.remove(&port);
    }
}

fn listener(port: u32) -> Option<Arc<Socket>> {
    let socket = PORTS.lock().get(&port).and_then(Weak::upgrade)?;
    connection::of(&socket).is_some_and(Connection::is_listening).then_some(socket)
}

/// Whom an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A program of the partition.
    Inside,
    /// The host.
    Outside,
}

/// Where a connection to this partition goes. ENODEV if nowhere.
pub fn to(cid: u32) -> Result<Way, Errno> {
    match (cid, outside::carrier()) {
        (LOCAL, _) | (GUEST, Some(_)) => Ok(Way::Inside),
        (HOST, Some(_)) => Ok(Way::Outside),
        _ => Err(Errno::ENODEV),
    }
}

fn bound(socket: &Arc<Socket>) -> Result<(), Errno> {
    match socket.address() {
        Address::Vsock { port: ANY, .. } => bind(socket, ANY, ANY),
        _ => Ok(()),
    }
}

/// Connects `socket`, which has begun, to a program of the partition. ECONNRESET if nobody listens.
pub fn reach(socket: &Arc<Socket>, cid: u32, port: u32) -> Result<(), Errno> {
    bound(socket)?;
    let listener = listener(port).ok_or(Errno::ECONNRESET)?;
    let make = || accepted(&listener, Address::Vsock { cid, port });
    connection::of(socket).ok_or(Errno::EOPNOTSUPP)?.connect(socket, &listener, make)
}

fn accepted(listener: &Socket, own: Address) -> Arc<Socket> {
    let accepted = Socket::new(listener.family, Kind::Stream, listener.protocol);
    accepted.name.lock().address = own;
    *accepted.options.lock() = listener.options.lock().clone();
    accepted
}

/// Begins to connect `socket`, which has begun, to a port of the host. The answer comes later.
pub fn connect(socket: &Arc<Socket>, port: u32) -> Result<(), Errno> {
    if port == CARRIER {
        return Err(Errno::ECONNRESET);
    }
    bound(socket)?;
    {
        let mut name = socket.name.lock();
        if let Address::Vsock { port, .. } = name.address {
            name.address = Address::Vsock { cid: GUEST, port };
        }
    }
    StreamEnd::open(socket, Address::Vsock { cid: HOST, port }, port, &[])
}

/// The host connects to a port. Returns the end, and what to answer.
pub fn accept(port: u32, from: u32, wire: &Arc<dyn Wire>) -> Result<(Arc<dyn outside::End>, Answer), Errno> {
    let listener = listener(port).ok_or(Errno::ECONNREFUSED)?;
    let own = Address::Vsock { cid: GUEST, port };
    let end = StreamEnd::offer(
        &listener,
        accepted(&listener, own),
        Address::Vsock { cid: HOST, port: from },
        wire,
    )?;
    Ok((end, Answer { errno: 0, peer: None, seen: None }))
}
