//! truncate, ftruncate, fallocate.

use super::FileContext;
use super::arguments::{Path, offset, usable_file};
use crate::fs::context::check_writable_mount;
use crate::fs::inode::{FileKind, SetMetadata};
use crate::fs::watch;
use crate::process::limits;
use septum_abi::linux::Errno;

/// `truncate`
pub fn sys_truncate<C: FileContext>(ctx: &C, path: u64, size: u64) -> Result<usize, Errno> {
    let size = offset(size)?;
    let path = Path::here(ctx, path)?;
    path.fs.truncate(&*path.resolve(true)?, size)?;
    Ok(0)
}

/// `ftruncate`. What the descriptor may do counts, not what the file's permissions are now.
pub fn sys_ftruncate<C: FileContext>(ctx: &C, fd: i32, size: u64) -> Result<usize, Errno> {
    let size = offset(size)?;
    let file = usable_file(ctx, fd)?;
    if !file.access().write || file.dentry().kind() != FileKind::Regular {
        return Err(Errno::EINVAL);
    }
    limits::check_file_size(|| file.dentry().metadata().map(|metadata| metadata.size), size)?;
    let changes = SetMetadata { size: Some(size), ..SetMetadata::default() };
    file.dentry().inode().set_metadata(&changes)?;
    watch::tell(file.dentry(), watch::event::MODIFY);
    Ok(0)
}

/// `fallocate`
pub fn sys_fallocate<C: FileContext>(ctx: &C, fd: i32, mode: u32, at: u64, len: u64) -> Result<usize, Errno> {
    let (at, len) = (offset(at)?, offset(len)?);
    let file = usable_file(ctx, fd)?;
    file.check_writable()?;
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    match file.dentry().kind() {
        FileKind::Regular => check_writable_mount(file.dentry())?,
        FileKind::BlockDevice => {}
        FileKind::Fifo => return Err(Errno::ESPIPE),
        FileKind::Directory => return Err(Errno::EISDIR),
        _ => return Err(Errno::ENODEV),
    }
    const PUNCH_HOLE: u32 = 2;
    const KEEP_SIZE: u32 = 1;
    if mode & (PUNCH_HOLE | KEEP_SIZE) == 0 && file.dentry().kind() == FileKind::Regular {
        let end = at.saturating_add(len);
        limits::check_file_size(|| file.dentry().metadata().map(|metadata| metadata.size), end)?;
    }
    file.file().allocate(mode, at, len)?;
    Ok(0)
}
