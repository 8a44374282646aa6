//! getsockopt, setsockopt.

use super::arguments::socket;
use super::control::layout;
use crate::net::address::Family;
use crate::net::options::{self, Options, buffer_size};
use crate::net::passing::Credentials;
use crate::net::{Kind, Role, Socket};
use crate::syscall::files::FileContext;
use crate::syscall::files::arguments::{field, int};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;

/// Options of SOL_SOCKET (asm-generic/socket.h).
mod name {
    pub const REUSE_ADDRESS: i32 = 2;
    pub const TYPE: i32 = 3;
    pub const ERROR: i32 = 4;
    pub const SEND_BUFFER: i32 = 7;
    pub const RECEIVE_BUFFER: i32 = 8;
    pub const URGENT_INLINE: i32 = 10;
    pub const LINGER: i32 = 13;
    pub const REUSE_PORT: i32 = 15;
    pub const PASS_CREDENTIALS: i32 = 16;
    pub const PEER_CREDENTIALS: i32 = 17;
    pub const SEND_LOW_WATER: i32 = 19;
    pub const RECEIVE_TIMEOUT: i32 = 20;
    pub const SEND_TIMEOUT: i32 = 21;
    pub const BIND_TO_DEVICE: i32 = 25;
    pub const ACCEPTS: i32 = 30;
    pub const FORCE_SEND_BUFFER: i32 = 32;
    pub const FORCE_RECEIVE_BUFFER: i32 = 33;
    pub const PROTOCOL: i32 = 38;
    pub const DOMAIN: i32 = 39;
    pub const RECEIVE_TIMEOUT_NEW: i32 = 66;
    pub const SEND_TIMEOUT_NEW: i32 = 67;
}

/// TCP_MAXSEG, TCP_INFO, TCP_CONGESTION
const SEGMENT: i32 = 2;
const INFORMATION: i32 = 11;
const CONGESTION: i32 = 13;
/// IPV6_V6ONLY
const ONLY_V6: i32 = 26;
/// IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP
const JOIN: [(i32, i32); 2] = [(options::IP, 35), (options::IPV6, 20)];
/// Largest segment over `lo`, and before it is known that it goes there.
const SEGMENT_OVER_LOOPBACK: i32 = 65_483;
const SEGMENT_UNCONNECTED: i32 = 536;

/// `setsockopt`
pub fn sys_setsockopt<C: FileContext>(
    ctx: &C,
    fd: i32,
    level: i32,
    option: i32,
    address: u64,
    len: i32,
) -> Result<usize, Errno> {
    let (_, socket) = socket(ctx, fd)?;
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    check_level(&socket, level, Errno::EOPNOTSUPP)?;
    let mut bytes = [0; 16];
    let given = &mut bytes[..len.min(16)];
    ctx.copy_in(address, given)?;
    if (level, option) == (options::TCP, CONGESTION) {
        // There is no congestion to be controlled; what is usual may be asked for.
        return if given.starts_with(b"cubic") || given.starts_with(b"reno") {
            Ok(0)
        } else {
            Err(Errno::ENOENT)
        };
    }
    if (level, option) == (options::SOCKET, name::BIND_TO_DEVICE) {
        let is_known = matches!(given, [b'l', b'o'] | [b'l', b'o', 0, ..] | [] | [0, ..]);
        return if is_known { Ok(0) } else { Err(Errno::ENODEV) };
    }
    if JOIN.contains(&(level, option)) {
        return Err(Errno::ENODEV);
    }
    if len < 4 {
        return Err(Errno::EINVAL);
    }
    let value = int(field(&bytes, 0));
    match level {
        options::SOCKET => set_common(&socket, option, &bytes[..len.min(16)], value)?,
        options::IPV6 if option == ONLY_V6 => {
            if socket.name.lock().port.is_some() {
                return Err(Errno::EINVAL);
            }
            socket.options.lock().is_only_v6 = value != 0;
        }
        options::TCP if option == SEGMENT => {}
        _ => socket.options.lock().remember(level, option, value)?,
    }
    Ok(0)
}

/// Whether the socket has options of this level.
fn check_level(socket: &Socket, level: i32, otherwise: Errno) -> Result<(), Errno> {
    let is_known = match (socket.family, level) {
        (_, options::SOCKET) => true,
        (Family::Unix, _) => return Err(otherwise),
        (Family::Netlink, level) => level == options::NETLINK,
        (Family::Vsock, _) => false,
        (Family::V4, options::IP) | (Family::V6, options::IP | options::IPV6) => true,
        (_, options::TCP) => socket.kind == Kind::Stream,
        (_, options::UDP) => socket.kind == Kind::Datagram && socket.protocol != options::UDP_LITE,
        (_, options::UDP_LITE) => socket.protocol == options::UDP_LITE,
        _ => false,
    };
    if is_known { Ok(()) } else { Err(Errno::ENOPROTOOPT) }
}

fn set_common(socket: &Socket, option: i32, bytes: &[u8], value: i32) -> Result<(), Errno> {
    let timeout = || timeout(bytes);
    let mut set = socket.options.lock();
    match option {
        name::REUSE_ADDRESS => set.reuses_address = value != 0,
        name::REUSE_PORT => set.reuses_port = value != 0,
        name::PASS_CREDENTIALS => set.passes_credentials = value != 0,
        name::LINGER => {
            if bytes.len() < 8 {
                return Err(Errno::EINVAL);
            }
            set.linger = (value != 0, int(field(bytes, 0) >> 32));
        }
        name::SEND_BUFFER | name::FORCE_SEND_BUFFER => {
            set.send_buffer = buffer_size(value, option == name::FORCE_SEND_BUFFER).max(4608);
            set.has_send_buffer = true;
            drop(set);
            buffer_changed(socket, true);
        }
        name::RECEIVE_BUFFER | name::FORCE_RECEIVE_BUFFER => {
            set.receive_buffer = buffer_size(value, option == name::FORCE_RECEIVE_BUFFER);
            set.has_receive_buffer = true;
            drop(set);
            buffer_changed(socket, false);
        }
        name::RECEIVE_TIMEOUT | name::RECEIVE_TIMEOUT_NEW => set.receive_timeout_ns = timeout()?,
        name::SEND_TIMEOUT | name::SEND_TIMEOUT_NEW => set.send_timeout_ns = timeout()?,
        name::TYPE | name::ERROR | name::ACCEPTS | name::PROTOCOL | name::DOMAIN => {
            return Err(Errno::ENOPROTOOPT);
        }
        name::URGENT_INLINE => {
            socket.shared.has_urgent_inline.store(value != 0, Ordering::SeqCst);
            set.remember(options::SOCKET, option, value)?;
        }
        _ => set.remember(options::SOCKET, option, value)?,
    }
    Ok(())
}

fn buffer_changed(socket: &Socket, is_sent: bool) {
    if let Role::Connection(connection) = &socket.role {
        connection.buffer_changed(socket, is_sent);
    }
}

/// A `timeval` as ns; 0 is for ever, and a negative one no time at all.
fn timeout(bytes: &[u8]) -> Result<u64, Errno> {
    if bytes.len() < 16 {
        return Err(Errno::EINVAL);
    }
    let microseconds = field(bytes, 8);
    if microseconds >= 1_000_000 {
        return Err(Errno::EDOM);
    }
    match u64::try_from(field(bytes, 0).cast_signed()) {
        Ok(seconds) => Ok(seconds.saturating_mul(1_000_000_000).saturating_add(microseconds * 1000)),
        Err(_) => Ok(1),
    }
}

/// `getsockopt`
pub fn sys_getsockopt<C: FileContext>(
    ctx: &C,
    fd: i32,
    level: i32,
    option: i32,
    address: u64,
    len: u64,
) -> Result<usize, Errno> {
    let (_, socket) = socket(ctx, fd)?;
    let mut room = [0; 4];
    ctx.copy_in(len, &mut room)?;
    let room = usize::try_from(i32::from_le_bytes(room)).map_err(|_| Errno::EINVAL)?;
    check_level(&socket, level, Errno::EOPNOTSUPP)?;
    let value = match level {
        options::SOCKET => get_common(&socket, option)?,
        options::IPV6 if option == ONLY_V6 => number(i32::from(socket.options.lock().is_only_v6)),
        options::TCP => get_tcp(&socket, option)?,
        _ => number(socket.options.lock().recall(level, option)?),
    };
    let told = value.len().min(room);
    ctx.copy_out(address, &value[..told])?;
    ctx.copy_out(len, &u32::try_from(told).unwrap_or(0).to_le_bytes())?;
    Ok(0)
}

fn number(value: i32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn size_of(value: usize) -> Vec<u8> {
    number(i32::try_from(value).unwrap_or(i32::MAX))
}

fn time(ns: u64) -> Vec<u8> {
    let [seconds, microseconds] = [ns / 1_000_000_000, ns % 1_000_000_000 / 1000];
    [seconds.to_le_bytes(), microseconds.to_le_bytes()].concat()
}

fn get_common(socket: &Socket, option: i32) -> Result<Vec<u8>, Errno> {
    let set: Options = socket.options.lock().clone();
    Ok(match option {
        name::REUSE_ADDRESS => number(i32::from(set.reuses_address)),
        name::REUSE_PORT => number(i32::from(set.reuses_port)),
        name::TYPE => number(socket.kind.number()),
        name::ERROR => number(socket.shared.take_error().map_or(0, |errno| i32::from(errno.number()))),
        name::SEND_BUFFER => size_of(set.send_buffer),
        name::RECEIVE_BUFFER => size_of(set.receive_buffer),
        name::LINGER => [i32::from(set.linger.0), set.linger.1].map(i32::to_le_bytes).concat(),
        name::PASS_CREDENTIALS => number(i32::from(set.passes_credentials)),
        name::PEER_CREDENTIALS => layout(peer_credentials(socket)).to_vec(),
        name::SEND_LOW_WATER => number(1),
        name::RECEIVE_TIMEOUT | name::RECEIVE_TIMEOUT_NEW => time(set.receive_timeout_ns),
        name::SEND_TIMEOUT | name::SEND_TIMEOUT_NEW => time(set.send_timeout_ns),
        name::ACCEPTS => number(match &socket.role {
            Role::Connection(connection) => i32::from(connection.is_listening()),
            _ => 0,
        }),
        name::PROTOCOL => number(socket.protocol),
        name::DOMAIN => number(i32::from(socket.family.number())),
        name::BIND_TO_DEVICE => Vec::new(),
        _ => number(set.recall(options::SOCKET, option)?),
    })
}

/// Who is at the other end; nobody, of a socket that has none.
fn peer_credentials(socket: &Socket) -> Credentials {
    const NOBODY: u32 = u32::MAX;
    let ends = match &socket.role {
        Role::Connection(connection) if socket.family == Family::Unix => connection.ends(),
        _ => None,
    };
    ends.map_or(Credentials { pid: 0, uid: NOBODY, gid: NOBODY }, |ends| ends.peer_credentials)
}

fn get_tcp(socket: &Socket, option: i32) -> Result<Vec<u8>, Errno> {
    let Role::Connection(connection) = &socket.role else { return Err(Errno::ENOPROTOOPT) };
    let is_connected = connection.ends().is_some();
    Ok(match option {
        SEGMENT => number(if is_connected { SEGMENT_OVER_LOOPBACK } else { SEGMENT_UNCONNECTED }),
        CONGESTION => b"cubic\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
        INFORMATION => {
            // `struct tcp_info`, of which only the state has a meaning here: ESTABLISHED, LISTEN or CLOSE.
            let mut information = alloc::vec![0; 104];
            let is_listening = connection.is_listening();
            information[0] = if is_connected {
                1
            } else if is_listening {
                10
            } else {
                7
            };
            information
        }
        _ => number(socket.options.lock().recall(options::TCP, option)?),
    })
}
