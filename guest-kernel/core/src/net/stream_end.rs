//! TCP connections with a peer outside the partition.
//!
//! ```text
//! connect ──► Connecting ──answered──► Connected: ends are a channel that fills, and a wire
//!                │ refused
//!                └──► idle, and an error to tell
//! published port: REQUEST ──► a socket in the listener's backlog, connected from the beginning
//! ```

use super::address::Address;
use super::channel::{Channel, Room};
use super::connection::{self, Connection, Ends, Outgoing, Phase};
use super::outside::{self, End, Opening, Wire};
use super::passing::Credentials;
use super::ports::{self, Protocol};
use super::shared::Shared;
use super::{Extra, Kind, Role, Socket, route};
use crate::io::Source;
use alloc::sync::{Arc, Weak};
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;
use septum_abi::net::{self, Answer, Preamble};
use septum_guest_hal::sync::Once;

/// The end of a connection that is a TCP socket.
pub struct StreamEnd {
    socket: Weak<Socket>,
    shared: Arc<Shared>,
    incoming: Arc<Channel>,
    peer: Address,
    /// Set before anything can come.
    wire: Once<Arc<dyn Wire>>,
}

/// Begins to connect `socket`, which has begun, to `peer`. The answer comes later.
pub fn connect(socket: &Arc<Socket>, peer: SocketAddr) -> Result<(), Errno> {
    let own = ports::bound(socket)?;
    let own_ip = if own.ip().is_unspecified() { route::outer(peer.ip()) } else { own.ip() };
    if own_ip.is_ipv4() != peer.is_ipv4() {
        return Err(Errno::ENETUNREACH);
    }
    let own = SocketAddr::new(own_ip, own.port());
    socket.name.lock().address = Address::Inet(own);
    let preamble = Preamble { kind: net::Kind::Stream, peer: Some(peer), own: Some(own) }.to_bytes();
    StreamEnd::open(socket, Address::Inet(peer), net::CARRIER, &preamble)
}

/// Somebody outside connects to a published port. Returns the end, and what to answer.
pub fn accept(preamble: Preamble, wire: &Arc<dyn Wire>) -> Result<(Arc<dyn End>, Answer), Errno> {
    let (Some(peer), Some(own)) = (preamble.peer, preamble.own) else { return Err(Errno::EINVAL) };
    let own = SocketAddr::new(IpAddr::V4(net::GUEST), own.port());
    let candidates = ports::find(Protocol::Tcp, own);
    let listens = |socket: &&Arc<Socket>| connection::of(socket).is_some_and(Connection::is_listening);
    let listener = candidates.iter().find(listens).ok_or(Errno::ECONNREFUSED)?;
    let accepted = Socket::new(listener.family, Kind::Stream, listener.protocol);
    accepted.name.lock().address = Address::Inet(own);
    *accepted.options.lock() = listener.options.lock().clone();
    let end = StreamEnd::offer(listener, accepted, Address::Inet(peer), wire)?;
    Ok((end, Answer { errno: 0, peer: Some(peer), seen: Some(own) }))
}

impl StreamEnd {
    /// Asks the host for a connection of `socket` to `peer`, at a port of the carrier, with `contents`.
    pub(super) fn open(socket: &Arc<Socket>, peer: Address, port: u32, contents: &[u8]) -> Result<(), Errno> {
        let carrier = outside::carrier().ok_or(Errno::ENETUNREACH)?;
        let connection = connection::of(socket).ok_or(Errno::EOPNOTSUPP)?;
        let end = Self::new(socket, peer);
        let opening = Opening { port, carries_messages: false, contents, room: outside::RECEIVED };
        // Held while it is opened, so that the answer does not come before the wire is known.
        let mut wire = connection.wire.lock();
        let opened = carrier.open(&opening, Arc::clone(&end) as Arc<dyn End>)?;
        end.wire.call_once(|| Arc::clone(&opened));
        *wire = Some(opened);
        Ok(())
    }

    /// Puts a socket that somebody outside has connected into the backlog of `listener`.
    pub(super) fn offer(
        listener: &Socket,
        accepted: Arc<Socket>,
        peer: Address,
        wire: &Arc<dyn Wire>,
    ) -> Result<Arc<dyn End>, Errno> {
        let end = Self::new(&accepted, peer);
        end.wire.call_once(|| Arc::clone(wire));
        let connection = connection::of(&accepted).ok_or(Errno::EOPNOTSUPP)?;
        *connection.wire.lock() = Some(Arc::clone(wire));
        end.join(connection, true);
        connection::of(listener).ok_or(Errno::ECONNREFUSED)?.offer(listener, accepted)?;
        Ok(end)
    }

    fn new(socket: &Arc<Socket>, peer: Address) -> Arc<Self> {
        let nobody = Arc::default();
        let room = Room { sent: None, received: None, is_inet: true };
        Arc::new(Self {
            socket: Arc::downgrade(socket),
            shared: Arc::clone(&socket.shared),
            incoming: Channel::new(false, room, &nobody, &socket.shared),
            peer,
            wire: Once::new(),
        })
    }

    /// The connection stands.
    fn join(&self, connection: &Connection, is_known: bool) {
        let Some(wire) = self.wire.get() else { return };
        let credentials = Credentials::default();
        connection.ends.call_once(|| Ends {
            incoming: Arc::clone(&self.incoming),
            outgoing: Outgoing::wire(Arc::clone(wire)),
            peer: Arc::default(),
            peer_address: self.peer.clone(),
            peer_credentials: credentials,
        });
        *connection.phase.lock() = Phase::Connected { is_known };
        self.shared.queue.wake_all();
    }
}

impl End for StreamEnd {
    fn answered(&self, answer: Result<Answer, Errno>) {
        // A socket that was closed meanwhile has closed its wire too.
        let Some(socket) = self.socket.upgrade() else { return };
        let Role::Connection(connection) = &socket.role else { return };
        // Whoever opens it holds this until the wire is known.
        let wire = connection.wire.lock();
        match answer {
            Ok(_) => {
                drop(wire);
                self.join(connection, false);
            }
            Err(errno) => {
                let mut wire = wire;
                let gone = wire.take();
                drop(wire);
                drop(gone);
                *connection.phase.lock() = Phase::Idle;
                self.shared.fail(errno);
            }
        }
    }

    fn arrived(&self, from: &mut dyn Source) {
        if self.incoming.send(from, &mut Extra::default()).is_err() || from.remaining() > 0 {
            // No memory for it: what is missing cannot be asked for again.
            if let Some(wire) = self.wire.get() {
                wire.close(true);
            }
            self.reset();
        }
    }

    fn has_room(&self) {
        self.shared.queue.wake_all();
    }

    fn finished(&self) {
        self.incoming.finish();
    }

    fn reset(&self) {
        let Some(socket) = self.socket.upgrade() else { return };
        let Some(ends) = connection::of(&socket).and_then(Connection::ends) else { return };
        let was_over = ends.outgoing.state().is_finished && ends.incoming.state().is_finished;
        ends.outgoing.refuse();
        if !was_over {
            self.shared.is_cut.store(true, Ordering::SeqCst);
            self.shared.fail(Errno::ECONNRESET);
        }
        self.incoming.finish();
    }
}
