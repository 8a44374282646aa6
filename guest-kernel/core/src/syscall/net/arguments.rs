//! Arguments of system calls on sockets: descriptors and addresses.

use crate::fs::descriptors::OpenFile;
use crate::net::Socket;
use crate::net::address::{Address, Family, LONGEST};
use crate::syscall::files::FileContext;
use crate::syscall::files::arguments::usable_file;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;

/// The open file with this number and the socket that it is. EBADF, ENOTSOCK.
pub fn socket<C: FileContext>(ctx: &C, fd: i32) -> Result<(Arc<OpenFile>, Arc<Socket>), Errno> {
    let file = usable_file(ctx, fd)?;
    let socket = Socket::of(&file).ok_or(Errno::ENOTSOCK)?.this()?;
    Ok((file, socket))
}

/// The `len` bytes of an address at `address`. EINVAL if there are too many.
pub fn address_bytes<C: FileContext>(ctx: &C, address: u64, len: i32) -> Result<Vec<u8>, Errno> {
    let len = usize::try_from(len).ok().filter(|&len| len <= LONGEST).ok_or(Errno::EINVAL)?;
    let mut bytes = alloc::vec![0; len];
    ctx.copy_in(address, &mut bytes)?;
    Ok(bytes)
}

/// The address at `address`, as a socket of `family` understands it.
pub fn read_address<C: FileContext>(
    ctx: &C,
    family: Family,
    address: u64,
    len: i32,
) -> Result<Address, Errno> {
    Address::parse(family, &address_bytes(ctx, address, len)?)
}

/// Stores an address, as much as fits into what the `int` at `len` says, and there how long it is. EINVAL if that is negative.
pub fn write_address<C: FileContext>(ctx: &C, bytes: &[u8], address: u64, len: u64) -> Result<(), Errno> {
    let mut room = [0; 4];
    ctx.copy_in(len, &mut room)?;
    let room = usize::try_from(i32::from_le_bytes(room)).map_err(|_| Errno::EINVAL)?;
    ctx.copy_out(address, &bytes[..bytes.len().min(room)])?;
    ctx.copy_out(len, &u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes())
}
