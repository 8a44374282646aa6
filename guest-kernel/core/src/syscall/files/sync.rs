//! fsync, fdatasync, sync, syncfs, and advice (fadvise64, readahead, sync_file_range).

use super::FileContext;
use super::arguments::usable_file;
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

/// `fadvise64`, `readahead`, `sync_file_range`: advice is not taken. ESPIPE for pipes.
pub fn sys_advise<C: FileContext>(
    ctx: &C,
    fd: i32,
    highest_advice: u64,
    advice: u64,
) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    if file.dentry().kind() == FileKind::Fifo {
        return Err(Errno::ESPIPE);
    }
    if advice > highest_advice { Err(Errno::EINVAL) } else { Ok(0) }
}
