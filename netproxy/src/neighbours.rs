//! Other partitions of the same user on the same host.
//!
//! ```text
//!  broker of the one                            its supervisor                      worker of the other
//!  ──Call──────────────────────────────────►   the rule again; finds NAME in the
//!       │                                      registry; connects a socket ──────►  listens in its folder, for each exposed port
//!       │              ◄──the socket, or why──┘                                     accepts; asks its guest
//!  worker of the one
//!       ◄──the socket──┘
//!       ◄──────────────────────────────── ACCEPTED, or the end ─────────────────────┘
//!       ◄═══════════════════════════════ what both say ════════════════════════════►
//! ```
//!
//! A broker opens no path of the host: the supervisor does, and asks the rules once more. What goes from one partition to the other passes
//! through no third process.
//!
//! ```text
//! Call      +0 number u32   +4 port u32   +8 protocol u8: 0 bytes, 1 messages   +9 name, 1 to 253 bytes; none for a port of the host (AF_VSOCK)
//! Answer    +0 number u32   +4 why not u8; 0: a connected socket is with it
//! ```

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recv, recvmsg, send, sendmsg,
};
use septum_abi::net;
use septum_api_types::network::{Network, Protocol};

/// What the other partition's proxy says when its guest has accepted; its bytes follow.
pub(crate) const ACCEPTED: u8 = 1;
/// Bytes before a name.
const HEAD: usize = 9;
/// Longest name.
const LONGEST_NAME: usize = 253;

/// A broker wants a socket that is connected to a port of a partition, or of the host.
#[derive(Debug)]
pub struct Call {
    /// What an answer is to say.
    pub number: u32,
    /// Port of the partition.
    pub port: u32,
    /// What goes through it.
    pub protocol: Protocol,
    /// Its name; of the host none.
    pub name: Option<String>,
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
    pub(crate) fn advice(self, name: &str, port: u16, protocol: Protocol) -> String {
        let suffix = protocol.suffix();
        match self {
            Self::Rule => format!("--allow-net {name}:{port}{suffix} would allow it"),
            Self::NoPartition => {
                format!(
                    "there is no partition '{name}'; 'septum run --name {name} --expose {port}{suffix}' would be one"
                )
            }
            Self::NotExposed => {
                format!(
                    "partition '{name}' does not expose that port; --expose {port}{suffix} there would allow it"
                )
            }
            Self::NotRunning => format!("partition '{name}' does not run at the moment"),
            Self::Crowded => format!("too many connections wait to be accepted by partition '{name}'"),
            Self::Nobody => "nobody listens there".to_owned(),
            Self::Host => "the host has no descriptors or memory for it".to_owned(),
        }
    }
}

/// Receives the next call from a broker, whoever that is by now; `None` if there is none. Never blocks.
///
/// # Errors
/// The broker is gone, or what it sent is no call.
pub fn next_call(from: BorrowedFd<'_>) -> Result<Option<Call>, Errno> {
    let mut bytes = [0; HEAD + LONGEST_NAME];
    let len = match recv(from, &mut bytes[..], RecvFlags::DONTWAIT) {
        Ok((len, _)) => len,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error),
    };
    parse(bytes.get(..len).unwrap_or_default()).ok_or(Errno::PROTO).map(Some)
}

fn parse(message: &[u8]) -> Option<Call> {
    let (number, rest) = message.split_first_chunk::<4>()?;
    let (port, rest) = rest.split_first_chunk::<4>()?;
    let (protocol, name) = rest.split_first()?;
    let protocol = match protocol {
        0 => Protocol::Tcp,
        1 => Protocol::Udp,
        _ => return None,
    };
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let name = (!name.is_empty()).then_some(name);
    let (number, port) = (u32::from_le_bytes(*number), u32::from_le_bytes(*port));
    Some(Call { number, port, protocol, name })
}

/// Answers a call; false if the broker takes no answer now. One that is gone is not told.
#[must_use]
pub fn answer(to: BorrowedFd<'_>, number: u32, how: Result<BorrowedFd<'_>, Refusal>) -> bool {
    let [a, b, c, d] = number.to_le_bytes();
    let answer = [a, b, c, d, how.err().map_or(0, Refusal::number)];
    send_with(to, &answer, how.ok()) != Err(Errno::AGAIN)
}

/// Sends a packet, perhaps with a descriptor; never waits.
pub(crate) fn send_with(
    to: impl AsFd,
    packet: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let Some(descriptor) = descriptor else { return send(to, packet, flags).map(drop) };
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(to, &[IoSlice::new(packet)], &mut ancillary, flags).map(drop)
}

/// Receives a packet, which may have one descriptor; never waits.
pub(crate) fn receive_with(from: impl AsFd, packet: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(from, &mut [IoSliceMut::new(packet)], &mut ancillary, flags)?;
    let mut descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    Ok((received.bytes, descriptors.next()))
}

/// The way to the supervisor, and what the guest calls its neighbours.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    names: Vec<Arc<str>>,
    supervisor: Option<OwnedFd>,
    waiting: VecDeque<(u32, Vec<u8>)>,
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

    /// Has the supervisor connect to a port; now, or when it takes calls again. [`next_answer`](Self::next_answer) tells how it went.
    pub fn call(&mut self, number: u32, name: &str, port: u32, protocol: Protocol) {
        let mut message = number.to_le_bytes().to_vec();
        message.extend_from_slice(&port.to_le_bytes());
        message.push(u8::from(protocol == Protocol::Udp));
        message.extend_from_slice(name.as_bytes());
        self.waiting.push_back((number, message));
        self.send();
    }

    /// Sends what waits, as far as the supervisor takes it.
    pub fn send(&mut self) {
        while let Some((number, message)) = self.waiting.front() {
            let supervisor = self.supervisor.as_ref().ok_or(Errno::CONNREFUSED);
            match supervisor.and_then(|to| send_with(to, message, None)) {
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => self.failed.push_back(*number),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
    }

    /// The next call that was answered, and how.
    pub fn next_answer(&mut self) -> Option<(u32, Result<OwnedFd, Refusal>)> {
        if let Some(number) = self.failed.pop_front() {
            return Some((number, Err(Refusal::Host)));
        }
        let mut bytes = [0; 5];
        let (len, socket) = receive_with(self.supervisor.as_ref()?, &mut bytes).ok()?;
        let [a, b, c, d, why] = bytes;
        let known = |index: usize| Refusal::ALL.get(index).copied().unwrap_or(Refusal::Host);
        let how = usize::from(why).checked_sub(1).map_or(Ok(()), |index| Err(known(index)));
        let how = how.and_then(|()| socket.ok_or(Refusal::Host));
        (len == bytes.len()).then_some((u32::from_le_bytes([a, b, c, d]), how))
    }
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
            let protocol = if number % 2 == 0 { Protocol::Tcp } else { Protocol::Udp };
            caller.call(number, "p0", 80, protocol);
        }
        for number in 0..2000 {
            let call = loop {
                match next_call(theirs.as_fd()).unwrap() {
                    Some(call) => break call,
                    None => caller.send(),
                }
            };
            assert_eq!((call.number, call.port, call.name.as_deref()), (number, 80, Some("p0")));
            assert_eq!(call.protocol == Protocol::Udp, number % 2 == 1);
        }
        assert!(next_call(theirs.as_fd()).unwrap().is_none());
        for why in Refusal::ALL {
            assert!(answer(theirs.as_fd(), 7, Err(why)));
            assert_eq!(caller.next_answer().map(|(number, how)| (number, how.err())), Some((7, Some(why))));
        }
        let (one, another) = pair();
        assert!(answer(theirs.as_fd(), 8, Ok(one.as_fd())));
        let (number, socket) = caller.next_answer().unwrap();
        rustix::net::send(socket.unwrap(), b"x", SendFlags::empty()).unwrap();
        let mut received = [0; 2];
        assert_eq!((number, receive_with(&another, &mut received).unwrap().0), (8, 1));
        assert!(caller.next_answer().is_none());
    }

    #[test]
    fn what_is_no_call_is_an_error() {
        for message in
            [&b""[..], b"\0", &[0; 5], &[0; 8], b"\0\0\0\0\0\0\0\0\x02x", b"\0\0\0\0\0\0\0\0\0\xff"]
        {
            let (ours, theirs) = pair();
            rustix::net::send(&ours, message, SendFlags::empty()).unwrap();
            assert!(next_call(theirs.as_fd()).is_err(), "{message:?}");
        }
    }
}
