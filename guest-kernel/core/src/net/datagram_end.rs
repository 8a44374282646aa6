//! UDP with somebody outside the partition.
//!
//! ```text
//! first message, or bind to a port ──► Opening: messages wait ──answered──► Open: each goes at once
//!                                          │ refused                           │ reset
//!                                          └──────────────► none: the next message opens it again
//! ```
//!
//! One wire carries all messages of a socket, each behind a label that says to or from whom. It says too when one did not arrive;
//! that is an error, ECONNREFUSED, of a socket that has chosen that peer, as ICMP would make it.

use super::Socket;
use super::datagram::{self, Peer};
use super::outside::{self, End, Opening, Wire};
use super::packet::{Headers, Packet};
use super::route;
use crate::io::{KernelSource, Source};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use septum_abi::linux::Errno;
use septum_abi::net::{self, Answer, LABEL, Label, Preamble};
use septum_guest_hal::sync::Mutex;

/// Messages that wait for the wire; more are lost, as on a network.
const MOST_WAITING: usize = 64;

/// The way out of a datagram socket.
#[derive(Default)]
pub struct Outlet {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wire: Option<Arc<dyn Wire>>,
    /// The host has agreed.
    is_open: bool,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// The end of a wire that is a UDP socket.
struct DatagramEnd {
    socket: Weak<Socket>,
}

impl Outlet {
    /// Opens the way, if it is not open. `own` is the socket's port.
    pub fn open(&self, socket: &Socket, own: SocketAddr) -> Result<(), Errno> {
        let mut state = self.state.lock();
        if state.wire.is_some() {
            return Ok(());
        }
        let carrier = outside::carrier().ok_or(Errno::ENETUNREACH)?;
        let end = Arc::new(DatagramEnd { socket: socket.weak() });
        let preamble = Preamble { kind: net::Kind::Datagram, peer: None, own: Some(own) }.to_bytes();
        let opening = Opening {
            port: net::CARRIER,
            carries_messages: true,
            contents: &preamble,
            room: outside::RECEIVED,
        };
        // Held while it is opened, so that the answer does not come before the wire is known.
        state.wire = Some(carrier.open(&opening, end)?);
        state.is_open = false;
        Ok(())
    }

    /// Sends a message, or keeps it until it can be sent. EAGAIN if there is no room.
    pub fn send(
        &self,
        socket: &Socket,
        own: SocketAddr,
        to: SocketAddr,
        from: &mut dyn Source,
    ) -> Result<usize, Errno> {
        self.open(socket, own)?;
        let len = from.remaining();
        let (wire, is_open) = {
            let state = self.state.lock();
            (state.wire.clone(), state.is_open)
        };
        let label = Label { place: to, errno: 0 }.to_bytes();
        if let Some(wire) = wire
            && is_open
        {
            // A wire that broke is opened again by the next message.
            let sent = wire.send_message(&label, from);
            return if sent == Err(Errno::EPIPE) { Ok(len) } else { sent };
        }
        let mut bytes = alloc::vec![0; len];
        if from.take(&mut bytes)? < len {
            return Err(Errno::EFAULT);
        }
        let mut state = self.state.lock();
        if state.is_open {
            // The answer came while the program's memory was read.
            let wire = state.wire.clone();
            drop(state);
            wire.map(|wire| wire.send_message(&label, &mut KernelSource(&bytes))).transpose()?;
        } else if state.waiting.len() < MOST_WAITING {
            state.waiting.push_back((to, bytes));
        }
        Ok(len)
    }

    /// Whether a message can be sent now.
    pub fn has_room(&self) -> bool {
        let state = self.state.lock();
        match &state.wire {
            Some(wire) if state.is_open => {
                let wire = Arc::clone(wire);
                drop(state);
                wire.has_room()
            }
            _ => state.waiting.len() < MOST_WAITING,
        }
    }

    /// The socket is closed.
    pub fn close(&self) {
        let state = core::mem::take(&mut *self.state.lock());
        if let Some(wire) = state.wire {
            wire.close(false);
        }
    }

    /// Forgets the wire, which is over.
    fn forget(&self) {
        let gone = core::mem::take(&mut *self.state.lock());
        drop(gone);
    }
}

impl DatagramEnd {
    fn with(&self, act: impl FnOnce(&Arc<Socket>, &datagram::Mailbox)) {
        if let Some(socket) = self.socket.upgrade()
            && let Some(mailbox) = datagram::of(&socket)
        {
            act(&socket, mailbox);
        }
    }
}

impl End for DatagramEnd {
    fn answered(&self, answer: Result<Answer, Errno>) {
        self.with(|socket, mailbox| {
            let outlet = &mailbox.outlet;
            if let Err(errno) = answer {
                outlet.forget();
                socket.shared.fail(errno);
                return;
            }
            let (wire, waiting) = {
                let mut state = outlet.state.lock();
                state.is_open = true;
                (state.wire.clone(), core::mem::take(&mut state.waiting))
            };
            let Some(wire) = wire else { return };
            for (place, bytes) in waiting {
                // One for which there is no room is lost, as on a network.
                let label = Label { place, errno: 0 }.to_bytes();
                let _ = wire.send_message(&label, &mut KernelSource(&bytes));
            }
            socket.shared.queue.wake_all();
        });
    }

    fn arrived(&self, from: &mut dyn Source) {
        let whole = from.remaining();
        let mut label = [0; LABEL];
        let label = match from.take(&mut label) {
            Ok(LABEL) => Label::from_bytes(&label).ok(),
            _ => None,
        };
        self.with(|socket, mailbox| {
            match label {
                Some(label) if label.errno == 0 => {
                    // Without memory for it, it is lost.
                    if let Ok(mut packet) = Packet::new(from) {
                        let hops = datagram::USUAL_HOPS;
                        let to: IpAddr = route::outer(label.place.ip());
                        packet.headers = Headers { hops, class: 0, to: Some(to) };
                        mailbox.deliver_from(socket, packet, label.place);
                    }
                }
                Some(label) if mailbox.has_chosen(label.place) => {
                    let errno = Errno::from_number(u32::from(label.errno));
                    socket.shared.fail(errno.unwrap_or(Errno::ECONNREFUSED));
                }
                _ => {}
            }
            // What waits for the program is bounded by the inbox: here it has arrived.
            let wire = mailbox.outlet.state.lock().wire.clone();
            if let Some(wire) = wire {
                wire.taken(whole);
            }
        });
        let rest = from.remaining();
        from.advance(rest);
    }

    fn has_room(&self) {
        self.with(|socket, _| socket.shared.queue.wake_all());
    }

    fn finished(&self) {}

    fn reset(&self) {
        self.with(|_, mailbox| mailbox.outlet.forget());
    }
}

/// Whether `peer` is somebody whom messages from `from` may come from.
#[must_use]
pub fn hears(peer: &Peer, from: SocketAddr) -> bool {
    match peer {
        Peer::Address(chosen) => *chosen == from,
        _ => true,
    }
}
