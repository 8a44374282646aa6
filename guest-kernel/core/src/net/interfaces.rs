//! The network interfaces that there are: `lo`, with 127.0.0.1 and ::1, and `eth0` if there is a way out of the partition.

use super::outside;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use septum_abi::net;

/// A network interface.
#[derive(Debug)]
pub struct Interface {
    /// Name.
    pub name: &'static [u8],
    /// Number.
    pub index: u32,
    /// IFF_*.
    pub flags: u32,
    /// Largest packet.
    pub mtu: u32,
    /// ARPHRD_*.
    pub hardware: u16,
    /// Hardware address.
    pub station: [u8; 6],
    /// To everybody.
    pub broadcast: [u8; 6],
    /// IF_OPER_*.
    pub state: u8,
    /// Addresses with the bits of their networks, IPv4 first.
    pub addresses: &'static [(IpAddr, u8)],
    /// RT_SCOPE_* of its addresses.
    pub scope: u8,
}

/// Length of the queue of each.
pub const QUEUE: u32 = 1000;

/// IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_LOWER_UP; ARPHRD_LOOPBACK; RT_SCOPE_HOST
static LOOPBACK: Interface = Interface {
    name: b"lo",
    index: 1,
    flags: 1 | 8 | 0x40 | 0x1_0000,
    mtu: 65_536,
    hardware: 772,
    station: [0; 6],
    broadcast: [0; 6],
    state: 0,
    addresses: &[(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)],
    scope: 254,
};

/// IFF_UP, IFF_BROADCAST, IFF_RUNNING, IFF_MULTICAST, IFF_LOWER_UP; ARPHRD_ETHER; IF_OPER_UP; RT_SCOPE_UNIVERSE.
/// It has no IPv6 address: programs would prefer IPv6, which most hosts do not have.
static OUTER: Interface = Interface {
    name: b"eth0",
    index: 2,
    flags: 1 | 2 | 0x40 | 0x1000 | 0x1_0000,
    mtu: 1500,
    hardware: 1,
    station: [0x02, 0x73, 0x65, 0x70, 0x74, 0x02],
    broadcast: [0xff; 6],
    state: 6,
    addresses: &[(IpAddr::V4(net::GUEST), 15)],
    scope: 0,
};

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Interface> {
    let outer = outside::carrier().is_some().then_some(&OUTER);
    core::iter::once(&LOOPBACK).chain(outer)
}

impl Interface {
    /// Its IPv4 address, and the bits of its network.
    #[must_use]
    pub fn v4(&self) -> (Ipv4Addr, u8) {
        match self.addresses.first() {
            Some(&(IpAddr::V4(ip), bits)) => (ip, bits),
            _ => (Ipv4Addr::UNSPECIFIED, 0),
        }
    }

    /// The address of everybody in its network; none of `lo`.
    #[must_use]
    pub fn everybody(&self) -> Ipv4Addr {
        let (ip, bits) = self.v4();
        if self.hardware == LOOPBACK.hardware {
            return Ipv4Addr::UNSPECIFIED;
        }
        Ipv4Addr::from(u32::from(ip) | u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0))
    }
}
