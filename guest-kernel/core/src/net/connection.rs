//! Stream and seqpacket sockets: those that are connected before anything is sent.
//!
//! ```text
//!            listen              connect (from another)
//!   idle ───────────► listening ───────────────────────► its backlog holds the new socket, until accept
//!     │ connect
//!     └──────────────► connected: two channels
//! ```
//!
//! Connecting makes the socket that the listener will accept, so that both ends are connected at once, whenever `accept` comes; with somebody
//! outside the partition it takes an answer ([`stream_end`](super::stream_end)). What a connection
//! is once stays so: its [`Ends`] are set once and read without a lock.
//!
//! The protocols differ in how they end. A Unix socket that is closed ends both directions; one that was not read to the end tells its
//! peer ECONNRESET. TCP's ends its own direction; if something unread was there, or SO_LINGER is 0, both, with ECONNRESET; and what is sent to it
//! afterwards vanishes, once, and then is EPIPE: the answer to a packet of which nobody knows.

use super::address::{Address, Family};
use super::channel::{Channel, Room, State};
use super::outside::{self, Wire};
use super::passing::Credentials;
use super::shared::Shared;
use super::{Extra, How, Kind, Received, Socket, Target};
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::poll;
use crate::io::{Destination, Source};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::{Mutex, Once};

/// Most connections that wait for `accept` (net.core.somaxconn).
const LARGEST_BACKLOG: usize = 4096;
/// What a connected socket has.
pub struct Ends {
    /// What is received.
    pub incoming: Arc<Channel>,
    /// What is sent.
    pub outgoing: Outgoing,
    /// The other socket.
    pub peer: Arc<Shared>,
    /// Its name when they were connected.
    pub peer_address: Address,
    /// Who connected or listened at the other end.
    pub peer_credentials: Credentials,
}

/// Where what is sent goes.
pub enum Outgoing {
    /// To another socket of this kernel.
    Channel(Arc<Channel>),
    /// Out of the partition.
    Wire {
        /// How.
        wire: Arc<dyn Wire>,
        /// Nothing more will be sent.
        is_finished: AtomicBool,
        /// The other side is gone.
        is_refused: AtomicBool,
    },
}

impl Outgoing {
    /// The way out.
    pub fn wire(wire: Arc<dyn Wire>) -> Self {
        Self::Wire { wire, is_finished: AtomicBool::new(false), is_refused: AtomicBool::new(false) }
    }

    /// See [`Channel::state`].
    pub fn state(&self) -> State {
        match self {
            Self::Channel(channel) => channel.state(),
            Self::Wire { wire, is_finished, is_refused } => State {
                has_room: wire.has_room(),
                is_finished: is_finished.load(Ordering::SeqCst),
                is_refused: is_refused.load(Ordering::SeqCst),
                ..State::default()
            },
        }
    }

    fn send(&self, from: &mut dyn Source, extra: &mut Extra) -> Result<usize, Errno> {
        match self {
            Self::Channel(channel) => channel.send(from, extra),
            Self::Wire { wire, is_finished, is_refused } => {
                if is_finished.load(Ordering::SeqCst) || is_refused.load(Ordering::SeqCst) {
                    return Err(Errno::EPIPE);
                }
                if from.remaining() == 0 { Ok(0) } else { wire.send(from) }
            }
        }
    }

    fn waiting(&self) -> usize {
        match self {
            Self::Channel(channel) => channel.waiting(),
            Self::Wire { wire, .. } => wire.unsent(),
        }
    }

    fn set_room(&self, change: impl FnOnce(&mut Room)) {
        // What waits outside is the proxy's, and as much as that allows.
        if let Self::Channel(channel) = self {
            channel.set_room(change);
        }
    }

    fn finish(&self) {
        match self {
            Self::Channel(channel) => channel.finish(),
            Self::Wire { wire, is_finished, .. } => {
                if !is_finished.swap(true, Ordering::SeqCst) {
                    wire.finish();
                }
            }
        }
    }

    /// The other side receives nothing more.
    pub fn refuse(&self) {
        match self {
            Self::Channel(channel) => {
                channel.refuse();
            }
            Self::Wire { is_refused, .. } => is_refused.store(true, Ordering::SeqCst),
        }
    }

    fn is_wire(&self) -> bool {
        matches!(self, Self::Wire { .. })
    }
}

/// How far a connection is.
#[derive(Default)]
pub enum Phase {
    /// Nothing is begun.
    #[default]
    Idle,
    /// Someone is at it.
    Connecting,
    /// It failed or succeeded, and the program, which did not wait, has not asked yet.
    Connected {
        /// It has asked.
        is_known: bool,
    },
    /// Others connect to it.
    Listening(Backlog),
}

/// What waits to be accepted.
pub struct Backlog {
    waiting: VecDeque<Arc<Socket>>,
    limit: usize,
    credentials: Credentials,
}

/// A stream or seqpacket socket.
#[derive(Default)]
pub struct Connection {
    /// How far it is.
    pub phase: Mutex<Phase>,
    /// Both directions, once it is connected.
    pub ends: Once<Ends>,
    /// The way out of the partition, from the time it is asked for.
    pub wire: Mutex<Option<Arc<dyn Wire>>>,
    /// `shutdown` ended receiving; of TCP only this end knows.
    is_deaf: AtomicBool,
    /// The peer was closed, and something was sent to it since: both directions have ended.
    is_reset: AtomicBool,
    /// It waits to be accepted.
    is_waiting: AtomicBool,
}

/// Connects two sockets with each other.
pub fn join(first: &Arc<Socket>, second: &Arc<Socket>) -> Result<(), Errno> {
    let credentials = Credentials::current();
    connect_ends(first, second, [credentials; 2])
}

fn connect_ends(first: &Socket, second: &Socket, credentials: [Credentials; 2]) -> Result<(), Errno> {
    let (Some(one), Some(other)) = (of(first), of(second)) else { return Err(Errno::EPROTOTYPE) };
    let keeps_messages = first.kind == Kind::Messages;
    let there = Channel::new(keeps_messages, room(first, second), &first.shared, &second.shared);
    let back = Channel::new(keeps_messages, room(second, first), &second.shared, &first.shared);
    let (first_address, second_address) = (first.address(), second.address());
    one.ends.call_once(|| Ends {
        incoming: Arc::clone(&back),
        outgoing: Outgoing::Channel(Arc::clone(&there)),
        peer: Arc::clone(&second.shared),
        peer_address: second_address,
        peer_credentials: credentials[1],
    });
    other.ends.call_once(|| Ends {
        incoming: there,
        outgoing: Outgoing::Channel(back),
        peer: Arc::clone(&first.shared),
        peer_address: first_address,
        peer_credentials: credentials[0],
    });
    for (connection, socket) in [(one, first), (other, second)] {
        *connection.phase.lock() = Phase::Connected { is_known: true };
        socket.shared.queue.wake_all();
    }
    Ok(())
}

/// Room for what is on its way from one socket to another.
fn room(from: &Socket, to: &Socket) -> Room {
    let sent = {
        let options = from.options.lock();
        (options.has_send_buffer || from.kind == Kind::Messages).then_some(options.send_buffer)
    };
    let received = {
        let options = to.options.lock();
        options.has_receive_buffer.then_some(options.receive_buffer)
    };
    Room { sent, received, is_inet: from.is_inet() }
}

/// The connection that `socket` is, if it is of such a kind.
#[must_use]
pub fn of(socket: &Socket) -> Option<&Connection> {
    match &socket.role {
        super::Role::Connection(connection) => Some(connection),
        _ => None,
    }
}

impl Connection {
    /// `listen`. EINVAL if it is connected.
    pub fn listen(&self, socket: &Socket, limit: i32) -> Result<(), Errno> {
        let limit = usize::try_from(limit).unwrap_or(LARGEST_BACKLOG).min(LARGEST_BACKLOG);
        let credentials = Credentials::current();
        let mut phase = self.phase.lock();
        match &mut *phase {
            Phase::Idle => {
                *phase = Phase::Listening(Backlog { waiting: VecDeque::new(), limit, credentials })
            }
            Phase::Listening(backlog) => backlog.limit = limit,
            Phase::Connecting | Phase::Connected { .. } => return Err(Errno::EINVAL),
        }
        drop(phase);
        socket.shared.queue.wake_all();
        Ok(())
    }

    /// Whether it listens.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Listening(_))
    }

    /// What it has, if it is connected.
    #[must_use]
    pub fn ends(&self) -> Option<&Ends> {
        self.ends.get()
    }

    /// `accept`: the connection that waits longest.
    pub fn accept(&self, socket: &Socket) -> Result<Arc<Socket>, Errno> {
        if socket.may_leave() {
            outside::look();
        }
        let accepted = match &mut *self.phase.lock() {
            Phase::Listening(backlog)
                if self.is_deaf.load(Ordering::SeqCst) && backlog.waiting.is_empty() =>
            {
                return Err(Errno::EINVAL);
            }
            Phase::Listening(backlog) => backlog.waiting.pop_front().ok_or(Errno::EAGAIN)?,
            _ => return Err(Errno::EINVAL),
        };
        if let Some(connection) = of(&accepted) {
            connection.is_waiting.store(false, Ordering::SeqCst);
        }
        // Who waits for room in the backlog looks again.
        socket.shared.queue.wake_all();
        Ok(accepted)
    }

    /// Begins to connect: from here on nobody else does. EISCONN, EALREADY, EINVAL if it listens.
    pub fn begin(&self, socket: &Socket) -> Result<(), Errno> {
        let mut phase = self.phase.lock();
        match &mut *phase {
            Phase::Idle => {
                if let Some(errno) = socket.shared.take_error() {
                    return Err(errno);
                }
                *phase = Phase::Connecting;
                Ok(())
            }
            Phase::Connecting => Err(Errno::EALREADY),
            Phase::Connected { is_known } if !*is_known => {
                *is_known = true;
                Err(Errno::EALREADY)
            }
            Phase::Connected { .. } => Err(Errno::EISCONN),
            Phase::Listening(_) if socket.is_inet() => Err(Errno::EISCONN),
            Phase::Listening(_) => Err(Errno::EINVAL),
        }
    }

    /// Whether a program that did not wait is told of its connection now, for the first time.
    pub fn learns_of_success(&self) -> bool {
        match &mut *self.phase.lock() {
            Phase::Connected { is_known } if !*is_known => {
                *is_known = true;
                true
            }
            _ => false,
        }
    }

    /// The program did not wait for the connection, and has yet to ask.
    pub fn set_unknown(&self) {
        if let Phase::Connected { is_known } = &mut *self.phase.lock() {
            *is_known = false;
        }
    }

    /// Whether the answer to a connection request has yet to come.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Connecting)
    }

    /// Gives up connecting.
    pub fn give_up(&self) {
        let mut phase = self.phase.lock();
        if matches!(*phase, Phase::Connecting) {
            *phase = Phase::Idle;
        }
    }

    /// Connects `socket`, which has [begun](Self::begin), to one that listens. `make` makes the socket that will be accepted.
    /// ECONNREFUSED if nobody listens there, EAGAIN if too many wait already.
    pub fn connect(
        &self,
        socket: &Socket,
        listener: &Socket,
        make: impl FnOnce() -> Arc<Socket>,
    ) -> Result<(), Errno> {
        let there = of(listener).ok_or(Errno::EPROTOTYPE)?;
        let credentials = match &*there.phase.lock() {
            Phase::Listening(_) if there.is_deaf.load(Ordering::SeqCst) => return Err(Errno::ECONNREFUSED),
            Phase::Listening(backlog) if backlog.is_full(listener) => return Err(Errno::EAGAIN),
            Phase::Listening(backlog) => backlog.credentials,
            _ => return Err(Errno::ECONNREFUSED),
        };
        let accepted = make();
        if let Some(connection) = of(&accepted) {
            connection.is_waiting.store(true, Ordering::SeqCst);
        }
        connect_ends(socket, &accepted, [Credentials::current(), credentials])?;
        there.queue_up(listener, accepted);
        Ok(())
    }

    /// A socket that somebody outside has connected waits to be accepted. ECONNREFUSED if nobody listens any more, or too many wait.
    pub fn offer(&self, listener: &Socket, accepted: Arc<Socket>) -> Result<(), Errno> {
        match &*self.phase.lock() {
            Phase::Listening(backlog)
                if !self.is_deaf.load(Ordering::SeqCst) && backlog.waiting.len() < LARGEST_BACKLOG => {}
            _ => return Err(Errno::ECONNREFUSED),
        }
        if let Some(connection) = of(&accepted) {
            connection.is_waiting.store(true, Ordering::SeqCst);
        }
        self.queue_up(listener, accepted);
        Ok(())
    }

    fn queue_up(&self, listener: &Socket, accepted: Arc<Socket>) {
        let refused = match &mut *self.phase.lock() {
            // One too many, if two came at once, does no harm.
            Phase::Listening(backlog) => {
                backlog.waiting.push_back(accepted);
                None
            }
            _ => Some(accepted),
        };
        // Closed without the lock; the connection is reset.
        drop(refused);
        listener.shared.queue.wake_all();
    }

    /// Sends. ENOTCONN (EPIPE, of TCP) if it is not connected.
    pub fn send(
        &self,
        socket: &Socket,
        from: &mut dyn Source,
        to: &Target,
        extra: &mut Extra,
    ) -> Result<usize, Errno> {
        let Some(ends) = self.ends.get() else {
            if socket.may_leave() && self.is_connecting() {
                return Err(Errno::EAGAIN);
            }
            return Err(match (socket.is_inet(), to) {
                (true, _) => socket.shared.take_error().unwrap_or(Errno::EPIPE),
                (false, Target::Peer) => Errno::ENOTCONN,
                (false, _) => Errno::EOPNOTSUPP,
            });
        };
        if !socket.is_inet() && !matches!(to, Target::Peer) && socket.kind == Kind::Stream {
            return Err(Errno::EISCONN);
        }
        if socket.is_inet()
            && let Some(errno) = socket.shared.take_error()
        {
            return Err(errno);
        }
        match ends.outgoing.send(from, extra) {
            Err(Errno::EPIPE) if socket.is_inet() && self.is_unanswered(ends) => {
                let len = from.remaining();
                from.advance(len);
                socket.shared.fail(Errno::EPIPE);
                Ok(len)
            }
            result => result,
        }
    }

    /// Whether the peer is closed and this is the first that is sent to it since. Then the connection is reset.
    fn is_unanswered(&self, ends: &Ends) -> bool {
        let state = ends.outgoing.state();
        !ends.outgoing.is_wire()
            && state.is_refused
            && !state.is_finished
            && !self.is_reset.swap(true, Ordering::SeqCst)
    }

    /// Receives; nothing at the end.
    pub fn receive(&self, socket: &Socket, to: &mut dyn Destination, how: How) -> Result<Received, Errno> {
        let Some(ends) = self.ends.get() else {
            if self.is_deaf.load(Ordering::SeqCst) {
                return Ok(Received::default());
            }
            if socket.may_leave() && self.is_connecting() {
                return Err(Errno::EAGAIN);
            }
            let is_unix_stream = socket.family == Family::Unix && socket.kind == Kind::Stream;
            let otherwise = if is_unix_stream { Errno::EINVAL } else { Errno::ENOTCONN };
            return Err(socket.shared.take_error().unwrap_or(otherwise));
        };
        match ends.incoming.receive(to, how) {
            Ok(received) if received.credentials.is_some() => {
                if let Outgoing::Wire { wire, .. } = &ends.outgoing
                    && !how.is_peek
                {
                    wire.taken(received.len);
                }
                Ok(received)
            }
            // TCP is told of a reset only if the other end had not finished before.
            Ok(end) if socket.is_inet() && !socket.shared.is_cut.load(Ordering::SeqCst) => Ok(end),
            Ok(end) => socket.shared.take_error().map_or(Ok(end), Err),
            Err(Errno::EAGAIN) => match socket.shared.take_error() {
                Some(errno) => Err(errno),
                None if self.is_deaf.load(Ordering::SeqCst) => Ok(Received::default()),
                None => Err(Errno::EAGAIN),
            },
            Err(errno) => Err(errno),
        }
    }

    /// SO_SNDBUF or SO_RCVBUF is another; `is_sent` says which. Of a Unix connection only the sender's counts.
    pub fn buffer_changed(&self, socket: &Socket, is_sent: bool) {
        let Some(ends) = self.ends.get() else { return };
        let options = socket.options.lock();
        let (sent, received) = (options.send_buffer, options.receive_buffer);
        drop(options);
        match is_sent {
            true => ends.outgoing.set_room(|room| room.sent = Some(sent)),
            false => ends.incoming.set_room(|room| room.received = Some(received)),
        }
    }

    /// Receives the urgent byte. EINVAL if there is none.
    pub fn receive_urgent(&self, to: &mut dyn Destination, is_peek: bool) -> Result<usize, Errno> {
        self.ends.get().ok_or(Errno::ENOTCONN)?.incoming.receive_urgent(to, is_peek)
    }

    /// Whether the next byte is the urgent one.
    #[must_use]
    pub fn is_at_mark(&self) -> bool {
        self.ends.get().is_some_and(|ends| ends.incoming.is_at_mark())
    }

    /// `shutdown`
    pub fn shut_down(&self, socket: &Socket, receiving: bool, sending: bool) -> Result<(), Errno> {
        let Some(ends) = self.ends.get() else {
            if socket.may_leave() && !self.is_listening() {
                return Err(Errno::ENOTCONN);
            }
            if receiving {
                self.is_deaf.store(true, Ordering::SeqCst);
                socket.shared.queue.wake_all();
            }
            return Ok(());
        };
        if receiving {
            self.is_deaf.store(true, Ordering::SeqCst);
            if socket.may_leave() {
                socket.shared.queue.wake_all();
            } else {
                ends.incoming.refuse();
            }
        }
        if sending {
            ends.outgoing.finish();
        }
        Ok(())
    }

    /// Whom it is connected to.
    pub fn peer_address(&self) -> Result<Address, Errno> {
        self.ends.get().map(|ends| ends.peer_address.clone()).ok_or(Errno::ENOTCONN)
    }

    /// Whether a connection of TCP is over: both directions have ended, whatever is still to be received. Then it has no peer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ends
            .get()
            .is_some_and(|ends| ends.outgoing.state().is_finished && ends.incoming.state().is_finished)
    }

    /// Shows the files on their way to it, and to connections that nobody has accepted.
    pub fn each_file(&self, each: &mut dyn FnMut(&Arc<OpenFile>)) {
        if let Some(ends) = self.ends.get() {
            ends.incoming.each_file(each);
        }
        let waiting: Vec<Arc<Socket>> = match &*self.phase.lock() {
            Phase::Listening(backlog) => backlog.waiting.iter().cloned().collect(),
            _ => Vec::new(),
        };
        waiting.iter().for_each(|socket| socket.each_file(each));
    }

    /// Bytes that can be received. EINVAL if it listens.
    pub fn available(&self) -> Result<usize, Errno> {
        match self.ends.get() {
            Some(ends) => Ok(ends.incoming.available()),
            None if self.is_listening() => Err(Errno::EINVAL),
            None => Ok(0),
        }
    }

    /// Bytes that were sent and not yet received.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.ends.get().map_or(0, |ends| ends.outgoing.waiting())
    }

    /// [`poll`] events.
    #[must_use]
    pub fn poll(&self, socket: &Socket) -> u16 {
        let error = if socket.shared.has_error() { poll::ERR } else { 0 };
        let Some(ends) = self.ends.get() else {
            let deaf = if self.is_deaf.load(Ordering::SeqCst) { poll::IN | poll::READ_HUP } else { 0 };
            return error
                | deaf
                | match &*self.phase.lock() {
                    Phase::Listening(backlog) if backlog.waiting.is_empty() => 0,
                    Phase::Listening(_) => poll::IN,
                    Phase::Connecting => 0,
                    // A connection that was refused has ended.
                    _ if error != 0 => poll::IN | poll::OUT | poll::HUP | poll::READ_HUP,
                    _ => poll::OUT | poll::HUP,
                };
        };
        let (incoming, outgoing) = (ends.incoming.state(), ends.outgoing.state());
        error | self.events(socket, incoming, outgoing)
    }

    fn events(&self, socket: &Socket, incoming: State, outgoing: State) -> u16 {
        let is_deaf = self.is_deaf.load(Ordering::SeqCst);
        let is_reset = self.is_reset.load(Ordering::SeqCst) || socket.shared.is_cut.load(Ordering::SeqCst);
        let hears_no_more = incoming.is_finished || is_deaf || is_reset;
        let says_no_more = if socket.is_inet() {
            outgoing.is_finished || is_reset
        } else {
            outgoing.is_finished || outgoing.is_refused
        };
        let mut events = if incoming.has_urgent { poll::URGENT } else { 0 };
        if incoming.has_data || hears_no_more {
            events |= poll::IN;
        }
        if hears_no_more {
            events |= poll::READ_HUP;
        }
        if hears_no_more && says_no_more {
            events |= poll::HUP;
        }
        if outgoing.has_room || says_no_more || (socket.is_inet() && outgoing.is_refused) {
            events |= poll::OUT;
        }
        events
    }

    /// The socket is closed.
    pub fn close(&self, socket: &Socket) {
        let phase = core::mem::take(&mut *self.phase.lock());
        if let Phase::Listening(backlog) = phase {
            // Nobody will accept them: their own end closes them, without the lock.
            drop(backlog);
            socket.shared.queue.wake_all();
        }
        let wire = self.wire.lock().take();
        let Some(ends) = self.ends.get() else {
            if let Some(wire) = wire {
                wire.close(true);
            }
            return;
        };
        let was_unread = ends.incoming.refuse();
        let lingers_not = socket.options.lock().linger == (true, 0);
        // One that nobody has accepted was not read to its end either.
        let was_unread = was_unread || self.is_waiting.load(Ordering::SeqCst);
        let is_reset = was_unread || (socket.is_inet() && lingers_not);
        if let Some(wire) = wire {
            wire.close(is_reset);
            ends.incoming.clear();
            return;
        }
        if is_reset {
            let had_finished = ends.outgoing.state().is_finished;
            if socket.is_inet() {
                ends.peer.is_cut.store(!had_finished, Ordering::SeqCst);
                ends.incoming.finish();
            }
            // Who knew already that nothing would come hears of it as of a broken pipe.
            let is_known = socket.is_inet() && had_finished;
            ends.peer.fail(if is_known { Errno::EPIPE } else { Errno::ECONNRESET });
        }
        ends.incoming.clear();
        ends.outgoing.finish();
    }
}

impl Backlog {
    fn is_full(&self, listener: &Socket) -> bool {
        // Linux lets TCP's clients wait for an answer that comes when there is room; here they are connected and wait for the program's.
        let limit = if listener.is_inet() { LARGEST_BACKLOG } else { self.limit };
        self.waiting.len() > limit
    }
}
