//! ioctl.
//!
//! What is about the descriptor or true of every file is answered here, the rest by the file.

use super::FileContext;
use super::arguments::usable_file;
use super::disk::ioctl as disk_ioctl;
use super::owner;
use super::terminal::ioctl as terminal_ioctl;
use crate::fs::devices;
use crate::fs::inode::FileKind;
use crate::fs::open::OpenFlags;
use crate::fs::terminal;
use crate::net::{Socket, vsock};
use crate::syscall::net::interfaces;
use septum_abi::linux::Errno;

/// Commands (asm-generic/ioctls.h).
mod command {
    pub const BYTES_READABLE: u32 = 0x541b;
    pub const NON_BLOCKING: u32 = 0x5421;
    pub const NO_CLOSE_ON_EXEC: u32 = 0x5450;
    pub const CLOSE_ON_EXEC: u32 = 0x5451;
    pub const ASYNC: u32 = 0x5452;
    /// FIOSETOWN, SIOCSPGRP, FIOGETOWN, SIOCGPGRP
    pub const SET_OWNER: u32 = 0x8901;
    pub const SOCKET_SET_OWNER: u32 = 0x8902;
    pub const GET_OWNER: u32 = 0x8903;
    pub const SOCKET_GET_OWNER: u32 = 0x8904;
    /// FICLONE
    pub const CLONE: u32 = 0x4004_9409;
}

/// `ioctl`
pub fn sys_ioctl<C: FileContext>(ctx: &C, fd: i32, command: u32, argument: u64) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    let flag = |ctx: &C| {
        let mut bytes = [0; 4];
        ctx.copy_in(argument, &mut bytes).map(|()| bytes != [0; 4])
    };
    let set = |flag, value| {
        let mut flags = file.flags();
        flags.set(flag, value);
        file.set_flags(flags);
    };
    match command {
        command::CLOSE_ON_EXEC => ctx.descriptors().lock().set_close_on_exec(fd, true)?,
        command::NO_CLOSE_ON_EXEC => ctx.descriptors().lock().set_close_on_exec(fd, false)?,
        command::NON_BLOCKING => set(OpenFlags::NON_BLOCKING, flag(ctx)?),
        command::ASYNC => set(OpenFlags::ASYNC, flag(ctx)?),
        command::BYTES_READABLE => {
            let len = match file.dentry().kind() {
                FileKind::Regular if file.is_seekable() => {
                    let size = file.dentry().metadata()?.size;
                    usize::try_from(size.saturating_sub(*file.position().lock())).unwrap_or(usize::MAX)
                }
                _ => file.file().available()?,
            };
            let len = i32::try_from(len).unwrap_or(i32::MAX);
            ctx.copy_out(argument, &len.to_le_bytes())?;
        }
        command::CLONE => return Err(Errno::EOPNOTSUPP),
        command::SET_OWNER | command::SOCKET_SET_OWNER if Socket::of(&file).is_some() => {
            owner::set_by_address(ctx, &file, argument)?
        }
        command::GET_OWNER | command::SOCKET_GET_OWNER if Socket::of(&file).is_some() => {
            owner::tell(ctx, &file, argument)?
        }
        _ => {
            if let Some(socket) = Socket::of(&file) {
                return interfaces::ioctl(ctx, socket, command, argument);
            }
            if let Some(disk) = file.file().disk() {
                return disk_ioctl(ctx, &**disk, file.access().write, command, argument);
            }
            if command == devices::LOCAL_CID && devices::is_vsock(&**file.file()) {
                ctx.copy_out(argument, &vsock::local_cid().to_le_bytes())?;
                return Ok(0);
            }
            return match terminal::of(&**file.file()) {
                Some((end, is_master)) => terminal_ioctl(ctx, end, is_master, command, argument),
                None => file.file().ioctl(command, argument),
            };
        }
    }
    Ok(0)
}
