//! Connections of the guest, and what happens to their descriptors.
//!
//! ```text
//!  open ──► connecting ──writable──► connected ──► closed
//!   └─ stands at once ──────────────────┘
//!  listener readable ──► accepted by the host ──► accepted by the guest
//! ```
//!
//! One epoll instance knows all descriptors, each from its beginning to its end, by edges: a descriptor that is ready is told once, and the
//! device reads or writes it until it would block.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with, getpeername, getsockname, sockopt};
use septum_abi::net::{self, Answer, CARRIER, Kind, Preamble};
use septum_devices::virtio::vsock::{FromGuest, HostSide, News, Opened, Refused, Request, StreamId, ToGuest};

use crate::broker::{Broker, Listener, Ports};

/// Events that are taken at once.
const MOST_EVENTS: usize = 256;
/// Connections that are accepted at once.
const MOST_ACCEPTED: usize = 64;
/// Names of listeners have this bit, those of connections do not.
const IS_LISTENER: u64 = 1 << 32;

struct Stream {
    file: File,
    is_connecting: bool,
    peer: SocketAddr,
}

/// The host's side of the socket device.
pub struct Proxy {
    epoll: OwnedFd,
    broker: Broker,
    streams: HashMap<StreamId, Stream>,
    next: StreamId,
    listeners: Vec<Listener>,
}

fn refused(errno: Errno) -> Refused {
    let errno = u16::try_from(errno.raw_os_error()).unwrap_or(111);
    Refused(Answer { errno, peer: None, seen: None }.to_bytes().to_vec())
}

fn address(name: Result<rustix::net::SocketAddrAny, Errno>) -> Option<SocketAddr> {
    SocketAddr::try_from(name.ok()?).ok()
}

impl Proxy {
    /// A proxy that opens what `broker` allows, and leads what comes to `ports` into the guest.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(broker: Broker, ports: Ports) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (listener, name) in ports.listeners.iter().zip(IS_LISTENER..) {
            epoll::add(&epoll, &listener.socket, EventData::new_u64(name), EventFlags::IN)?;
        }
        Ok(Self { epoll, broker, streams: HashMap::new(), next: 0, listeners: ports.listeners })
    }

    /// Takes a socket in. It may be ready from the beginning, which the first edge tells.
    fn add(&mut self, socket: OwnedFd, is_connecting: bool, peer: SocketAddr) -> Result<StreamId, Errno> {
        let stream = loop {
            self.next = self.next.wrapping_add(1);
            if !self.streams.contains_key(&self.next) {
                break self.next;
            }
        };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &socket, EventData::new_u64(u64::from(stream)), flags)?;
        self.streams.insert(stream, Stream { file: File::from(socket), is_connecting, peer });
        Ok(stream)
    }

    fn stream(&mut self, stream: StreamId) -> io::Result<&mut Stream> {
        self.streams.get_mut(&stream).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn open_stream(&mut self, peer: SocketAddr) -> Result<Opened, Refused> {
        let connecting = self.broker.connect(peer).map_err(refused)?;
        let is_connected = connecting.is_connected;
        let seen = is_connected.then(|| address(getsockname(&connecting.socket))).flatten();
        let stream = self.add(connecting.socket, !is_connected, peer).map_err(refused)?;
        let answer = Answer { errno: 0, peer: Some(peer), seen };
        Ok(Opened { stream, answer: is_connected.then(|| answer.to_bytes().to_vec()) })
    }

    /// A descriptor that was connecting is ready: how it went.
    fn connected(&mut self, id: StreamId, news: &mut Vec<News>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let error = match sockopt::socket_error(&stream.file) {
            Ok(Ok(())) if getpeername(&stream.file).is_err() => return,
            Ok(Ok(())) => None,
            Ok(Err(error)) | Err(error) => Some(error),
        };
        match error {
            None => {
                stream.is_connecting = false;
                let seen = address(getsockname(&stream.file));
                let answer = Answer { errno: 0, peer: Some(stream.peer), seen };
                news.push(News::Accepted(id, answer.to_bytes().to_vec()));
            }
            Some(error) => {
                self.streams.remove(&id);
                let Refused(contents) = refused(error);
                news.push(News::Refused(id, contents));
            }
        }
    }

    /// Somebody connects to a published port.
    fn accept(&mut self, listener: usize, news: &mut Vec<News>) {
        for _ in 0..MOST_ACCEPTED {
            let Some(Listener { socket, guest_port, .. }) = self.listeners.get(listener) else { return };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Ok((socket, peer)) = acceptfrom_with(socket, flags) else { return };
            let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) else { continue };
            let own = SocketAddr::new(IpAddr::V4(net::GUEST), *guest_port);
            // It only costs time if it fails.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
            // Programs of the host are the host's to the guest: 127.0.0.1 would be itself.
            let shown = if peer.ip().to_canonical().is_loopback() {
                SocketAddr::new(IpAddr::V4(net::HOST), peer.port())
            } else {
                SocketAddr::new(peer.ip().to_canonical(), peer.port())
            };
            let preamble = Preamble { kind: Kind::Stream, peer: Some(shown), own: Some(own) };
            if let Ok(stream) = self.add(socket, false, peer) {
                let contents = preamble.to_bytes().to_vec();
                news.push(News::Incoming { stream, port: CARRIER, carries_messages: false, contents });
            }
        }
    }
}

impl HostSide for Proxy {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    fn happened(&mut self, news: &mut Vec<News>) {
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; MOST_EVENTS];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        // What is not told now, because it was interrupted, is told the next time.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut events[..], Some(&now)) else { return };
        for event in &*events {
            let (name, flags) = (event.data.u64(), event.flags);
            if name & IS_LISTENER != 0 {
                self.accept(usize::try_from(name & !IS_LISTENER).unwrap_or(usize::MAX), news);
                continue;
            }
            let Ok(stream) = StreamId::try_from(name) else { continue };
            if self.streams.get(&stream).is_some_and(|stream| stream.is_connecting) {
                self.connected(stream, news);
                continue;
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
                news.push(News::Readable(stream));
            }
            if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
                news.push(News::Writable(stream));
            }
        }
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Opened, Refused> {
        let preamble = Preamble::from_bytes(request.contents).map_err(|_| refused(Errno::PROTO))?;
        match (request.port, preamble.kind, preamble.peer, request.carries_messages) {
            (CARRIER, Kind::Stream, Some(peer), false) => self.open_stream(peer),
            _ => Err(refused(Errno::PROTO)),
        }
    }

    fn write(&mut self, stream: StreamId, from: &mut FromGuest<'_, '_>) -> io::Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        from.write_to(&mut self.stream(stream)?.file)
    }

    fn read(&mut self, stream: StreamId, to: &mut ToGuest<'_, '_>) -> io::Result<usize> {
        to.read_from(&mut self.stream(stream)?.file)
    }

    fn finish(&mut self, stream: StreamId) {
        if let Ok(stream) = self.stream(stream) {
            // A peer that is gone already need not be told.
            let _ = rustix::net::shutdown(&stream.file, rustix::net::Shutdown::Write);
        }
    }

    fn accepted(&mut self, _stream: StreamId) {}

    fn close(&mut self, stream: StreamId, is_reset: bool) {
        let Some(stream) = self.streams.remove(&stream) else { return };
        if is_reset {
            // It is closed all the same, only less rudely.
            let _ = sockopt::set_socket_linger(&stream.file, Some(Duration::ZERO));
        }
    }

    fn close_all(&mut self) {
        self.streams.clear();
    }
}
