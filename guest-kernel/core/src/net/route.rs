//! What an address leads to.
//!
//! The partition has no network: there is the loopback interface, and everything else is unreachable, at once and without a name
//! ever being asked for (ENETUNREACH). [`to`] is the one place that decides this. A way out, through a proxy on the host that has a policy, would
//! be another [`Way`], whose connection is another pair of channels with the proxy's device at their other end; nothing else would change.

use super::address::Family;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use septum_abi::linux::Errno;

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
        _ => Err(Errno::ENETUNREACH),
    }
}

/// Whether a socket may be bound to `ip`: it is this host's, or any.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback()
}
