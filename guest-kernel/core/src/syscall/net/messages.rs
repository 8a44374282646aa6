//! sendto, recvfrom, sendmsg, recvmsg.
//!
//! ```text
//! msghdr   +0 name   +8 its length (u32)   +16 iovecs   +24 their number   +32 control   +40 its length   +48 flags (u32)   +56
//! ```

use super::arguments::{address_bytes, socket, write_address};
use super::control::{self, Area};
use super::waiting::Patience;
use crate::fs::descriptors::OpenFile;
use crate::io::{Destination, Source};
use crate::net::address::{Address, Family, UnixName};
use crate::net::{Extra, How, Kind, Received, Role, Socket, Target, unix};
use crate::syscall::files::FileContext;
use crate::syscall::files::arguments::{MOST_BYTES, field, int, size};
use crate::syscall::files::vectors::Vectors;
use alloc::sync::Arc;
use bitflags::bitflags;
use septum_abi::linux::Errno;

bitflags! {
    /// MSG_ flags (linux/socket.h). Others are ignored, as on Linux.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// MSG_OOB
        const URGENT = 1;
        /// MSG_PEEK
        const PEEK = 2;
        /// MSG_CTRUNC
        const CONTROL_TRUNCATED = 8;
        /// MSG_TRUNC
        const TRUNCATED = 0x20;
        /// MSG_DONTWAIT
        const DO_NOT_WAIT = 0x40;
        /// MSG_WAITALL
        const WAIT_FOR_ALL = 0x100;
        /// MSG_ERRQUEUE
        const ERROR_QUEUE = 0x2000;
        /// MSG_NOSIGNAL
        const NO_SIGNAL = 0x4000;
        /// MSG_WAITFORONE
        const WAIT_FOR_ONE = 0x1_0000;
        /// MSG_CMSG_CLOEXEC
        const CLOSE_ON_EXEC = 0x4000_0000;
    }
}

/// A `msghdr`.
#[derive(Clone, Copy)]
pub struct Header {
    name: u64,
    name_len: i32,
    vectors: u64,
    count: usize,
    control: u64,
    control_len: usize,
}

/// Bytes of a `msghdr`.
pub const HEADER: usize = 56;

impl Header {
    /// The one at `address`.
    pub fn read<C: FileContext>(ctx: &C, address: u64) -> Result<Self, Errno> {
        let mut bytes = [0; HEADER];
        ctx.copy_in(address, &mut bytes)?;
        let name = field(&bytes, 0);
        let name_len = int(field(&bytes, 8));
        if name != 0 && name_len < 0 {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            name,
            name_len: if name == 0 { 0 } else { name_len },
            vectors: field(&bytes, 16),
            count: size(field(&bytes, 24)),
            control: field(&bytes, 32),
            control_len: size(field(&bytes, 40)),
        })
    }

    fn vectors<'a, C: FileContext>(&self, ctx: &'a C) -> Result<Vectors<'a, C>, Errno> {
        Vectors::read(ctx, self.vectors, self.count)
            .map_err(|errno| if errno == Errno::EINVAL { Errno::EMSGSIZE } else { errno })
    }
}

/// `sendto`, and without an address `send`.
pub fn sys_sendto<C: FileContext>(
    ctx: &C,
    fd: i32,
    (buffer, len): (u64, usize),
    flags: u32,
    (address, address_len): (u64, i32),
) -> Result<usize, Errno> {
    let (file, socket) = socket(ctx, fd)?;
    let to = target(ctx, &socket, address, address_len)?;
    let mut source = ctx.source(buffer, len.min(MOST_BYTES))?;
    send(ctx, &file, &socket, &mut source, &to, socket.extra(), Flags::from_bits_truncate(flags))
}

/// `sendmsg`
pub fn sys_sendmsg<C: FileContext>(ctx: &C, fd: i32, address: u64, flags: u32) -> Result<usize, Errno> {
    let (file, socket) = socket(ctx, fd)?;
    send_message(ctx, &file, &socket, address, Flags::from_bits_truncate(flags))
}

/// Sends what the `msghdr` at `address` says.
pub fn send_message<C: FileContext>(
    ctx: &C,
    file: &OpenFile,
    socket: &Arc<Socket>,
    address: u64,
    flags: Flags,
) -> Result<usize, Errno> {
    let header = Header::read(ctx, address)?;
    let mut source = header.vectors(ctx)?;
    let to = target(ctx, socket, header.name, header.name_len)?;
    let extra = control::read(ctx, socket, header.control, header.control_len)?;
    send(ctx, file, socket, &mut source, &to, extra, flags)
}

/// To whom a message goes that has the address at `address`.
fn target<C: FileContext>(ctx: &C, socket: &Arc<Socket>, address: u64, len: i32) -> Result<Target, Errno> {
    if address == 0 || len == 0 {
        return Ok(Target::Peer);
    }
    let bytes = address_bytes(ctx, address, len)?;
    // TCP does not look at it.
    if socket.is_inet() && socket.kind == Kind::Stream {
        return Ok(Target::Peer);
    }
    // An IPv6 socket also takes an IPv4 address.
    let is_v4 = bytes.first() == Some(&2);
    let family = if socket.family == Family::V6 && is_v4 { Family::V4 } else { socket.family };
    match Address::parse(family, &bytes)? {
        Address::Unspecified if socket.family == Family::V4 && bytes.len() >= 16 => {
            // IPv4's family may be left out.
            let mut bytes = bytes;
            bytes[0] = 2;
            Ok(Target::Address(Address::parse(Family::V4, &bytes)?))
        }
        Address::Unspecified if socket.family == Family::V6 => Ok(Target::Peer),
        Address::Unspecified => Err(Errno::EINVAL),
        Address::Unix(name) => {
            if socket.kind != Kind::Datagram {
                return Ok(Target::Address(Address::Unix(name)));
            }
            if name == UnixName::Unnamed {
                return Err(Errno::EINVAL);
            }
            let fs = ctx.fs().lock().clone();
            Ok(Target::Socket(unix::find(&name, socket.kind, &fs)?))
        }
        address => Ok(Target::Address(address)),
    }
}

fn send<C: FileContext>(
    ctx: &C,
    file: &OpenFile,
    socket: &Arc<Socket>,
    source: &mut dyn Source,
    to: &Target,
    mut extra: Extra,
    flags: Flags,
) -> Result<usize, Errno> {
    if flags.contains(Flags::URGENT) && (!socket.is_inet() || socket.kind != Kind::Stream) {
        return Err(Errno::EOPNOTSUPP);
    }
    extra.is_urgent = flags.contains(Flags::URGENT);
    if socket.family == Family::Unix {
        unix::name_for_credentials(socket)?;
    }
    let patience = Patience::new(file, socket, flags.contains(Flags::DO_NOT_WAIT), true);
    let mut total = 0;
    let result = loop {
        match patience.keep_trying(&socket.shared.queue, || socket.send(source, to, &mut extra)) {
            Ok(len) => {
                total += len;
                if socket.kind != Kind::Stream || len == 0 || source.remaining() == 0 {
                    break Ok(total);
                }
            }
            Err(_) if total > 0 => break Ok(total),
            Err(errno) => break Err(errno),
        }
    };
    if result == Err(Errno::EPIPE) && socket.kind == Kind::Stream && !flags.contains(Flags::NO_SIGNAL) {
        ctx.deliver_sigpipe();
    }
    result
}

/// `recvfrom`, and without an address `recv`.
pub fn sys_recvfrom<C: FileContext>(
    ctx: &C,
    fd: i32,
    (buffer, len): (u64, usize),
    flags: u32,
    (address, address_len): (u64, u64),
) -> Result<usize, Errno> {
    let (file, socket) = socket(ctx, fd)?;
    let flags = Flags::from_bits_truncate(flags);
    let mut destination = ctx.destination(buffer, len.min(MOST_BYTES))?;
    let patience = Patience::new(&file, &socket, flags.contains(Flags::DO_NOT_WAIT), false);
    let received = receive(&socket, &mut destination, flags, patience)?;
    if address != 0 {
        let name = sender(&socket, &received).map(|from| from.layout(socket.family)).unwrap_or_default();
        write_address(ctx, &name, address, address_len)?;
    }
    Ok(told_len(&received, flags))
}

/// `recvmsg`
pub fn sys_recvmsg<C: FileContext>(ctx: &C, fd: i32, address: u64, flags: u32) -> Result<usize, Errno> {
    let (file, socket) = socket(ctx, fd)?;
    let flags = Flags::from_bits_truncate(flags);
    let patience = Patience::new(&file, &socket, flags.contains(Flags::DO_NOT_WAIT), false);
    receive_message(ctx, &socket, address, flags, patience)
}

/// Receives into what the `msghdr` at `address` says.
pub fn receive_message<C: FileContext>(
    ctx: &C,
    socket: &Socket,
    address: u64,
    flags: Flags,
    patience: Patience,
) -> Result<usize, Errno> {
    let header = Header::read(ctx, address)?;
    let mut destination = header.vectors(ctx)?;
    let mut received = receive(socket, &mut destination, flags, patience)?;
    let mut told = flags & Flags::CLOSE_ON_EXEC;
    told.set(Flags::URGENT, received.is_urgent);
    told.set(Flags::TRUNCATED, received.is_message && received.len < received.full_len);
    let mut area = Area::new(header.control, header.control_len);
    if socket.options.lock().passes_credentials
        && let Some(credentials) = received.credentials
    {
        area.put_credentials(ctx, credentials)?;
    }
    if let Some(headers) = received.headers {
        area.put_headers(ctx, socket, headers)?;
    }
    let files = core::mem::take(&mut received.files);
    area.put_files(ctx, files, flags.contains(Flags::CLOSE_ON_EXEC))?;
    told.set(Flags::CONTROL_TRUNCATED, area.is_truncated);
    if header.name != 0 {
        let name = sender(socket, &received).map(|from| from.layout(socket.family)).unwrap_or_default();
        let room = usize::try_from(header.name_len).unwrap_or(0);
        ctx.copy_out(header.name, &name[..name.len().min(room)])?;
        ctx.copy_out(address + 8, &u32::try_from(name.len()).unwrap_or(0).to_le_bytes())?;
    }
    ctx.copy_out(address + 40, &(area.len as u64).to_le_bytes())?;
    ctx.copy_out(address + 48, &told.bits().to_le_bytes())?;
    Ok(told_len(&received, flags))
}

/// MSG_TRUNC asks how long the message was.
fn told_len(received: &Received, flags: Flags) -> usize {
    if flags.contains(Flags::TRUNCATED) && received.is_message { received.full_len } else { received.len }
}

/// From whom it came, if that has a name.
fn sender(socket: &Socket, received: &Received) -> Option<Address> {
    let from = match &socket.role {
        Role::Connection(connection) if socket.family == Family::Unix && received.credentials.is_some() => {
            connection.peer_address().ok()
        }
        _ => received.from.clone(),
    };
    from.filter(|from| *from != Address::Unix(UnixName::Unnamed))
}

fn receive(
    socket: &Socket,
    destination: &mut dyn Destination,
    flags: Flags,
    patience: Patience,
) -> Result<Received, Errno> {
    if flags.contains(Flags::ERROR_QUEUE) {
        // Errors have no queue here.
        return Err(Errno::EAGAIN);
    }
    let is_peek = flags.contains(Flags::PEEK);
    if flags.contains(Flags::URGENT) {
        match &socket.role {
            Role::Connection(connection) if socket.is_inet() => {
                let len = connection.receive_urgent(destination, is_peek)?;
                return Ok(Received { len, full_len: len, is_urgent: true, ..Received::default() });
            }
            // UDP does not look at it.
            _ if socket.is_inet() => {}
            _ => return Err(Errno::EOPNOTSUPP),
        }
    }
    if socket.kind == Kind::Stream && destination.remaining() == 0 {
        return Ok(Received::default());
    }
    let how = How { is_peek, tells_senders_apart: socket.options.lock().passes_credentials };
    let wants_all = flags.contains(Flags::WAIT_FOR_ALL) && socket.kind == Kind::Stream && !is_peek;
    let mut total = Received::default();
    loop {
        let tried = patience.keep_trying(&socket.shared.queue, || socket.receive(destination, how));
        let received = match tried {
            Ok(received) => received,
            Err(_) if total.len > 0 => return Ok(total),
            Err(errno) => return Err(errno),
        };
        let is_end = received.len == 0;
        let len = total.len + received.len;
        if total.len == 0 {
            total = received;
        } else if !is_end {
            total.files.extend(received.files);
        }
        (total.len, total.full_len) = (len, total.full_len.max(len));
        if !wants_all || is_end || destination.remaining() == 0 || !total.files.is_empty() {
            return Ok(total);
        }
    }
}
