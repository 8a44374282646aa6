//! stat, lstat, fstat, newfstatat.
//!
//! ```text
//! struct stat of x86-64 (asm/stat.h)
//! +0 dev  +8 ino  +16 nlink  +24 mode  +28 uid  +32 gid  +36 pad  +40 rdev  +48 size  +56 blksize  +64 blocks
//! +72 atime  +88 mtime  +104 ctime (seconds, nanoseconds)  +120 unused  +144
//! ```

use super::FileContext;
use super::arguments::{AtFlags, Layout, Path, file};
use crate::fs::inode::Metadata;
use septum_abi::linux::Errno;

/// `struct stat`
#[must_use]
pub fn encode(metadata: &Metadata) -> [u8; 144] {
    let mut stat = Layout::<144>::new();
    stat.u64(0, metadata.device);
    stat.u64(8, metadata.inode);
    stat.u64(16, u64::from(metadata.links));
    stat.u32(24, metadata.kind as u32 | metadata.permissions);
    stat.u32(28, metadata.uid);
    stat.u32(32, metadata.gid);
    stat.u64(40, metadata.represented_device);
    stat.u64(48, metadata.size);
    stat.u64(56, u64::from(metadata.block_size));
    stat.u64(64, metadata.blocks);
    stat.timespec(72, metadata.accessed);
    stat.timespec(88, metadata.modified);
    stat.timespec(104, metadata.changed);
    stat.0
}

/// `fstat`
pub fn sys_fstat<C: FileContext>(ctx: &C, fd: i32, address: u64) -> Result<usize, Errno> {
    let metadata = file(ctx, fd)?.dentry().metadata()?;
    ctx.copy_out(address, &encode(&metadata))?;
    Ok(0)
}

/// `newfstatat`; `stat` and `lstat` are the same without a directory.
pub fn sys_newfstatat<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    address: u64,
    flags: u32,
) -> Result<usize, Errno> {
    let allowed = AtFlags::NO_FOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let flags = AtFlags::parse(flags, allowed)?;
    let metadata = Path::at(ctx, directory, path)?.resolve_with(flags)?.metadata()?;
    ctx.copy_out(address, &encode(&metadata))?;
    Ok(0)
}
