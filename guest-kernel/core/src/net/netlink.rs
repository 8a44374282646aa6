//! Netlink of the family ROUTE, as far as programs ask which interfaces and addresses there are.
//!
//! ```text
//! nlmsghdr   +0 length   +4 type (u16)   +6 flags (u16)   +8 sequence   +12 port   +16 contents
//! rtattr     +0 length (u16)   +2 type (u16)   +4 value, padded to 4
//! ```
//!
//! RTM_GETLINK and RTM_GETADDR are answered with the interfaces and their addresses, RTM_GETROUTE with nothing; what would change something is EPERM,
//! everything else EOPNOTSUPP. Answers are made when a question is sent and wait to be received.

use super::address::{self, Address};
use super::interfaces::{self, Interface, QUEUE};
use super::{How, Received, Socket};
use crate::fs::inode::poll;
use crate::io::{Destination, Source};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Longest question.
const LONGEST: usize = 16 * 1024;
/// Most answers that wait.
const MOST_ANSWERS: usize = 64;

/// NLMSG_ERROR, NLMSG_DONE
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR, RTM_GETROUTE, and the first and last of the family
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const GET_ROUTE: u16 = 26;
/// NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP
const MULTI: u16 = 2;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;

/// A netlink socket.
#[derive(Default)]
pub struct Routes {
    answers: Mutex<VecDeque<Vec<u8>>>,
}

/// What is asked.
struct Question {
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    /// Interface, 0 if any.
    index: u32,
    header: [u8; 16],
}

impl Routes {
    /// Takes questions and makes their answers.
    pub fn send(&self, socket: &Socket, from: &mut dyn Source) -> Result<usize, Errno> {
        let len = from.remaining();
        if len > LONGEST {
            return Err(Errno::EMSGSIZE);
        }
        let mut bytes = alloc::vec![0; len];
        from.take(&mut bytes)?;
        let port = match socket.address() {
            Address::Netlink { port, .. } => port,
            _ => 0,
        };
        let mut rest = &bytes[..];
        while let Some((question, len)) = Question::parse(rest) {
            let answers = question.answer(port);
            let mut waiting = self.answers.lock();
            if waiting.len() + answers.len() > MOST_ANSWERS {
                return Err(Errno::ENOBUFS);
            }
            waiting.extend(answers);
            drop(waiting);
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        socket.shared.queue.wake_all();
        Ok(len)
    }

    /// Adds something that nobody asked for by a message: what a message queue tells (`mq_notify`).
    pub fn tell(&self, socket: &Socket, bytes: Vec<u8>) {
        let mut waiting = self.answers.lock();
        if waiting.len() < MOST_ANSWERS {
            waiting.push_back(bytes);
        }
        drop(waiting);
        socket.shared.queue.wake_all();
    }

    /// Receives the first answer.
    pub fn receive(&self, to: &mut dyn Destination, how: How) -> Result<Received, Errno> {
        let mut waiting = self.answers.lock();
        let answer = waiting.front().ok_or(Errno::EAGAIN)?;
        let len = if to.remaining() == 0 { 0 } else { to.put(answer)? };
        let full_len = answer.len();
        if !how.is_peek {
            waiting.pop_front();
        }
        Ok(Received {
            len,
            full_len,
            from: Some(Address::Netlink { port: 0, groups: 0 }),
            credentials: Some(super::Credentials::default()),
            is_message: true,
            ..Received::default()
        })
    }

    /// [`poll`] events.
    #[must_use]
    pub fn poll(&self) -> u16 {
        poll::OUT | if self.answers.lock().is_empty() { 0 } else { poll::IN }
    }

    /// Bytes of the first answer.
    #[must_use]
    pub fn available(&self) -> usize {
        self.answers.lock().front().map_or(0, Vec::len)
    }
}

impl Question {
    /// The first question of `bytes` and its length.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let header: [u8; 16] = *bytes.first_chunk()?;
        let [a, b, c, d, kind_low, kind_high, flags_low, flags_high, e, f, g, h, ..] = header;
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        if len < 16 || len > bytes.len() {
            return None;
        }
        let body = &bytes[16..len];
        let index =
            body.get(4..8).and_then(|index| index.first_chunk()).copied().map_or(0, u32::from_le_bytes);
        let question = Self {
            kind: u16::from_le_bytes([kind_low, kind_high]),
            flags: u16::from_le_bytes([flags_low, flags_high]),
            sequence: u32::from_le_bytes([e, f, g, h]),
            family: body.first().copied().unwrap_or(0),
            index,
            header,
        };
        Some((question, len))
    }

    fn is_dump(&self) -> bool {
        self.flags & DUMP == DUMP
    }

    fn answer(&self, port: u32) -> Vec<Vec<u8>> {
        let flags = if self.is_dump() { MULTI } else { 0 };
        let message = |kind, body: Vec<u8>| self.message(kind, flags, port, &body);
        let contents: Vec<Vec<u8>> = match self.kind {
            GET_LINK => {
                let is_meant = |one: &&Interface| self.is_dump() || self.index == one.index;
                let links: Vec<_> =
                    interfaces::all().filter(is_meant).map(|one| message(NEW_LINK, link(one))).collect();
                if links.is_empty() {
                    return alloc::vec![self.error(port, Errno::ENODEV)];
                }
                links
            }
            GET_ADDRESS if self.is_dump() => {
                addresses(self.family).into_iter().map(|body| message(NEW_ADDRESS, body)).collect()
            }
            GET_ROUTE if self.is_dump() => Vec::new(),
            GET_ROUTE => return alloc::vec![self.error(port, Errno::ENETUNREACH)],
            // The kinds come in fours: new, delete, get, set.
            kind if kind >= NEW_LINK && kind % 4 != 2 => return alloc::vec![self.error(port, Errno::EPERM)],
            _ => return alloc::vec![self.error(port, Errno::EOPNOTSUPP)],
        };
        let mut answers = alloc::vec![contents.concat()];
        if self.is_dump() {
            answers.retain(|answer| !answer.is_empty());
            answers.push(self.message(DONE, MULTI, port, &[0; 4]));
        } else if self.flags & ACK != 0 {
            answers.push(self.acknowledgement(port, 0));
        }
        answers
    }

    fn message(&self, kind: u16, flags: u16, port: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(16 + body.len());
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&port.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn error(&self, port: u32, errno: Errno) -> Vec<u8> {
        self.acknowledgement(port, -i32::from(errno.number()))
    }

    fn acknowledgement(&self, port: u32, result: i32) -> Vec<u8> {
        let body = [&result.to_le_bytes()[..], &self.header].concat();
        self.message(ERROR, 0, port, &body)
    }
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// `struct ifinfomsg`: +0 family, +2 hardware (u16), +4 index, +8 flags, +12 changes; then attributes.
fn link(one: &Interface) -> Vec<u8> {
    let mut bytes = alloc::vec![0, 0];
    bytes.extend_from_slice(&one.hardware.to_le_bytes());
    bytes.extend_from_slice(&one.index.to_le_bytes());
    bytes.extend_from_slice(&one.flags.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    // IFLA_IFNAME, IFLA_TXQLEN, IFLA_OPERSTATE, IFLA_MTU, IFLA_ADDRESS, IFLA_BROADCAST
    attribute(&mut bytes, 3, &[one.name, &[0]].concat());
    attribute(&mut bytes, 13, &QUEUE.to_le_bytes());
    attribute(&mut bytes, 16, &[one.state]);
    attribute(&mut bytes, 4, &one.mtu.to_le_bytes());
    attribute(&mut bytes, 1, &one.station);
    attribute(&mut bytes, 2, &one.broadcast);
    bytes
}

/// `struct ifaddrmsg` of each address of `family` (0: all): +0 family, +1 prefix, +2 flags, +3 scope, +4 index; then attributes.
fn addresses(family: u8) -> Vec<Vec<u8>> {
    interfaces::all()
        .flat_map(|one| one.addresses.iter().map(move |(ip, bits)| (one, *ip, *bits)))
        .map(|(one, ip, bits)| (family_of(ip), address_of(one, ip, bits)))
        .filter(|(of, _)| family == 0 || family == *of)
        .map(|(_, bytes)| bytes)
        .collect()
}

fn family_of(ip: IpAddr) -> u8 {
    let number = if ip.is_ipv4() { address::INET } else { address::INET6 };
    number.to_le_bytes()[0]
}

fn address_of(one: &Interface, ip: IpAddr, bits: u8) -> Vec<u8> {
    /// IFA_F_PERMANENT
    const PERMANENT: u8 = 0x80;
    let mut bytes = alloc::vec![family_of(ip), bits, PERMANENT, one.scope];
    bytes.extend_from_slice(&one.index.to_le_bytes());
    // IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST
    match ip {
        IpAddr::V4(ip) => {
            attribute(&mut bytes, 1, &ip.octets());
            attribute(&mut bytes, 2, &ip.octets());
            attribute(&mut bytes, 3, &[one.name, &[0]].concat());
            if !one.everybody().is_unspecified() {
                attribute(&mut bytes, 4, &one.everybody().octets());
            }
        }
        IpAddr::V6(ip) => attribute(&mut bytes, 1, &ip.octets()),
    }
    bytes
}
