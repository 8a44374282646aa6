//! Options of sockets (`setsockopt`), as values.
//!
//! Options that change what a socket does are fields of [`Options`]. Those that tune a protocol which is not spoken inside one kernel
//! (keep-alive times, congestion control, types of service) are only [remembered](NUMBERS): set, checked, told.

use alloc::vec::Vec;
use septum_abi::linux::Errno;

/// Smallest, usual and largest size of a queue as `setsockopt` gives it; the kernel counts twice that.
const SMALLEST_BUFFER: usize = 2304;
const USUAL_BUFFER: usize = 212_992;
const LARGEST_BUFFER: usize = 212_992;

/// SOL_SOCKET
pub const SOCKET: i32 = 1;
/// IPPROTO_IP
pub const IP: i32 = 0;
/// IPPROTO_TCP
pub const TCP: i32 = 6;
/// IPPROTO_UDP
pub const UDP: i32 = 17;
/// IPPROTO_IPV6
pub const IPV6: i32 = 41;
/// SOL_NETLINK
pub const NETLINK: i32 = 270;

/// IPPROTO_UDPLITE
pub const UDP_LITE: i32 = 136;

/// IP_TOS
pub const TOS: i32 = 1;
/// IP_TTL
pub const TTL: i32 = 2;
/// IP_PKTINFO, also of a control message
pub const DESTINATION: i32 = 8;
/// IP_RECVTTL
pub const TELLS_TTL: i32 = 12;
/// IP_RECVTOS
pub const TELLS_TOS: i32 = 13;
/// IPV6_UNICAST_HOPS
pub const HOPS: i32 = 16;
/// IPV6_RECVPKTINFO
pub const TELLS_DESTINATION: i32 = 49;
/// IPV6_PKTINFO, of a control message
pub const DESTINATION_V6: i32 = 50;
/// IPV6_RECVHOPLIMIT
pub const TELLS_HOPS: i32 = 51;
/// IPV6_HOPLIMIT, of a control message
pub const HOPS_OF_MESSAGE: i32 = 52;
/// IPV6_RECVTCLASS
pub const TELLS_CLASS: i32 = 66;
/// IPV6_TCLASS, also of a control message
pub const CLASS: i32 = 67;

/// Options that programs set.
#[derive(Clone, Debug)]
pub struct Options {
    /// SO_REUSEADDR
    pub reuses_address: bool,
    /// SO_REUSEPORT
    pub reuses_port: bool,
    /// SO_PASSCRED
    pub passes_credentials: bool,
    /// IPV6_V6ONLY
    pub is_only_v6: bool,
    /// SO_LINGER: whether, and how long in seconds.
    pub linger: (bool, i32),
    /// SO_RCVTIMEO, ns; 0: for ever.
    pub receive_timeout_ns: u64,
    /// SO_SNDTIMEO, ns; 0: for ever.
    pub send_timeout_ns: u64,
    /// SO_SNDBUF, as the kernel counts.
    pub send_buffer: usize,
    /// SO_RCVBUF, as the kernel counts.
    pub receive_buffer: usize,
    /// SO_SNDBUF was set.
    pub has_send_buffer: bool,
    /// SO_RCVBUF was set.
    pub has_receive_buffer: bool,
    /// An option is set that makes messages come with control messages.
    pub tells_headers: bool,
    /// What is only remembered: level, name, value.
    numbers: Vec<(i32, i32, i32)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reuses_address: false,
            reuses_port: false,
            passes_credentials: false,
            is_only_v6: false,
            linger: (false, 0),
            receive_timeout_ns: 0,
            send_timeout_ns: 0,
            send_buffer: USUAL_BUFFER,
            receive_buffer: USUAL_BUFFER,
            has_send_buffer: false,
            has_receive_buffer: false,
            tells_headers: false,
            numbers: Vec::new(),
        }
    }
}

/// An option that is only remembered.
struct Number {
    level: i32,
    name: i32,
    usual: i32,
    least: i32,
    most: i32,
}

const fn number(level: i32, name: i32, usual: i32, least: i32, most: i32) -> Number {
    Number { level, name, usual, least, most }
}

/// A flag: any number but 0 is 1.
const fn flag(level: i32, name: i32) -> Number {
    Number { level, name, usual: 0, least: 1, most: 0 }
}

/// Options that make messages come with control messages.
const TELLING: [(i32, i32); 6] = [
    (IP, DESTINATION),
    (IP, TELLS_TTL),
    (IP, TELLS_TOS),
    (IPV6, TELLS_DESTINATION),
    (IPV6, TELLS_HOPS),
    (IPV6, TELLS_CLASS),
];

/// Options that are only remembered.
const NUMBERS: &[Number] = &[
    flag(SOCKET, 1),                           // SO_DEBUG
    flag(SOCKET, 5),                           // SO_DONTROUTE
    flag(SOCKET, 6),                           // SO_BROADCAST
    flag(SOCKET, 9),                           // SO_KEEPALIVE
    flag(SOCKET, 10),                          // SO_OOBINLINE
    number(SOCKET, 12, 0, 0, 6),               // SO_PRIORITY
    number(SOCKET, 18, 1, 0, i32::MAX),        // SO_RCVLOWAT
    flag(SOCKET, 29),                          // SO_TIMESTAMP
    number(SOCKET, 36, 0, i32::MIN, i32::MAX), // SO_MARK
    flag(SOCKET, 40),                          // SO_RXQ_OVFL
    number(SOCKET, 46, 0, 0, i32::MAX),        // SO_BUSY_POLL
    number(IP, 1, 0, 0, 255),                  // IP_TOS
    number(IP, 2, 64, 1, 255),                 // IP_TTL
    flag(IP, 8),                               // IP_PKTINFO
    number(IP, 10, 1, 0, 5),                   // IP_MTU_DISCOVER
    flag(IP, 11),                              // IP_RECVERR
    flag(IP, 12),                              // IP_RECVTTL
    flag(IP, 13),                              // IP_RECVTOS
    flag(IP, 15),                              // IP_FREEBIND
    flag(IP, 24),                              // IP_BIND_ADDRESS_NO_PORT
    number(IP, 33, 1, 0, 255),                 // IP_MULTICAST_TTL
    number(IP, 34, 1, 0, 1),                   // IP_MULTICAST_LOOP
    number(IPV6, 16, 64, -1, 255),             // IPV6_UNICAST_HOPS
    number(IPV6, 18, 1, -1, 255),              // IPV6_MULTICAST_HOPS
    number(IPV6, 19, 1, 0, 1),                 // IPV6_MULTICAST_LOOP
    number(IPV6, 23, 1, 0, 5),                 // IPV6_MTU_DISCOVER
    flag(IPV6, 25),                            // IPV6_RECVERR
    flag(IPV6, 49),                            // IPV6_RECVPKTINFO
    flag(IPV6, 51),                            // IPV6_RECVHOPLIMIT
    flag(IPV6, 53),                            // IPV6_RECVHOPOPTS
    flag(IPV6, 56),                            // IPV6_RECVRTHDR
    flag(IPV6, 58),                            // IPV6_RECVDSTOPTS
    flag(IPV6, 62),                            // IPV6_DONTFRAG
    flag(IPV6, 66),                            // IPV6_RECVTCLASS
    number(IPV6, 67, 0, -1, 255),              // IPV6_TCLASS
    flag(TCP, 1),                              // TCP_NODELAY
    flag(TCP, 3),                              // TCP_CORK
    number(TCP, 4, 7200, 1, 32_767),           // TCP_KEEPIDLE
    number(TCP, 5, 75, 1, 32_767),             // TCP_KEEPINTVL
    number(TCP, 6, 9, 1, 127),                 // TCP_KEEPCNT
    number(TCP, 7, 6, 1, 127),                 // TCP_SYNCNT
    number(TCP, 8, 60, i32::MIN, i32::MAX),    // TCP_LINGER2
    number(TCP, 9, 0, 0, i32::MAX),            // TCP_DEFER_ACCEPT
    number(TCP, 12, 1, i32::MIN, i32::MAX),    // TCP_QUICKACK
    number(TCP, 18, 0, 0, i32::MAX),           // TCP_USER_TIMEOUT
    number(TCP, 23, 0, 0, i32::MAX),           // TCP_FASTOPEN
    number(TCP, 25, -1, 0, i32::MAX),          // TCP_NOTSENT_LOWAT
    flag(TCP, 30),                             // TCP_FASTOPEN_CONNECT
    flag(UDP, 1),                              // UDP_CORK
    number(UDP_LITE, 10, 0, 0, 65_535),        // UDPLITE_SEND_CSCOV
    number(UDP_LITE, 11, 0, 0, 65_535),        // UDPLITE_RECV_CSCOV
    flag(NETLINK, 10),                         // NETLINK_CAP_ACK
    flag(NETLINK, 11),                         // NETLINK_EXT_ACK
    flag(NETLINK, 12),                         // NETLINK_GET_STRICT_CHK
];

impl Options {
    /// Remembers an option. ENOPROTOOPT if there is none such, EINVAL if it cannot be so.
    pub fn remember(&mut self, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        let known = find(level, name)?;
        let is_flag = known.least > known.most;
        if !is_flag && !(known.least..=known.most).contains(&value) {
            return Err(Errno::EINVAL);
        }
        let value = if is_flag { i32::from(value != 0) } else { value };
        self.numbers.retain(|&(of, other, _)| (of, other) != (level, name));
        self.numbers.push((level, name, value));
        self.tells_headers = TELLING.iter().any(|&(level, name)| self.is_set(level, name));
        Ok(())
    }

    /// Whether a flag was set.
    #[must_use]
    pub fn is_set(&self, level: i32, name: i32) -> bool {
        self.numbers.iter().any(|&(of, other, value)| (of, other) == (level, name) && value != 0)
    }

    /// What was remembered.
    pub fn recall(&self, level: i32, name: i32) -> Result<i32, Errno> {
        let known = find(level, name)?;
        let set = self.numbers.iter().find(|&&(of, other, _)| (of, other) == (level, name));
        Ok(set.map_or(known.usual, |&(.., value)| value))
    }
}

fn find(level: i32, name: i32) -> Result<&'static Number, Errno> {
    let is_it = |known: &&Number| (known.level, known.name) == (level, name);
    NUMBERS.iter().find(is_it).ok_or(Errno::ENOPROTOOPT)
}

/// The size of a queue as the kernel counts, from what the program asks for.
#[must_use]
pub fn buffer_size(asked: i32, is_forced: bool) -> usize {
    let most = if is_forced { 64 << 20 } else { LARGEST_BUFFER };
    // Linux takes the number as unsigned: a negative one is the largest.
    let asked = usize::try_from(asked.cast_unsigned()).unwrap_or(usize::MAX).min(most);
    (asked * 2).max(SMALLEST_BUFFER)
}
