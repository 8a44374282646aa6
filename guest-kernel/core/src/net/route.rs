//! What an address leads to.
//!
//! Inside the partition there is the loopback interface, and the partition's own address if it has a network. Everything else is
//! [outside], where the host's proxy decides; without a way there it is unreachable, at once and without a name ever being asked for
//! (ENETUNREACH). [`to`] is the one place that decides this.

use super::address::Family;
use super::outside;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use septum_abi::linux::Errno;
use septum_abi::net;

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Inside this kernel, at this address, from that one if the sender has not chosen.
    Loopback {
        /// Where the receiver is looked for.
        to: IpAddr,
        /// The sender's.
        from: IpAddr,
    },
    /// Through the proxy.
    Outside,
}

/// "Any" of a family, and no port.
#[must_use]
pub fn unspecified(family: Family) -> SocketAddr {
    let ip = match family {
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

/// The way to `ip`. "Any" means this host.
pub fn to(ip: IpAddr) -> Result<Way, Errno> {
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ok(Way::Loopback { to: v4, from: v4 }),
        IpAddr::V4(at) if at.is_loopback() => Ok(Way::Loopback { to: ip, from: v4 }),
        IpAddr::V6(ip) if ip.is_unspecified() => Ok(Way::Loopback { to: v6, from: v6 }),
        IpAddr::V6(at) if at.is_loopback() => Ok(Way::Loopback { to: ip, from: v6 }),
        _ if is_own(ip) => Ok(Way::Loopback { to: ip, from: ip }),
        _ if outside::carrier().is_some() => Ok(Way::Outside),
        _ => Err(Errno::ENETUNREACH),
    }
}

/// The partition's address, as it appears to itself, on the way to `ip`.
#[must_use]
pub fn outer(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => IpAddr::V4(net::GUEST),
        IpAddr::V6(_) => IpAddr::V6(net::GUEST_V6),
    }
}

/// Whether `ip` is the partition's address in its network.
fn is_own(ip: IpAddr) -> bool {
    (ip == IpAddr::V4(net::GUEST) || ip == IpAddr::V6(net::GUEST_V6)) && outside::carrier().is_some()
}

/// Whether a socket may be bound to `ip`: it is this host's, or any.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || is_own(ip)
}
