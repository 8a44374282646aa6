//! Other partitions of the same user on the same host.
//!
//! ```text
//!  worker of the one                            its supervisor                      worker of the other
//!  a socket, not connected ──Call, socket──►   the rule again; finds NAME in the
//!       │                                      registry; connects the socket ────►  listens in its folder, for each exposed port
//!       │              ◄──Refusal, or nothing──┘                                    accepts; asks its guest
//!       ◄──────────────────────────────── ACCEPTED, or the end ─────────────────────┘
//!       ◄═══════════════════════════════ what both say ════════════════════════════►
//! ```
//!
//! A worker has left the host's file system and looks for nobody: the supervisor does, and asks the rules once more. What goes from one
//! partition to the other passes through no third process.
//!
//! ```text
//! Call      +0 number u32   +4 port u32   +8 name, 1 to 253 bytes; none for a port of the host (AF_VSOCK)      with one descriptor
//! Answer    +0 number u32   +4 why not u8; 0: it is connected, which is told of ports of the host alone
//! ```

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recv, recvmsg, send, sendmsg,
};
use septum_abi::net;
use septum_api_types::network::Network;

/// What the other partition's proxy says when its guest has accepted; its bytes follow.
pub(crate) const ACCEPTED: u8 = 1;
/// Bytes before a name.
const HEAD: usize = 8;
/// Longest name.
const LONGEST_NAME: usize = 253;

/// A worker wants a socket connected to a port of a partition, or of the host.
#[derive(Debug)]
pub struct Call {
    /// What an answer is to say.
    pub number: u32,
    /// Port of the partition.
    pub port: u32,
    /// Its name; of the host none.
    pub name: Option<String>,
    /// The socket.
    pub socket: OwnedFd,
}

/// Why it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No rule allows it.
    Rule,
    /// There is no partition of this name.
    NoPartition,
    /// There is, and it does not expose the port.
    NotExposed,
    /// It is over, or between two starts.
    NotRunning,
    /// Too many wait for it already.
    Crowded,
    /// The host does not let it.
    Host,
    /// Nobody listens there, on the host.
    Nobody,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::Rule,
        Self::NoPartition,
        Self::NotExposed,
        Self::NotRunning,
        Self::Crowded,
        Self::Host,
        Self::Nobody,
    ];

    fn number(self) -> u8 {
        Self::ALL.iter().zip(1..).find(|(other, _)| **other == self).map_or(0, |(_, number)| number)
    }

    /// What to tell a person.
    pub(crate) fn advice(self, name: &str, port: u16) -> String {
        match self {
            Self::Rule => format!("--allow-net {name}:{port} would allow it"),
            Self::NoPartition => {
                format!(
                    "there is no partition '{name}'; 'septum run --name {name} --expose {port}' would be one"
                )
            }
            Self::NotExposed => {
                format!("partition '{name}' does not expose that port; --expose {port} there would allow it")
            }
            Self::NotRunning => format!("partition '{name}' does not run at the moment"),
            Self::Crowded => format!("too many connections wait to be accepted by partition '{name}'"),
            Self::Nobody => "nobody listens there".to_owned(),
            Self::Host => "the host has no descriptors or memory for it".to_owned(),
        }
    }
}

/// Receives the next call from a worker, whoever that is by now; `None` if there is none. Never blocks.
///
/// # Errors
/// The worker is gone, or what it sent is no call.
pub fn next_call(from: BorrowedFd<'_>) -> Result<Option<Call>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; HEAD + LONGEST_NAME];
    let received = {
        let mut pieces = [IoSliceMut::new(&mut bytes)];
        recvmsg(from, &mut pieces, &mut ancillary, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC)
    };
    let len = match received {
        Ok(received) => received.bytes,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut sockets = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let socket = sockets.next();
    let message = bytes.get(..len).unwrap_or_default();
    let parsed = parse(message).zip(socket);
    let ((number, port, name), socket) = parsed.ok_or(Errno::PROTO)?;
    Ok(Some(Call { number, port, name, socket }))
}

fn parse(message: &[u8]) -> Option<(u32, u32, Option<String>)> {
    let (number, rest) = message.split_first_chunk::<4>()?;
    let (port, name) = rest.split_first_chunk::<4>()?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let name = (!name.is_empty()).then_some(name);
    Some((u32::from_le_bytes(*number), u32::from_le_bytes(*port), name))
}

/// Answers a call; false if the worker takes no answer now. One that is gone is not told.
#[must_use]
pub fn answer(to: BorrowedFd<'_>, number: u32, how: Result<(), Refusal>) -> bool {
    let [a, b, c, d] = number.to_le_bytes();
    let answer = [a, b, c, d, how.err().map_or(0, Refusal::number)];
    send(to, &answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) != Err(Errno::AGAIN)
}

/// The way to the supervisor, and what the guest calls its neighbours.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    names: Vec<Arc<str>>,
    supervisor: Option<OwnedFd>,
    waiting: VecDeque<(u32, Vec<u8>, OwnedFd)>,
    /// Calls that could not be sent.
    failed: VecDeque<u32>,
}

impl Neighbours {
    /// Those that the rules of `network` name; `supervisor` takes calls.
    pub fn new(network: &Network, supervisor: Option<OwnedFd>) -> Self {
        let names = network.neighbours().into_iter().map(Arc::from).collect();
        Self { names, supervisor, waiting: VecDeque::new(), failed: VecDeque::new() }
    }

    /// What calls and refusals go through.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.supervisor.as_ref().map(|socket| socket.as_fd())
    }

    /// The address that the guest is told for a partition.
    pub fn address(&self, name: &str) -> Option<Ipv4Addr> {
        let index = self.names.iter().position(|known| **known == *name)?;
        // The last byte is never 0 or 255, which look like networks.
        let (high, low) = (u32::try_from(index / 254).ok()?, u32::try_from(index % 254).ok()?);
        Some(Ipv4Addr::from(u32::from(net::FIRST_NEIGHBOUR) + (high << 8) + 1 + low))
    }

    /// The partition that the guest calls so.
    pub fn name(&self, ip: IpAddr) -> Option<Arc<str>> {
        let IpAddr::V4(ip) = ip else { return None };
        let offset = u32::from(ip).checked_sub(u32::from(net::FIRST_NEIGHBOUR))?;
        let (high, low) = (usize::try_from(offset >> 8).ok()?, usize::try_from(offset & 0xff).ok()?);
        if !(1..=254).contains(&low) {
            return None;
        }
        self.names.get(high * 254 + low - 1).cloned()
    }

    /// Has the supervisor connect `socket`; now, or when it takes calls again. False if that cannot be, which
    /// [`next_answer`](Self::next_answer) tells.
    pub fn call(&mut self, number: u32, name: &str, port: u32, socket: OwnedFd) -> bool {
        let mut message = number.to_le_bytes().to_vec();
        message.extend_from_slice(&port.to_le_bytes());
        message.extend_from_slice(name.as_bytes());
        self.waiting.push_back((number, message, socket));
        self.send();
        self.failed.is_empty()
    }

    /// Sends what waits, as far as the supervisor takes it.
    pub fn send(&mut self) {
        while let Some((number, message, socket)) = self.waiting.front() {
            match self.supervisor.as_ref().map_or(Err(Errno::CONNREFUSED), |to| send_one(to, message, socket))
            {
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => self.failed.push_back(*number),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
    }

    /// The next call that was answered, and how.
    pub fn next_answer(&mut self) -> Option<(u32, Result<(), Refusal>)> {
        if let Some(number) = self.failed.pop_front() {
            return Some((number, Err(Refusal::Host)));
        }
        let mut bytes = [0; 5];
        let (len, _) = recv(self.supervisor.as_ref()?, &mut bytes[..], RecvFlags::DONTWAIT).ok()?;
        let [a, b, c, d, why] = bytes;
        let known = |index: usize| Refusal::ALL.get(index).copied().unwrap_or(Refusal::Host);
        let how = usize::from(why).checked_sub(1).map_or(Ok(()), |index| Err(known(index)));
        (len == bytes.len()).then_some((u32::from_le_bytes([a, b, c, d]), how))
    }
}

fn send_one(to: &OwnedFd, message: &[u8], socket: &OwnedFd) -> Result<(), Errno> {
    let descriptors = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(to, &[IoSlice::new(message)], &mut ancillary, flags).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn neighbours(count: usize, supervisor: Option<OwnedFd>) -> Neighbours {
        let allow = (0..count).map(|index| format!("p{index}:80").parse().unwrap()).collect();
        Neighbours::new(&Network { allow, ..Network::default() }, supervisor)
    }

    #[test]
    fn each_neighbour_has_an_address_of_its_own() {
        let many = neighbours(600, None);
        for index in 0..600 {
            let address = many.address(&format!("p{index}")).unwrap();
            assert_eq!(many.name(address.into()).as_deref(), Some(&*format!("p{index}")));
            assert!(address.octets()[3] != 0 && address.octets()[3] != 255);
        }
        assert_eq!(many.address("other"), None);
        for ip in ["198.18.1.0", "198.18.1.255", "198.18.4.1", "198.18.0.1", "192.0.2.1", "::1"] {
            assert_eq!(many.name(ip.parse().unwrap()), None, "{ip}");
        }
    }

    #[test]
    fn calls_and_refusals_arrive_and_none_is_lost_where_many_wait() {
        let (ours, theirs) = pair();
        let mut caller = neighbours(1, Some(ours));
        for number in 0..2000 {
            let (socket, _) = pair();
            assert!(caller.call(number, "p0", 80, socket));
        }
        for number in 0..2000 {
            let call = loop {
                match next_call(theirs.as_fd()).unwrap() {
                    Some(call) => break call,
                    None => caller.send(),
                }
            };
            assert_eq!((call.number, call.port, call.name.as_deref()), (number, 80, Some("p0")));
        }
        assert!(next_call(theirs.as_fd()).unwrap().is_none());
        for why in Refusal::ALL {
            assert!(answer(theirs.as_fd(), 7, Err(why)));
            assert_eq!(caller.next_answer(), Some((7, Err(why))));
        }
        assert!(answer(theirs.as_fd(), 8, Ok(())));
        assert_eq!(caller.next_answer(), Some((8, Ok(()))));
        assert_eq!(caller.next_answer(), None);
    }

    #[test]
    fn what_is_no_call_is_an_error() {
        for message in
            [&b""[..], b"\0", b"\0\0\0\0\0", b"\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0\xff", b"\0\0\0\0\0\0\0\0a"]
        {
            let (ours, theirs) = pair();
            rustix::net::send(&ours, message, SendFlags::empty()).unwrap();
            assert!(next_call(theirs.as_fd()).is_err(), "{message:?}");
        }
    }
}
