//! A published port of UDP: messages to it, and to those that have sent some.
//!
//! Its socket could send to everybody, so it is not the worker's. In between are packets, each a message behind the label that says from whom
//! it comes, or to whom it goes (`abi::net`). Messages are lost where a network would lose them.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, recvfrom, sendto};
use septum_abi::net::{LABEL, LONGEST_MESSAGE, Label};

use super::Malformed;
use crate::neighbours::send_with;

/// Senders who can be answered.
const MOST_SENDERS: usize = 1024;
/// Messages that are passed on before anybody else is served.
const TURN: usize = 64;

/// One of them.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) socket: OwnedFd,
    pub(super) worker: OwnedFd,
    senders: HashSet<SocketAddr>,
    order: VecDeque<SocketAddr>,
    buffer: Vec<u8>,
}

impl Relay {
    pub(super) fn new((socket, worker): (OwnedFd, OwnedFd)) -> Self {
        let buffer = vec![0; LABEL + LONGEST_MESSAGE];
        Self { socket, worker, senders: HashSet::new(), order: VecDeque::new(), buffer }
    }

    /// Passes on what has come to the port.
    pub(super) fn receive(&mut self) {
        for _ in 0..TURN {
            let Some((label, room)) = self.buffer.split_first_chunk_mut::<LABEL>() else { return };
            let received = recvfrom(&self.socket, &mut *room, RecvFlags::DONTWAIT);
            let (len, from) = match received {
                Ok((len, _, from)) => (len, from),
                Err(Errno::INTR) => continue,
                // An error is one of an earlier answer, and told once.
                Err(_) => return,
            };
            let Some(place) = from.and_then(|from| SocketAddr::try_from(from).ok()) else { continue };
            *label = Label { place, errno: 0 }.to_bytes();
            // A worker that is behind loses it.
            let _ = send_with(&self.worker, self.buffer.get(..LABEL + len).unwrap_or_default(), None);
            self.remember(place);
        }
    }

    fn remember(&mut self, place: SocketAddr) {
        if self.senders.insert(place) {
            self.order.push_back(place);
        }
        if self.senders.len() > MOST_SENDERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.senders.remove(&oldest);
        }
    }

    /// Sends what the worker says, if it is to one of those who have sent something. False if it says no more.
    ///
    /// # Errors
    /// It says something else.
    pub(super) fn reply(&mut self) -> Result<bool, Malformed> {
        for _ in 0..TURN {
            let len = match recv(&self.worker, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Ok(false),
                Ok((len, _)) => len,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(true),
                Err(_) => return Ok(false),
            };
            let packet = self.buffer.get(..len).unwrap_or_default();
            let (label, message) = packet.split_first_chunk::<LABEL>().ok_or(Malformed)?;
            let place = Label::from_bytes(label).map_err(|_| Malformed)?.place;
            if self.senders.contains(&place) {
                let _ = sendto(&self.socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &place);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn only_who_has_sent_something_is_answered() {
        let [port, friend, stranger] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (worker, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let mut relay = Relay::new((port.try_clone().unwrap().into(), theirs));
        friend.send_to(b"hello", port.local_addr().unwrap()).unwrap();
        relay.receive();
        let mut packet = [0; 99];
        let (len, _) = recv(&worker, &mut packet[..], RecvFlags::DONTWAIT).unwrap();
        let (label, message) = packet[..len].split_first_chunk::<LABEL>().unwrap();
        let place = friend.local_addr().unwrap();
        assert_eq!((Label::from_bytes(label).unwrap().place, message), (place, &b"hello"[..]));
        for place in [stranger.local_addr().unwrap(), place] {
            let label = Label { place, errno: 0 }.to_bytes();
            send_with(&worker, &[&label[..], b"back"].concat(), None).unwrap();
        }
        assert_eq!(relay.reply(), Ok(true));
        let mut answer = [0; 9];
        assert_eq!(friend.recv(&mut answer).unwrap(), 4);
        stranger.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(stranger.recv(&mut answer).is_err());
        send_with(&worker, b"no label", None).unwrap();
        assert_eq!(relay.reply(), Err(Malformed));
        drop(worker);
        assert_eq!(relay.reply(), Ok(false));
    }

    #[test]
    fn those_who_are_remembered_are_bounded() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut relay = Relay::new((socket.try_clone().unwrap().into(), socket.into()));
        for port in 1..=2000 {
            relay.remember(SocketAddr::from(([192, 0, 2, 1], port)));
        }
        assert_eq!((relay.senders.len(), relay.order.len()), (MOST_SENDERS, MOST_SENDERS));
    }
}
