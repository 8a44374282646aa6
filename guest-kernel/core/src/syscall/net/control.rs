//! What goes with messages (`cmsg`): files, credentials, and what headers of the Internet protocols would say.
//!
//! ```text
//! cmsghdr   +0 length, this header's 16 bytes included (u64)   +8 level   +12 type   +16 data, padded to 8
//! ```

use crate::fs::descriptors::OpenFile;
use crate::net::address::Family;
use crate::net::options;
use crate::net::packet::Headers;
use crate::net::passing::{Credentials, MOST_FILES, Passed};
use crate::net::{Extra, Socket};
use crate::syscall::files::FileContext;
use crate::syscall::files::arguments::{field, file, int, size};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use septum_abi::linux::Errno;

/// Bytes of a header.
const HEADER: usize = 16;
/// Longest control area (net.core.optmem_max).
const LONGEST: usize = 128 * 1024;
/// SOL_SOCKET
const SOCKET: i32 = 1;
/// Number of the interface `lo`.
const LOOPBACK: u32 = 1;
/// SCM_RIGHTS, SCM_CREDENTIALS
const RIGHTS: i32 = 1;
const CREDENTIALS: i32 = 2;

/// What `len` bytes at `address` say goes with a message.
pub fn read<C: FileContext>(ctx: &C, socket: &Socket, address: u64, len: usize) -> Result<Extra, Errno> {
    let mut extra = socket.extra();
    if address == 0 || len == 0 {
        return Ok(extra);
    }
    if len > LONGEST {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = alloc::vec![0; len];
    ctx.copy_in(address, &mut bytes)?;
    let mut files = Vec::new();
    let mut rest = &bytes[..];
    while rest.len() >= HEADER {
        let len = size(field(rest, 0));
        if len < HEADER || len > rest.len() {
            return Err(Errno::EINVAL);
        }
        let (level, kind) = (int(field(rest, 8)), int(field(rest, 8) >> 32));
        let data = &rest[HEADER..len];
        if socket.is_inet() {
            read_headers(level, kind, data, &mut extra)?;
        }
        if level == SOCKET && socket.family == Family::Unix {
            match kind {
                RIGHTS => read_files(ctx, data, &mut files)?,
                CREDENTIALS => extra.credentials = read_credentials(data)?,
                _ => return Err(Errno::EINVAL),
            }
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    if !files.is_empty() {
        extra.files = Some(Passed::new(files)?);
    }
    Ok(extra)
}

/// What is said of one message's headers; the rest of what can be said has no meaning inside one kernel.
fn read_headers(level: i32, kind: i32, data: &[u8], extra: &mut Extra) -> Result<(), Errno> {
    let number = || data.first_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes)).ok_or(Errno::EINVAL);
    let (field, value) = match (level, kind) {
        (options::IPV6, options::HOPS_OF_MESSAGE) => (&mut extra.hops, number()?),
        (options::IPV6, options::CLASS) => (&mut extra.class, number()?),
        (options::IP, options::TTL) => {
            (&mut extra.hops, number().and_then(|ttl| if ttl < 1 { Err(Errno::EINVAL) } else { Ok(ttl) })?)
        }
        (options::IP, options::TOS) => {
            let byte = data.first().copied().map(i32::from).ok_or(Errno::EINVAL);
            (&mut extra.class, number().or(byte)?)
        }
        _ => return Ok(()),
    };
    match u8::try_from(value) {
        Ok(value) => *field = Some(value),
        Err(_) if value == -1 => {}
        Err(_) => return Err(Errno::EINVAL),
    }
    Ok(())
}

fn read_files<C: FileContext>(ctx: &C, data: &[u8], files: &mut Vec<Arc<OpenFile>>) -> Result<(), Errno> {
    if data.len() / 4 + files.len() > MOST_FILES {
        return Err(Errno::EINVAL);
    }
    for number in data.chunks_exact(4).filter_map(|bytes| bytes.first_chunk()) {
        files.push(file(ctx, i32::from_le_bytes(*number))?);
    }
    Ok(())
}

/// Only user 0 may say that it is somebody else.
fn read_credentials(data: &[u8]) -> Result<Credentials, Errno> {
    let [a, b, c] = [0, 4, 8].map(|at| data.get(at..).and_then(|rest| rest.first_chunk::<4>()));
    let (Some(pid), Some(uid), Some(gid)) = (a, b, c) else { return Err(Errno::EINVAL) };
    if data.len() != 12 {
        return Err(Errno::EINVAL);
    }
    let [pid, uid, gid] = [pid, uid, gid].map(|bytes| u32::from_le_bytes(*bytes));
    let (said, own) = (Credentials { pid, uid, gid }, Credentials::current());
    if own.uid == 0 || said == own { Ok(said) } else { Err(Errno::EPERM) }
}

/// `struct ucred`
#[must_use]
pub fn layout(credentials: Credentials) -> [u8; 12] {
    let mut bytes = [0; 12];
    for (bytes, value) in bytes.chunks_exact_mut(4).zip([credentials.pid, credentials.uid, credentials.gid]) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// A control area that is being filled for the program.
pub struct Area {
    address: u64,
    room: usize,
    /// Bytes so far.
    pub len: usize,
    /// Something did not fit (MSG_CTRUNC).
    pub is_truncated: bool,
}

impl Area {
    /// `room` bytes at `address`.
    #[must_use]
    pub fn new(address: u64, room: usize) -> Self {
        Self { address, room: if address == 0 { 0 } else { room }, len: 0, is_truncated: false }
    }

    /// Puts who sent the message.
    pub fn put_credentials<C: FileContext>(
        &mut self,
        ctx: &C,
        credentials: Credentials,
    ) -> Result<(), Errno> {
        self.put(ctx, CREDENTIALS, &layout(credentials))
    }

    /// Gives files numbers and puts those, as many as there is room for; the others are closed.
    pub fn put_files<C: FileContext>(
        &mut self,
        ctx: &C,
        files: Vec<Arc<OpenFile>>,
        is_close_on_exec: bool,
    ) -> Result<(), Errno> {
        if files.is_empty() {
            return Ok(());
        }
        let count = (self.room - self.len).saturating_sub(HEADER) / 4;
        self.is_truncated |= count < files.len();
        let mut numbers = Vec::new();
        for file in files.iter().take(count) {
            match ctx.descriptors().lock().insert(Arc::clone(file), is_close_on_exec, 0) {
                Ok(number) => {
                    numbers.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes())
                }
                Err(_) => {
                    self.is_truncated = true;
                    break;
                }
            }
        }
        drop(files);
        if numbers.is_empty() { Ok(()) } else { self.put(ctx, RIGHTS, &numbers) }
    }

    /// Puts what the socket wants to know of a message's headers.
    pub fn put_headers<C: FileContext>(
        &mut self,
        ctx: &C,
        socket: &Socket,
        headers: Headers,
    ) -> Result<(), Errno> {
        let set = socket.options.lock().clone();
        if !set.tells_headers {
            return Ok(());
        }
        let number = |value: u8| i32::from(value).to_le_bytes();
        let to = headers.to.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        match to {
            IpAddr::V4(to) => {
                if set.is_set(options::IP, options::DESTINATION) {
                    // struct in_pktinfo: interface, address, address.
                    let information = [LOOPBACK.to_le_bytes(), to.octets(), to.octets()].concat();
                    self.put_of(ctx, options::IP, options::DESTINATION, &information)?;
                }
                if set.is_set(options::IP, options::TELLS_TTL) {
                    self.put_of(ctx, options::IP, options::TTL, &number(headers.hops))?;
                }
                if set.is_set(options::IP, options::TELLS_TOS) {
                    self.put_of(ctx, options::IP, options::TOS, &[headers.class])?;
                }
            }
            IpAddr::V6(to) => {
                if set.is_set(options::IPV6, options::TELLS_DESTINATION) {
                    let information = [&to.octets()[..], &LOOPBACK.to_le_bytes()[..]].concat();
                    self.put_of(ctx, options::IPV6, options::DESTINATION_V6, &information)?;
                }
                if set.is_set(options::IPV6, options::TELLS_HOPS) {
                    self.put_of(ctx, options::IPV6, options::HOPS_OF_MESSAGE, &number(headers.hops))?;
                }
                if set.is_set(options::IPV6, options::TELLS_CLASS) {
                    self.put_of(ctx, options::IPV6, options::CLASS, &number(headers.class))?;
                }
            }
        }
        Ok(())
    }

    fn put<C: FileContext>(&mut self, ctx: &C, kind: i32, data: &[u8]) -> Result<(), Errno> {
        self.put_of(ctx, SOCKET, kind, data)
    }

    fn put_of<C: FileContext>(&mut self, ctx: &C, level: i32, kind: i32, data: &[u8]) -> Result<(), Errno> {
        let left = self.room - self.len;
        if left < HEADER {
            self.is_truncated = true;
            return Ok(());
        }
        let wanted = HEADER + data.len();
        self.is_truncated |= left < wanted;
        let len = wanted.min(left);
        let mut bytes = Vec::with_capacity(wanted.next_multiple_of(8));
        bytes.extend_from_slice(&(len as u64).to_le_bytes());
        bytes.extend_from_slice(&level.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&data[..len - HEADER]);
        ctx.copy_out(self.address + self.len as u64, &bytes)?;
        self.len += wanted.next_multiple_of(8).min(left);
        Ok(())
    }
}
