//! ioctls of sockets: bytes on their way, and what there is of interfaces.
//!
//! ```text
//! ifreq    +0 name, 16 bytes   +16 address, flags or number   +40
//! ifconf   +0 length (u32)   +8 address of ifreqs
//! ```

use crate::net::address::{Address, Family};
use crate::net::interfaces::{self, QUEUE};
use crate::net::{Role, Socket};
use crate::syscall::files::FileContext;
use crate::syscall::files::arguments::{field, word};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use septum_abi::linux::Errno;

/// Bytes of an `ifreq`.
const REQUEST: usize = 40;

/// Commands (linux/sockios.h).
mod command {
    /// SIOCOUTQ
    pub const UNSENT: u32 = 0x5411;
    pub const AT_MARK: u32 = 0x8905;
    pub const GET_NAME: u32 = 0x8910;
    pub const GET_ALL: u32 = 0x8912;
    pub const GET_FLAGS: u32 = 0x8913;
    pub const GET_ADDRESS: u32 = 0x8915;
    pub const GET_PEER_ADDRESS: u32 = 0x8917;
    pub const GET_BROADCAST: u32 = 0x8919;
    pub const GET_MASK: u32 = 0x891b;
    pub const GET_METRIC: u32 = 0x891d;
    pub const GET_MTU: u32 = 0x8921;
    pub const GET_HARDWARE: u32 = 0x8927;
    pub const GET_INDEX: u32 = 0x8933;
    pub const GET_QUEUE: u32 = 0x8942;
    /// Those that set something are even, from SIOCSIFLINK on.
    pub const SETTERS: core::ops::RangeInclusive<u32> = 0x8911..=0x8943;
}

/// `ioctl` on a socket.
pub fn ioctl<C: FileContext>(ctx: &C, socket: &Socket, command: u32, argument: u64) -> Result<usize, Errno> {
    match command {
        command::UNSENT => {
            let unsent = match &socket.role {
                Role::Connection(connection) => connection.unsent(),
                _ => 0,
            };
            let unsent = i32::try_from(unsent).unwrap_or(i32::MAX);
            ctx.copy_out(argument, &unsent.to_le_bytes())?;
        }
        command::AT_MARK if socket.is_inet() => {
            let is_at_mark = match &socket.role {
                Role::Connection(connection) => connection.is_at_mark(),
                _ => false,
            };
            ctx.copy_out(argument, &u32::from(is_at_mark).to_le_bytes())?;
        }
        command::GET_ALL => list(ctx, argument)?,
        command::GET_NAME
        | command::GET_FLAGS
        | command::GET_ADDRESS
        | command::GET_PEER_ADDRESS
        | command::GET_BROADCAST
        | command::GET_MASK
        | command::GET_METRIC
        | command::GET_MTU
        | command::GET_HARDWARE
        | command::GET_INDEX
        | command::GET_QUEUE => tell(ctx, command, argument)?,
        setter if command::SETTERS.contains(&setter) => return Err(Errno::EPERM),
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

fn v4(ip: Ipv4Addr) -> [u8; 16] {
    let bytes = Address::Inet(SocketAddr::new(IpAddr::V4(ip), 0)).layout(Family::V4);
    bytes.first_chunk().copied().unwrap_or_default()
}

/// What is asked of one interface.
fn tell<C: FileContext>(ctx: &C, command: u32, address: u64) -> Result<(), Errno> {
    let mut request = [0; REQUEST];
    ctx.copy_in(address, &mut request)?;
    let (name, value) = request.split_at_mut(16);
    if command == command::GET_NAME {
        let index = word(field(value, 0));
        let one = interfaces::all().find(|one| one.index == index).ok_or(Errno::ENODEV)?;
        name.fill(0);
        name[..one.name.len()].copy_from_slice(one.name);
        return ctx.copy_out(address, &request);
    }
    let asked = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let one = interfaces::all().find(|one| one.name == asked).ok_or(Errno::ENODEV)?;
    let (ip, bits) = one.v4();
    let mut put = |bytes: &[u8]| value[..bytes.len()].copy_from_slice(bytes);
    match command {
        command::GET_FLAGS => put(&one.flags.to_le_bytes()[..2]),
        command::GET_ADDRESS | command::GET_PEER_ADDRESS => put(&v4(ip)),
        command::GET_BROADCAST => put(&v4(one.everybody())),
        command::GET_MASK => {
            let host = u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
            put(&v4(Ipv4Addr::from(!host)));
        }
        command::GET_MTU => put(&one.mtu.to_le_bytes()),
        command::GET_INDEX => put(&one.index.to_le_bytes()),
        command::GET_QUEUE => put(&QUEUE.to_le_bytes()),
        command::GET_HARDWARE => {
            put(&[0; 16]);
            put(&one.hardware.to_le_bytes());
            value[2..8].copy_from_slice(&one.station);
        }
        _ => put(&[0; 4]),
    }
    ctx.copy_out(address, &request)
}

/// All interfaces that have an IPv4 address.
fn list<C: FileContext>(ctx: &C, address: u64) -> Result<(), Errno> {
    let mut header = [0; 16];
    ctx.copy_in(address, &mut header)?;
    let (room, to) = (usize::try_from(word(field(&header, 0))).unwrap_or(0), field(&header, 8));
    // Without a place for them it is told how much they need.
    let most = if to == 0 { usize::MAX } else { room / REQUEST };
    let mut requests = Vec::new();
    for one in interfaces::all().take(most) {
        let mut request = [0; REQUEST];
        request[..one.name.len()].copy_from_slice(one.name);
        request[16..32].copy_from_slice(&v4(one.v4().0));
        requests.extend_from_slice(&request);
    }
    if to != 0 && !requests.is_empty() {
        ctx.copy_out(to, &requests)?;
    }
    ctx.copy_out(address, &u32::try_from(requests.len()).unwrap_or(0).to_le_bytes())
}
