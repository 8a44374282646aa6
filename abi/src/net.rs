//! How sockets of the Internet protocols leave a partition: over virtio sockets, to a proxy of the host.
//!
//! ```text
//! guest                                                     proxy
//! REQUEST to CARRIER, with Preamble ──────────────────────► asks its policy, connects
//!     ◄─────── RESPONSE or RST, with Answer ─────────────── when that has succeeded or failed
//! DATA: the stream's bytes; of a datagram socket one message a packet, behind a Label that says to or from whom
//!
//!     ◄─────── REQUEST to CARRIER, with Preamble ────────── somebody connected to a published port
//! RESPONSE or RST ────────────────────────────────────────►
//! ```
//!
//! The virtio specification gives a REQUEST, RESPONSE or RST no contents. Between our kernel and our proxy the connection's first
//! words go with them, so that connecting takes one exchange, as it does on a network, and a refusal says why.
//!
//! ```text
//! Place      +0 family u8 (4, 6; 0: none)  +1 0  +2 port u16  +4 address, 16 bytes                       20 bytes
//! Preamble   +0 version u16  +2 kind u8  +3 0  +4 the peer's place  +24 the guest's place                44
//! Answer     +0 version u16  +2 errno u16      +4 the peer's place  +24 the place that the peer sees     44
//! Label      +0 the peer's place               +20 errno u16  +22 0, 0                                   24
//! ```
//!
//! A label to the guest with an errno says that what was sent to that place did not arrive; no message is behind it then.
//! A datagram socket that the program bound to a port says so in its preamble: what comes to that port, if it is published, is its.
//!
//! Numbers are little-endian. Addresses of the partition are the same in every one: nothing outside ever sees them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Version of this protocol.
pub const VERSION: u16 = 2;
/// The port at either end that speaks it.
pub const CARRIER: u32 = 0x5e97_0001;
/// Most bytes of a message, header included: what a packet can hold.
pub const LONGEST_MESSAGE: usize = 64 << 10;

/// The partition's own address. Its network is RFC 2544's, which leads nowhere.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The same for IPv6, of a range that RFC 4193 sets aside.
pub const GUEST_V6: Ipv6Addr = Ipv6Addr::new(0xfd73, 0x6570, 0x7475, 0x6d00, 0, 0, 0, 2);
/// The host: `host.septum.internal`, and the way to everything else.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Where names are asked for, at port [`NAMES_PORT`].
pub const NAMESERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);
/// Other partitions, as one that they connect to sees them.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 4);
/// Other partitions that rules name, as whoever connects to them calls them: addresses from here on.
pub const FIRST_NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 0);
/// The port of [`NAMESERVER`].
pub const NAMES_PORT: u16 = 53;

/// Bytes of a [`Label`].
pub const LABEL: usize = 24;
/// Bytes of a [`Place`].
pub const PLACE: usize = 20;
/// Bytes of a [`Preamble`] or an [`Answer`].
pub const PREAMBLE: usize = 44;

/// What is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP
    Stream,
    /// UDP
    Datagram,
}

/// An address and a port, or none.
pub type Place = Option<SocketAddr>;

/// What whoever opens a connection says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// What.
    pub kind: Kind,
    /// To whom; of a connection to the guest, from whom. A datagram socket leaves it out.
    pub peer: Place,
    /// The guest's end, if it is known.
    pub own: Place,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0, or why not, as Linux numbers it.
    pub errno: u16,
    /// To whom it is connected.
    pub peer: Place,
    /// Whom the peer sees.
    pub seen: Place,
}

/// The bytes of a place.
#[must_use]
pub fn place_to_bytes(place: Place) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    let Some(place) = place else { return bytes };
    bytes[2..4].copy_from_slice(&place.port().to_le_bytes());
    match place.ip() {
        IpAddr::V4(ip) => {
            bytes[0] = 4;
            bytes[4..8].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes[0] = 6;
            bytes[4..].copy_from_slice(&ip.octets());
        }
    }
    bytes
}

/// What the bytes say; `Err` if they say nothing.
pub fn place_from_bytes(bytes: &[u8; PLACE]) -> Result<Place, Malformed> {
    let [family, zero, low, high, address @ ..] = bytes;
    let port = u16::from_le_bytes([*low, *high]);
    let ip = match (family, zero) {
        (0, 0) => return Ok(None),
        (4, 0) => {
            let [a, b, c, d, ..] = *address;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        // One that stands for an IPv4 address is that address, whatever rule is looked for later.
        (6, 0) => Ipv6Addr::from(*address).to_canonical(),
        _ => return Err(Malformed),
    };
    Ok(Some(SocketAddr::new(ip, port)))
}

/// The bytes are none of these structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

fn join(head: [u8; 4], first: Place, second: Place) -> [u8; PREAMBLE] {
    let mut bytes = [0; PREAMBLE];
    bytes[..4].copy_from_slice(&head);
    bytes[4..4 + PLACE].copy_from_slice(&place_to_bytes(first));
    bytes[4 + PLACE..].copy_from_slice(&place_to_bytes(second));
    bytes
}

fn split(bytes: &[u8]) -> Result<([u8; 4], Place, Place), Malformed> {
    let bytes: &[u8; PREAMBLE] = bytes.try_into().map_err(|_| Malformed)?;
    let (head, places) = bytes.split_first_chunk::<4>().ok_or(Malformed)?;
    let (first, rest) = places.split_first_chunk::<PLACE>().ok_or(Malformed)?;
    let second = rest.first_chunk::<PLACE>().ok_or(Malformed)?;
    if head[..2] != VERSION.to_le_bytes() {
        return Err(Malformed);
    }
    Ok((*head, place_from_bytes(first)?, place_from_bytes(second)?))
}

impl Preamble {
    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PREAMBLE] {
        let [low, high] = VERSION.to_le_bytes();
        let kind = match self.kind {
            Kind::Stream => 1,
            Kind::Datagram => 2,
        };
        join([low, high, kind, 0], self.peer, self.own)
    }

    /// From what was received.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let (head, peer, own) = split(bytes)?;
        let kind = match head[2..] {
            [1, 0] => Kind::Stream,
            [2, 0] => Kind::Datagram,
            _ => return Err(Malformed),
        };
        Ok(Self { kind, peer, own })
    }
}

impl Answer {
    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PREAMBLE] {
        let ([a, b], [c, d]) = (VERSION.to_le_bytes(), self.errno.to_le_bytes());
        join([a, b, c, d], self.peer, self.seen)
    }

    /// From what was received.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let ([_, _, c, d], peer, seen) = split(bytes)?;
        Ok(Self { errno: u16::from_le_bytes([c, d]), peer, seen })
    }
}

/// What a datagram socket's messages begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// To whom it goes, or from whom it comes.
    pub place: SocketAddr,
    /// Why what was sent there did not arrive, as Linux numbers it, or 0.
    pub errno: u16,
}

impl Label {
    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LABEL] {
        let mut bytes = [0; LABEL];
        bytes[..PLACE].copy_from_slice(&place_to_bytes(Some(self.place)));
        bytes[PLACE..PLACE + 2].copy_from_slice(&self.errno.to_le_bytes());
        bytes
    }

    /// From what a message begins with.
    pub fn from_bytes(bytes: &[u8; LABEL]) -> Result<Self, Malformed> {
        let (place, rest) = bytes.split_first_chunk::<PLACE>().ok_or(Malformed)?;
        let [low, high, 0, 0] = *rest else { return Err(Malformed) };
        let place = place_from_bytes(place)?.ok_or(Malformed)?;
        Ok(Self { place, errno: u16::from_le_bytes([low, high]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        let peer: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
        let own: SocketAddr = "198.18.0.2:40000".parse().unwrap();
        for kind in [Kind::Stream, Kind::Datagram] {
            for (peer, own) in [(Some(peer), Some(own)), (Some(own), None), (None, Some(peer))] {
                let preamble = Preamble { kind, peer, own };
                assert_eq!(Preamble::from_bytes(&preamble.to_bytes()), Ok(preamble));
                let answer = Answer { errno: 111, peer, seen: own };
                assert_eq!(Answer::from_bytes(&answer.to_bytes()), Ok(answer));
            }
        }
    }

    #[test]
    fn a_label_has_a_place() {
        let label = Label { place: "[2001:db8::1]:53".parse().unwrap(), errno: 111 };
        assert_eq!(Label::from_bytes(&label.to_bytes()), Ok(label));
        assert_eq!(Label::from_bytes(&[0; LABEL]), Err(Malformed));
        let mut bad = label.to_bytes();
        bad[23] = 1;
        assert_eq!(Label::from_bytes(&bad), Err(Malformed));
    }

    #[test]
    fn what_is_something_else_is_refused() {
        let good = Preamble { kind: Kind::Stream, peer: None, own: None }.to_bytes();
        for (at, byte) in [(0, 1), (1, 1), (2, 0), (2, 3), (3, 1), (4, 5), (5, 1), (24, 1)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(Preamble::from_bytes(&bad), Err(Malformed), "{at}");
        }
        assert_eq!(Preamble::from_bytes(&good[1..]), Err(Malformed));
        assert_eq!(Preamble::from_bytes(&[&good[..], &[0]].concat()), Err(Malformed));
    }

    #[test]
    fn an_ipv4_address_has_one_form() {
        let mut bytes = place_to_bytes(Some("[2001:db8::1]:80".parse().unwrap()));
        bytes[4..].copy_from_slice(&Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
        assert_eq!(place_from_bytes(&bytes), Ok(Some("127.0.0.1:80".parse().unwrap())));
    }
}
