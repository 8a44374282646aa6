//! dup, dup2, dup3, fcntl.

use super::FileContext;
use super::arguments::{file, int, usable_file};
use super::locks::{self, Asker};
use super::owner;
use crate::fs::descriptors::OpenFile;
use crate::fs::open::OpenFlags;
use crate::fs::pipe;
use crate::fs::ramfs::Seal;
use septum_abi::linux::Errno;

/// `dup`
pub fn sys_dup<C: FileContext>(ctx: &C, fd: i32) -> Result<usize, Errno> {
    let mut table = ctx.descriptors().lock();
    let file = table.get(fd)?;
    table.insert(file, false, 0)
}

/// `dup2`: with two equal numbers it only tells whether the descriptor is open.
pub fn sys_dup2<C: FileContext>(ctx: &C, from: i32, to: i32) -> Result<usize, Errno> {
    if from == to {
        file(ctx, from)?;
        return usize::try_from(to).map_err(|_| Errno::EBADF);
    }
    sys_dup3(ctx, from, to, 0)
}

/// `dup3`
pub fn sys_dup3<C: FileContext>(ctx: &C, from: i32, to: i32, flags: u32) -> Result<usize, Errno> {
    let flags = OpenFlags::from_bits_retain(flags);
    if from == to || !OpenFlags::CLOSE_ON_EXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let replaced = {
        let mut table = ctx.descriptors().lock();
        let file = table.get(from)?;
        table.replace(to, file, flags.contains(OpenFlags::CLOSE_ON_EXEC))?
    };
    if let Some(replaced) = replaced {
        locks::closed(ctx, &replaced);
    }
    usize::try_from(to).map_err(|_| Errno::EBADF)
}

/// Commands of `fcntl` (linux/fcntl.h).
mod command {
    pub const DUPLICATE: u32 = 0;
    pub const GET_DESCRIPTOR_FLAGS: u32 = 1;
    pub const SET_DESCRIPTOR_FLAGS: u32 = 2;
    pub const GET_FLAGS: u32 = 3;
    pub const SET_FLAGS: u32 = 4;
    pub const GET_LOCK: u32 = 5;
    pub const SET_LOCK: u32 = 6;
    pub const SET_LOCK_WAIT: u32 = 7;
    pub use super::super::owner::command::*;
    pub const OFD_GET_LOCK: u32 = 36;
    pub const OFD_SET_LOCK: u32 = 37;
    pub const OFD_SET_LOCK_WAIT: u32 = 38;
    pub const NOTIFY: u32 = 1026;
    pub const DUPLICATE_CLOSE_ON_EXEC: u32 = 1030;
    pub const SET_PIPE_SIZE: u32 = 1031;
    pub const GET_PIPE_SIZE: u32 = 1032;
    pub const ADD_SEALS: u32 = 1033;
    pub const GET_SEALS: u32 = 1034;
}

/// `fcntl`
pub fn sys_fcntl<C: FileContext>(ctx: &C, fd: i32, command: u32, argument: u64) -> Result<usize, Errno> {
    match command {
        command::DUPLICATE => duplicate(ctx, fd, argument, false),
        command::DUPLICATE_CLOSE_ON_EXEC => duplicate(ctx, fd, argument, true),
        command::GET_DESCRIPTOR_FLAGS => ctx.descriptors().lock().is_close_on_exec(fd).map(usize::from),
        command::SET_DESCRIPTOR_FLAGS => {
            ctx.descriptors().lock().set_close_on_exec(fd, argument & 1 != 0)?;
            Ok(0)
        }
        command::GET_FLAGS => super::arguments::result(u64::from(file(ctx, fd)?.flags().bits())),
        _ => on_file(ctx, &*usable_file(ctx, fd)?, command, argument),
    }
}

fn duplicate<C: FileContext>(ctx: &C, fd: i32, minimum: u64, is_close_on_exec: bool) -> Result<usize, Errno> {
    let mut table = ctx.descriptors().lock();
    let file = table.get(fd)?;
    let minimum = usize::try_from(int(minimum)).map_err(|_| Errno::EINVAL)?;
    if u32::try_from(minimum).is_ok_and(|minimum| minimum >= table.limit) {
        return Err(Errno::EINVAL);
    }
    table.insert(file, is_close_on_exec, minimum)
}

fn on_file<C: FileContext>(ctx: &C, file: &OpenFile, command: u32, argument: u64) -> Result<usize, Errno> {
    match command {
        command::SET_FLAGS => {
            file.set_flags(OpenFlags::from_bits_truncate(super::arguments::word(argument)));
            Ok(0)
        }
        command::GET_LOCK => locks::get(ctx, file, Asker::Process, argument),
        command::OFD_GET_LOCK => locks::get(ctx, file, Asker::Description, argument),
        command::SET_LOCK => locks::set(ctx, file, Asker::Process, argument, false),
        command::SET_LOCK_WAIT => locks::set(ctx, file, Asker::Process, argument, true),
        command::OFD_SET_LOCK => locks::set(ctx, file, Asker::Description, argument, false),
        command::OFD_SET_LOCK_WAIT => locks::set(ctx, file, Asker::Description, argument, true),
        command::SET_OWNER
        | command::GET_OWNER
        | command::SET_OWNER_EX
        | command::GET_OWNER_EX
        | command::SET_SIGNAL
        | command::GET_SIGNAL => owner::control(ctx, file, command, argument),
        command::SET_PIPE_SIZE | command::GET_PIPE_SIZE => {
            let pipe = pipe::of(&**file.file()).ok_or(Errno::EBADF)?;
            if command == command::GET_PIPE_SIZE {
                return Ok(pipe.capacity());
            }
            let bytes = usize::try_from(super::arguments::word(argument)).map_err(|_| Errno::EINVAL)?;
            pipe.set_capacity(bytes, ctx.fs().lock().uid == 0)
        }
        command::GET_SEALS => {
            let seals = file.file().seals().ok_or(Errno::EINVAL)?;
            super::arguments::result(u64::from(seals.bits()))
        }
        command::NOTIFY => notify(file, argument),
        command::ADD_SEALS if !file.access().write => Err(Errno::EPERM),
        command::ADD_SEALS => {
            let seals = Seal::from_bits(super::arguments::word(argument)).ok_or(Errno::EINVAL)?;
            file.file().add_seals(seals).map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// F_NOTIFY, of which there is only the end: nothing is ever told, so asking for it is EINVAL.
fn notify(file: &OpenFile, argument: u64) -> Result<usize, Errno> {
    /// DN_MULTISHOT
    const REPEATEDLY: u32 = 0x8000_0000;
    match super::arguments::word(argument) & !REPEATEDLY {
        0 => Ok(0),
        _ if !file.dentry().is_directory() => Err(Errno::ENOTDIR),
        _ => Err(Errno::EINVAL),
    }
}
