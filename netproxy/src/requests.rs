//! What a partition's proxy asks of its broker, and what it is answered.
//!
//! One socket of packets; each is one message, and each request has one answer, in whatever order.
//!
//! ```text
//! Request   +0 kind u8  +1 family u8  +2 0, 0     +4 number u32   +8 contents
//!             1  a TCP connection          its place, 20 bytes                                   (abi::net)
//!             2  a socket for UDP          as above
//!             3  a port of the host        its number u32                                        (AF_VSOCK)
//!             4  addresses of a name       4 or 6 or 0, what kind of; the name, 1 to 253 bytes
//! Answer    +0 kind u8  +1 what u8    +2 errno u16  +4 number u32   +8 contents
//!             1, 2, 3  errno, or what of a socket, with one descriptor
//!             4        what the name is    seconds u32, places
//! ```
//!
//! Whoever asks may have been taken over: a request that is anything else, or longer, has no answer, and the broker ends. It takes no
//! descriptors: what comes with a request is let go by the host's kernel.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use septum_abi::net::{PLACE, place_from_bytes, place_to_bytes};

use crate::names::{Family, Verdict};

/// Bytes of the longest request and answer.
pub(crate) const LONGEST_REQUEST: usize = HEAD + LONGEST_NAME;
pub(crate) const LONGEST_ANSWER: usize = HEAD + 4 + PLACE * MOST_ADDRESSES;
/// Most addresses of a name.
pub(crate) const MOST_ADDRESSES: usize = 32;

const HEAD: usize = 8;
/// Bytes of the longest name (RFC 1035).
pub(crate) const LONGEST_NAME: usize = 253;

/// What a request is about; an answer says it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    Exchange,
    Dial,
    LookUp,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Connect, Self::Exchange, Self::Dial, Self::LookUp];

    fn to_byte(self) -> u8 {
        Self::ALL.iter().zip(1..).find(|(kind, _)| **kind == self).map_or(0, |(_, byte)| byte)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A TCP connection to what the guest calls so.
    Connect(SocketAddr),
    /// A socket for messages to and from there.
    Exchange(SocketAddr),
    /// A connection to a port of the host, of AF_VSOCK.
    Dial(u32),
    /// Addresses of a name, of a family; without one, whether there is such a name.
    LookUp(String, Option<Family>),
}

impl Request {
    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect(_) => Kind::Connect,
            Self::Exchange(_) => Kind::Exchange,
            Self::Dial(_) => Kind::Dial,
            Self::LookUp(..) => Kind::LookUp,
        }
    }

    /// As it is sent.
    pub fn to_bytes(&self, number: u32) -> Vec<u8> {
        let family = match self {
            Self::LookUp(_, Some(Family::V4)) => 4,
            Self::LookUp(_, Some(Family::V6)) => 6,
            _ => 0,
        };
        let mut bytes = vec![self.kind().to_byte(), family, 0, 0];
        bytes.extend(number.to_le_bytes());
        match self {
            Self::Connect(place) | Self::Exchange(place) => bytes.extend(place_to_bytes(Some(*place))),
            Self::Dial(port) => bytes.extend(port.to_le_bytes()),
            Self::LookUp(name, _) => bytes.extend(name.as_bytes()),
        }
        bytes
    }

    /// From what was received, with its number. `None` if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<(u32, Self)> {
        let ([kind, family, 0, 0], rest) = bytes.split_first_chunk::<4>()? else { return None };
        let (number, contents) = rest.split_first_chunk::<4>()?;
        let kind = Kind::from_byte(*kind)?;
        if kind != Kind::LookUp && *family != 0 {
            return None;
        }
        let place = || place_from_bytes(contents.try_into().ok()?).ok()?;
        let request = match kind {
            Kind::Connect => Self::Connect(place()?),
            Kind::Exchange => Self::Exchange(place()?),
            Kind::Dial => Self::Dial(u32::from_le_bytes(contents.try_into().ok()?)),
            Kind::LookUp => {
                let family = match family {
                    0 => None,
                    4 => Some(Family::V4),
                    6 => Some(Family::V6),
                    _ => return None,
                };
                let is_plain = |byte: &u8| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
                };
                let is_name = (1..=LONGEST_NAME).contains(&contents.len()) && contents.iter().all(is_plain);
                let name = std::str::from_utf8(contents).ok().filter(|_| is_name)?;
                Self::LookUp(name.to_owned(), family)
            }
        };
        Some((u32::from_le_bytes(*number), request))
    }
}

/// How far a socket is that comes with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It stands.
    Connected,
    /// It is writable when it stands.
    Connecting,
    /// Another partition's proxy says when its guest has accepted.
    Calling,
}

impl State {
    const ALL: [Self; 3] = [Self::Connected, Self::Connecting, Self::Calling];
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A socket, behind it.
    Socket(State),
    /// There is none.
    Refused(Errno),
    /// What the name is.
    Found(Verdict),
}

impl Answer {
    /// As it is sent.
    pub fn to_bytes(&self, kind: Kind, number: u32) -> Vec<u8> {
        let (what, errno) = match self {
            Self::Socket(state) => {
                (State::ALL.iter().zip(1..).find(|(it, _)| *it == state).map_or(0, |(_, it)| it), 0)
            }
            Self::Refused(errno) => (0, u16::try_from(errno.raw_os_error()).unwrap_or(u16::MAX)),
            Self::Found(Verdict::Addresses(..)) => (1, 0),
            Self::Found(Verdict::NoName) => (2, 0),
            Self::Found(_) => (3, 0),
        };
        let mut bytes = vec![kind.to_byte(), what];
        bytes.extend(errno.to_le_bytes());
        bytes.extend(number.to_le_bytes());
        if let Self::Found(Verdict::Addresses(addresses, seconds)) = self {
            bytes.extend(seconds.to_le_bytes());
            let place = |ip: &IpAddr| place_to_bytes(Some(SocketAddr::new(*ip, 0)));
            bytes.extend(addresses.iter().take(MOST_ADDRESSES).flat_map(place));
        }
        bytes
    }

    /// From what was received, with what it is about and its number. `None` if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Kind, u32, Self)> {
        let ([kind, what, errno @ ..], rest) = bytes.split_first_chunk::<4>()?;
        let (number, contents) = rest.split_first_chunk::<4>()?;
        let (kind, errno) = (Kind::from_byte(*kind)?, u16::from_le_bytes(*errno));
        let answer = if errno != 0 {
            Self::Refused(Errno::from_raw_os_error(i32::from(errno)))
        } else if kind == Kind::LookUp {
            Self::Found(match what {
                1 => {
                    let (seconds, places) = contents.split_first_chunk::<4>()?;
                    let (places, []) = places.as_chunks::<PLACE>() else { return None };
                    let address = |place| Some(place_from_bytes(place).ok()??.ip());
                    let addresses = places.iter().map(address).collect::<Option<_>>()?;
                    Verdict::Addresses(addresses, u32::from_le_bytes(*seconds))
                }
                2 => Verdict::NoName,
                _ => Verdict::Failed,
            })
        } else {
            Self::Socket(*State::ALL.get(usize::from(*what).checked_sub(1)?)?)
        };
        Some((kind, u32::from_le_bytes(*number), answer))
    }
}

/// Whether this is a request, which then is the one of these bytes alone.
#[cfg(feature = "testing")]
#[must_use]
pub fn is_request(bytes: &[u8]) -> bool {
    let request = Request::from_bytes(bytes);
    if let Some((number, request)) = &request {
        let again = request.to_bytes(*number);
        assert_eq!(Request::from_bytes(&again).as_ref(), Some(&(*number, request.clone())));
        assert!(bytes.len() <= LONGEST_REQUEST);
    }
    request.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn requests() -> Vec<Request> {
        vec![
            Request::Connect(place("192.0.2.1:80")),
            Request::Connect(place("[2001:db8::1]:443")),
            Request::Exchange(place("192.0.2.1:53")),
            Request::Dial(5000),
            Request::LookUp("a".repeat(253), Some(Family::V4)),
            Request::LookUp("a-b_c.example".to_owned(), Some(Family::V6)),
            Request::LookUp("x".to_owned(), None),
        ]
    }

    #[test]
    fn what_is_asked_and_answered_arrives() {
        for request in requests() {
            let bytes = request.to_bytes(7);
            assert!(bytes.len() <= LONGEST_REQUEST);
            assert_eq!(Request::from_bytes(&bytes), Some((7, request)));
        }
        let many = (0..32_u32).map(|ip| IpAddr::from(ip.to_be_bytes())).collect();
        let answers = [
            (Kind::Connect, Answer::Socket(State::Connecting)),
            (Kind::Connect, Answer::Socket(State::Calling)),
            (Kind::Dial, Answer::Socket(State::Connected)),
            (Kind::Exchange, Answer::Refused(Errno::CONNREFUSED)),
            (Kind::LookUp, Answer::Found(Verdict::Addresses(many, 60))),
            (Kind::LookUp, Answer::Found(Verdict::Addresses(Vec::new(), 1))),
            (Kind::LookUp, Answer::Found(Verdict::NoName)),
            (Kind::LookUp, Answer::Found(Verdict::Failed)),
        ];
        for (kind, answer) in answers {
            let bytes = answer.to_bytes(kind, 9);
            assert!(bytes.len() <= LONGEST_ANSWER);
            assert_eq!(Answer::from_bytes(&bytes), Some((kind, 9, answer)));
        }
    }

    #[test]
    fn what_is_no_request_is_nothing() {
        for request in requests() {
            let good = request.to_bytes(7);
            let is_name = matches!(request, Request::LookUp(..));
            for len in 0..good.len() {
                assert!(
                    is_name && len > HEAD || Request::from_bytes(&good[..len]).is_none(),
                    "{request:?} {len}"
                );
            }
            let is_longest = good.len() == LONGEST_REQUEST;
            assert!(is_name && !is_longest || Request::from_bytes(&[&good[..], b"0"].concat()).is_none());
            for (at, byte) in [(0, 0), (0, 5), (0, 255), (1, 1), (1, 5), (2, 1), (3, 1)] {
                let mut bad = good.clone();
                bad[at] = byte;
                assert_eq!(Request::from_bytes(&bad), None, "{request:?} {at} {byte}");
            }
        }
        for name in ["", "A", "a b", "a/b", "ä", "a\0", "*.a"] {
            let request = Request::LookUp(name.to_owned(), None).to_bytes(1);
            assert_eq!(Request::from_bytes(&request), None, "{name}");
        }
        // A place that is none, and one that is nowhere.
        for family in [0, 5] {
            let mut bad = requests()[0].to_bytes(1);
            bad[HEAD] = family;
            assert_eq!(Request::from_bytes(&bad), None);
        }
    }
}
