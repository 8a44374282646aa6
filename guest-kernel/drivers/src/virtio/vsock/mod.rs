//! The socket device (virtio 1.2 section 5.10): what leaves the partition goes through it, as packets of connections.
//!
//! ```text
//! Carrier ─ open ─► Line ──────────────► sending ──► queue 1      a packet: header, contents
//!    └──── look ──► receiving ◄────────────────────── queue 0
//!                       └─► Line's End (a socket)
//! ```
//!
//! * [`packets`]: buffers of both queues;
//! * [`credit`]: what may be sent before the other side has taken what it got;
//! * [`line`]: one connection.
//!
//! The device is brought up by the first that needs it. The kernel has no thread of its own: whoever waits for a socket looks
//! at queue 0, and passes everything on that is there, whosever it is. Packets to nobody are dropped: the host is told when a connection
//! is closed, and what is on its way then is of no use.
//!
//! Locks: `receiving` before all others; of those, `lines`, a line's state and `sending`, never two at once. Ends are called with `receiving`
//! held, and nothing else. Programs' memory is read without any.

mod credit;
mod line;
mod packets;

use self::line::Line;
use self::packets::{Received, Receiving, Sending};
use super::queue::Queue;
use super::transport::{Transport, TransportError, device_type};
use crate::OnBus;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use septum_abi::linux::Errno;
use septum_abi::net::{self, Answer, Preamble};
use septum_abi::vsock::{FEATURE_SEQPACKET, GUEST_CID, HOST_CID, Header, kind, operation, shutdown};
use septum_guest_core::net::outside::{Carrier, End, Opening, Wire};
use septum_guest_core::net::{stream_end, vsock};
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::{Mutex, Once};

/// The queues.
const RECEIVE: u16 = 0;
const SEND: u16 = 1;
/// How long after a packet another one is likely, ns.
const BUSY_NS: u64 = 200_000;
/// The first port that connections of the guest get.
const FIRST_PORT: u32 = 1 << 16;

/// The way out of the partition, if it is used.
pub struct Vsock {
    on_bus: OnBus,
    device: Once<Option<&'static Device>>,
}

/// The device, up.
pub struct Device {
    receive: Queue,
    send: Queue,
    receiving: Mutex<Receiving>,
    sending: Mutex<Sending>,
    lines: Mutex<BTreeMap<(u32, u32), Arc<Line>>>,
    next_port: AtomicU32,
    /// When the last packet came or went.
    last_ns: AtomicU64,
    /// Somebody found no buffer to send with.
    is_starved: AtomicBool,
}

impl Vsock {
    /// The device that is found there, when somebody wants it.
    #[must_use]
    pub fn new(on_bus: OnBus) -> Self {
        Self { on_bus, device: Once::new() }
    }

    fn device(&self) -> Option<&'static Device> {
        *self.device.call_once(|| {
            let device = Device::bring_up(self.on_bus);
            if let Err(error) = &device {
                septum_guest_hal::log_line!("the socket device cannot be used: {error:?}");
            }
            device.ok()
        })
    }

    /// The device, if it has been brought up.
    fn up(&self) -> Option<&'static Device> {
        self.device.get().copied().flatten()
    }
}

impl Carrier for Vsock {
    fn open(&self, opening: &Opening<'_>, end: Arc<dyn End>) -> Result<Arc<dyn Wire>, Errno> {
        self.device().ok_or(Errno::ENETUNREACH)?.open(opening, end)
    }

    fn listen(&self) {
        self.device();
    }

    fn look(&self) {
        if let Some(device) = self.up() {
            device.look();
        }
    }

    fn set_waiting(&self, waits: bool) -> bool {
        let device = self.up();
        if let Some(device) = device {
            device.receive.set_sleeping(waits);
        }
        device.is_some()
    }

    fn is_busy(&self) -> bool {
        self.up().is_some_and(|device| {
            monotonic_ns().saturating_sub(device.last_ns.load(Ordering::Relaxed)) < BUSY_NS
        })
    }
}

impl Device {
    fn bring_up(on_bus: OnBus) -> Result<&'static Self, TransportError> {
        let function = on_bus.find(device_type::SOCKET).ok_or(TransportError::Structure)?;
        let transport = Transport::probe(&function)?;
        transport.negotiate(FEATURE_SEQPACKET, FEATURE_SEQPACKET)?;
        let receive = transport.queue(RECEIVE, packets::RECEIVE_SIZE)?;
        let send = transport.queue(SEND, packets::SEND_SIZE)?;
        let receiving = Receiving::post(&receive).ok_or(TransportError::Resources)?;
        let sending = Sending::new().ok_or(TransportError::Resources)?;
        transport.start();
        receive.notify();
        Ok(alloc::boxed::Box::leak(alloc::boxed::Box::new(Self {
            receive,
            send,
            receiving: Mutex::new(receiving),
            sending: Mutex::new(sending),
            lines: Mutex::new(BTreeMap::new()),
            next_port: AtomicU32::new(FIRST_PORT),
            last_ns: AtomicU64::new(0),
            is_starved: AtomicBool::new(false),
        })))
    }

    fn open(&'static self, opening: &Opening<'_>, end: Arc<dyn End>) -> Result<Arc<dyn Wire>, Errno> {
        let kind = if opening.carries_messages { kind::MESSAGES } else { kind::STREAM };
        let mut lines = self.lines.lock();
        let port = loop {
            let port = self.next_port.fetch_add(1, Ordering::Relaxed).max(FIRST_PORT);
            if !lines.contains_key(&(port, opening.port)) {
                break port;
            }
        };
        let line = Arc::new(Line::new(self, (port, opening.port), kind, opening.room, false));
        line.set_end(end);
        lines.insert((port, opening.port), Arc::clone(&line));
        drop(lines);
        self.transmit(&line.header(operation::REQUEST, 0), opening.contents);
        Ok(line)
    }

    /// Sends a packet without data of a program. It is kept if there is no buffer just now.
    fn transmit(&self, header: &Header, contents: &[u8]) {
        let is_sent = self.sending.lock().control(&self.send, header, contents);
        self.send.notify();
        if !is_sent {
            // Nobody may look before buffers come back.
            self.starve();
        }
    }

    /// Forgets a connection.
    fn forget(&self, ports: (u32, u32)) {
        let gone = self.lines.lock().remove(&ports);
        // It may be the last reference to a socket's end, and that is dropped without the lock.
        drop(gone);
    }

    /// Tells the device of packets with data.
    fn sent(&self) {
        self.send.notify();
        self.last_ns.store(monotonic_ns(), Ordering::Relaxed);
    }

    /// Takes in what the device has returned.
    fn look(&'static self) {
        self.take_back();
        while self.receive.has_news() {
            // Whoever has the lock takes everything in, and wakes those that it is for.
            let Some(mut receiving) = self.receiving.try_lock() else { return };
            let mut has_come = false;
            while let Some(packet) = receiving.next(&self.receive) {
                self.dispatch(packet);
                has_come = true;
            }
            receiving.post_again(&self.receive);
            drop(receiving);
            if !has_come {
                return;
            }
            self.last_ns.store(monotonic_ns(), Ordering::Relaxed);
            // Others may have found the lock held when the next packet was there already, and sleep now: it is ours. The lock is free
            // before we look again.
            fence(Ordering::SeqCst);
        }
    }

    /// Takes buffers back that the device has sent, and tells those who wait for one.
    fn take_back(&self) {
        if !self.send.has_news() && !self.is_starved.load(Ordering::SeqCst) {
            return;
        }
        let has_room = {
            let mut sending = self.sending.lock();
            sending.take_back(&self.send);
            sending.has_room()
        };
        if has_room && self.is_starved.swap(false, Ordering::SeqCst) {
            self.send.set_sleeping(false);
            let lines: Vec<_> = self.lines.lock().values().cloned().collect();
            lines.iter().for_each(|line| line.tell_of_room());
        }
    }

    /// Nobody can send until buffers come back: the device is to interrupt then.
    fn starve(&self) {
        if !self.is_starved.swap(true, Ordering::SeqCst) {
            self.send.set_sleeping(true);
        }
    }

    fn dispatch(&'static self, mut packet: Received<'_>) {
        let header = packet.header;
        if header.destination_cid != GUEST_CID || header.source_cid != HOST_CID {
            return;
        }
        let ports = (header.destination_port, header.source_port);
        let line = self.lines.lock().get(&ports).cloned();
        match (line, header.operation) {
            (Some(line), operation) => {
                line.credit_came(&header);
                if line.kind == header.kind || operation != operation::DATA {
                    self.handle(&line, &mut packet);
                }
            }
            (None, operation::REQUEST) => self.requested(ports, &mut packet),
            (None, _) => {}
        }
    }

    fn handle(&'static self, line: &Arc<Line>, packet: &mut Received<'_>) {
        let Some(end) = line.end() else { return };
        match packet.header.operation {
            operation::RESPONSE if line.opened() => {
                end.answered(Answer::from_bytes(&packet.contents()).map_err(|_| Errno::EPROTO));
            }
            operation::RESET => {
                let was_open = line.over();
                self.forget(line.ports);
                if was_open {
                    end.reset();
                } else {
                    let answer = Answer::from_bytes(&packet.contents()).ok();
                    let errno = answer.and_then(|answer| Errno::from_number(u32::from(answer.errno)));
                    end.answered(Err(errno.unwrap_or(Errno::ECONNREFUSED)));
                }
            }
            operation::SHUTDOWN if packet.header.flags & shutdown::SEND != 0 => end.finished(),
            operation::DATA => {
                if line.arrived(packet.len()) {
                    end.arrived(packet);
                } else {
                    // More than was allowed: what follows cannot be trusted either.
                    line.close(true);
                    end.reset();
                }
            }
            operation::CREDIT_REQUEST => line.tell_credit(),
            _ => {}
        }
    }

    /// The host connects to a socket here.
    fn requested(&'static self, ports: (u32, u32), packet: &mut Received<'_>) {
        let header = packet.header;
        let line = Arc::new(Line::new(self, ports, header.kind, packets::ACCEPTED_ROOM, true));
        line.credit_came(&header);
        let wire = Arc::clone(&line) as Arc<dyn Wire>;
        let accepted = match (ports.0, Preamble::from_bytes(&packet.contents())) {
            (net::CARRIER, Ok(preamble)) => self.accept(&line, preamble, &wire),
            (port, _) if port != net::CARRIER && line.kind == kind::STREAM => {
                // As in `accept`.
                self.lines.lock().insert(ports, Arc::clone(&line));
                vsock::accept(port, ports.1, &wire).map(|(end, answer)| {
                    line.set_end(end);
                    answer
                })
            }
            _ => Err(Errno::ECONNREFUSED),
        };
        match accepted {
            Ok(answer) => self.transmit(&line.header(operation::RESPONSE, 0), &answer.to_bytes()),
            Err(errno) => {
                self.forget(ports);
                let answer = Answer { errno: errno.number(), peer: None, seen: None };
                self.transmit(&line.header(operation::RESET, 0), &answer.to_bytes());
            }
        }
    }

    fn accept(
        &'static self,
        line: &Arc<Line>,
        preamble: Preamble,
        wire: &Arc<dyn Wire>,
    ) -> Result<Answer, Errno> {
        // Known before the program sees the socket, which may be closed at once.
        self.lines.lock().insert(line.ports, Arc::clone(line));
        let (end, answer) = match (preamble.kind, line.kind) {
            (net::Kind::Stream, kind::STREAM) => stream_end::accept(preamble, wire)?,
            _ => return Err(Errno::EPROTONOSUPPORT),
        };
        line.set_end(end);
        Ok(answer)
    }
}
