//! fsync, fdatasync, sync, syncfs, and advice (fadvise64, readahead, sync_file_range).

use super::FileContext;
use super::arguments::{long, usable_file};
use crate::fs::inode::FileKind;
use septum_abi::linux::Errno;

/// `fsync`, and `fdatasync` if `data_only`. EINVAL for what cannot be synchronised.
pub fn sys_fsync<C: FileContext>(ctx: &C, fd: i32, data_only: bool) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    match file.dentry().kind() {
        FileKind::Regular | FileKind::Directory | FileKind::BlockDevice => file.file().sync(data_only)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `syncfs`: nothing is kept back from the host, so there is nothing to do but check the descriptor.
pub fn sys_syncfs<C: FileContext>(ctx: &C, fd: i32) -> Result<usize, Errno> {
    usable_file(ctx, fd)?;
    Ok(0)
}

/// `fadvise64`: advice is not taken.
pub fn sys_fadvise64<C: FileContext>(ctx: &C, fd: i32, len: u64, advice: u32) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    if file.dentry().kind() == FileKind::Fifo {
        return Err(Errno::ESPIPE);
    }
    // POSIX_FADV_NOREUSE is the highest.
    if advice > 5 || long(len) < 0 { Err(Errno::EINVAL) } else { Ok(0) }
}

/// `readahead`: advice is not taken.
pub fn sys_readahead<C: FileContext>(ctx: &C, fd: i32) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    if !file.access().read {
        return Err(Errno::EBADF);
    }
    if file.dentry().kind() == FileKind::Regular { Ok(0) } else { Err(Errno::EINVAL) }
}

/// `sync_file_range`: nothing is kept back from the host.
pub fn sys_sync_file_range<C: FileContext>(
    ctx: &C,
    fd: i32,
    at: u64,
    len: u64,
    flags: u32,
) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    // WAIT_BEFORE, WRITE, WAIT_AFTER
    if flags > 7 || long(at) < 0 || long(len) < 0 || long(at).checked_add(long(len)).is_none() {
        return Err(Errno::EINVAL);
    }
    if file.dentry().kind() == FileKind::Fifo { Err(Errno::ESPIPE) } else { Ok(0) }
}
