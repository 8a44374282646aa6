//! Addresses of sockets, and how programs lay them out.
//!
//! ```text
//! sockaddr_un   +0 family (1)    +2 path, up to 108 bytes; first byte 0: an abstract name of the rest's length
//! sockaddr_in   +0 family (2)    +2 port (be)   +4 address   +16
//! sockaddr_in6  +0 family (10)   +2 port (be)   +4 flow information   +8 address   +24 scope   +28
//! sockaddr_nl   +0 family (16)   +4 port   +8 groups   +12
//! sockaddr_vm   +0 family (40)   +2 0   +4 port   +8 CID   +12 flags (u8)   +16
//! ```
//!
//! Inside, an IPv4 address is always that: what an IPv6 socket calls `::ffff:127.0.0.1` is 127.0.0.1.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use septum_abi::linux::Errno;

/// Longest address of any family (`struct sockaddr_storage`).
pub const LONGEST: usize = 128;
/// Longest `sockaddr_un`.
const UNIX_LONGEST: usize = 110;

/// AF_UNSPEC
const UNSPECIFIED: u16 = 0;
/// AF_UNIX
pub const UNIX: u16 = 1;
/// AF_INET
pub const INET: u16 = 2;
/// AF_INET6
pub const INET6: u16 = 10;
/// AF_NETLINK
pub const NETLINK: u16 = 16;
/// AF_VSOCK
pub const VSOCK: u16 = 40;

/// The family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// AF_UNIX
    Unix,
    /// AF_INET
    V4,
    /// AF_INET6
    V6,
    /// AF_NETLINK
    Netlink,
    /// AF_VSOCK
    Vsock,
}

impl Family {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Unix => UNIX,
            Self::V4 => INET,
            Self::V6 => INET6,
            Self::Netlink => NETLINK,
            Self::Vsock => VSOCK,
        }
    }
}

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnixName {
    /// It has none.
    Unnamed,
    /// A file, as the program wrote it.
    Path(Vec<u8>),
    /// A name that is no file.
    Abstract(Vec<u8>),
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// AF_UNSPEC
    Unspecified,
    /// AF_UNIX
    Unix(UnixName),
    /// AF_INET, AF_INET6
    Inet(SocketAddr),
    /// AF_NETLINK
    Netlink {
        /// Port.
        port: u32,
        /// Multicast groups.
        groups: u32,
    },
    /// AF_VSOCK
    Vsock {
        /// Whose.
        cid: u32,
        /// Port.
        port: u32,
    },
}

fn u16_at(bytes: &[u8], at: usize) -> [u8; 2] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

fn u32_at(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

impl Address {
    /// What `bytes` mean to a socket of `family`. EINVAL if they are too short, EAFNOSUPPORT if they are of another family.
    pub fn parse(family: Family, bytes: &[u8]) -> Result<Self, Errno> {
        if bytes.len() < 2 {
            return Err(Errno::EINVAL);
        }
        let of = u16::from_le_bytes(u16_at(bytes, 0));
        if of == UNSPECIFIED && family != Family::Unix {
            return Ok(Self::Unspecified);
        }
        match (family, of) {
            (Family::Unix, UNSPECIFIED) => Ok(Self::Unspecified),
            (Family::Unix, UNIX) => Self::parse_unix(bytes),
            (Family::Unix, _) => Err(Errno::EINVAL),
            (Family::V4, INET) => Self::parse_v4(bytes),
            (Family::V6, INET6) => Self::parse_v6(bytes),
            // An IPv6 socket may be told an IPv4 address only by those who send (Linux: udpv6_sendmsg).
            (Family::V4 | Family::V6, _) => Err(Errno::EAFNOSUPPORT),
            (Family::Netlink, NETLINK) if bytes.len() >= 12 => Ok(Self::Netlink {
                port: u32::from_le_bytes(u32_at(bytes, 4)),
                groups: u32::from_le_bytes(u32_at(bytes, 8)),
            }),
            (Family::Netlink, _) => Err(Errno::EINVAL),
            (Family::Vsock, _) if bytes.len() < 16 => Err(Errno::EINVAL),
            (Family::Vsock, VSOCK) if bytes.get(2..4) == Some(&[0, 0]) => Ok(Self::Vsock {
                cid: u32::from_le_bytes(u32_at(bytes, 8)),
                port: u32::from_le_bytes(u32_at(bytes, 4)),
            }),
            (Family::Vsock, VSOCK) => Err(Errno::EINVAL),
            (Family::Vsock, _) => Err(Errno::EAFNOSUPPORT),
        }
    }

    fn parse_unix(bytes: &[u8]) -> Result<Self, Errno> {
        let name = bytes.get(2..).filter(|_| bytes.len() <= UNIX_LONGEST).ok_or(Errno::EINVAL)?;
        Ok(Self::Unix(match name.split_first() {
            None => UnixName::Unnamed,
            Some((0, name)) => UnixName::Abstract(name.to_vec()),
            Some(_) => UnixName::Path(name.iter().copied().take_while(|&byte| byte != 0).collect()),
        }))
    }

    fn parse_v4(bytes: &[u8]) -> Result<Self, Errno> {
        if bytes.len() < 16 {
            return Err(Errno::EINVAL);
        }
        let ip = Ipv4Addr::from(u32_at(bytes, 4));
        Ok(Self::Inet(SocketAddr::new(IpAddr::V4(ip), u16::from_be_bytes(u16_at(bytes, 2)))))
    }

    fn parse_v6(bytes: &[u8]) -> Result<Self, Errno> {
        // The scope was added later: without it the structure is 24 bytes.
        let ip = bytes.get(8..24).and_then(|ip| ip.first_chunk::<16>()).ok_or(Errno::EINVAL)?;
        let ip = Ipv6Addr::from(*ip).to_canonical();
        Ok(Self::Inet(SocketAddr::new(ip, u16::from_be_bytes(u16_at(bytes, 2)))))
    }

    /// As a socket of `family` shows it to its program.
    #[must_use]
    pub fn layout(&self, family: Family) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28);
        bytes.extend_from_slice(&family.number().to_le_bytes());
        match self {
            // The peer of a Unix socket that has no name has an address of its family alone.
            Self::Unspecified => {}
            Self::Unix(UnixName::Unnamed) => {}
            Self::Unix(UnixName::Path(path)) => {
                bytes.extend_from_slice(path);
                bytes.push(0);
            }
            Self::Unix(UnixName::Abstract(name)) => {
                bytes.push(0);
                bytes.extend_from_slice(name);
            }
            Self::Inet(address) => {
                bytes.extend_from_slice(&address.port().to_be_bytes());
                match (family, address.ip()) {
                    (Family::V6, ip) => {
                        let ip = match ip {
                            // "Any" of an IPv6 socket is its own.
                            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                            IpAddr::V6(ip) => ip,
                        };
                        bytes.extend_from_slice(&[0; 4]);
                        bytes.extend_from_slice(&ip.octets());
                        bytes.extend_from_slice(&[0; 4]);
                    }
                    (_, IpAddr::V4(ip)) => {
                        bytes.extend_from_slice(&ip.octets());
                        bytes.extend_from_slice(&[0; 8]);
                    }
                    // An IPv4 socket has no such address.
                    (_, IpAddr::V6(_)) => bytes.extend_from_slice(&[0; 12]),
                }
            }
            Self::Netlink { port, groups } => {
                bytes.extend_from_slice(&[0; 2]);
                bytes.extend_from_slice(&port.to_le_bytes());
                bytes.extend_from_slice(&groups.to_le_bytes());
            }
            Self::Vsock { cid, port } => {
                bytes.extend_from_slice(&[0; 2]);
                bytes.extend_from_slice(&port.to_le_bytes());
                bytes.extend_from_slice(&cid.to_le_bytes());
                bytes.extend_from_slice(&[0; 4]);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_laid_out_is_understood() {
        let unix = |name| Address::Unix(name);
        for (family, address) in [
            (Family::Unix, unix(UnixName::Unnamed)),
            (Family::Unix, unix(UnixName::Path(b"/tmp/x".to_vec()))),
            (Family::Unix, unix(UnixName::Abstract(b"a\0b".to_vec()))),
            (Family::V4, Address::Inet("127.0.0.1:80".parse().unwrap())),
            (Family::V6, Address::Inet("[::1]:80".parse().unwrap())),
            (Family::V6, Address::Inet("127.0.0.1:80".parse().unwrap())),
            (Family::Netlink, Address::Netlink { port: 7, groups: 1 }),
            (Family::Vsock, Address::Vsock { cid: 2, port: u32::MAX }),
        ] {
            assert_eq!(Address::parse(family, &address.layout(family)), Ok(address));
        }
    }

    #[test]
    fn what_is_too_short_or_of_another_family_is_refused() {
        assert_eq!(Address::parse(Family::V4, &[2, 0, 0, 80]), Err(Errno::EINVAL));
        assert_eq!(Address::parse(Family::V4, &[10; 28]), Err(Errno::EAFNOSUPPORT));
        assert_eq!(Address::parse(Family::V6, &[2; 16]), Err(Errno::EAFNOSUPPORT));
        assert_eq!(Address::parse(Family::Vsock, &[40; 12]), Err(Errno::EINVAL));
        assert_eq!(Address::parse(Family::Vsock, &[2; 16]), Err(Errno::EAFNOSUPPORT));
        assert_eq!(Address::parse(Family::Unix, &[1]), Err(Errno::EINVAL));
        assert_eq!(Address::parse(Family::Unix, &[1; 111]), Err(Errno::EINVAL));
        let mut long = [b'x'; 110];
        (long[0], long[1]) = (1, 0);
        assert!(
            matches!(Address::parse(Family::Unix, &long), Ok(Address::Unix(UnixName::Path(path))) if path.len() == 108)
        );
    }
}
