//! statfs, fstatfs.
//!
//! ```text
//! struct statfs (asm-generic/statfs.h), all 64-bit but fsid
//! +0 type  +8 bsize  +16 blocks  +24 bfree  +32 bavail  +40 files  +48 ffree  +56 fsid (2 × 32)
//! +64 namelen  +72 frsize  +80 flags  +88 spare  +120
//! ```

use super::FileContext;
use super::arguments::{Layout, Path, file};
use crate::fs::dentry::Dentry;
use septum_abi::linux::Errno;

/// ST_RDONLY
const READ_ONLY: u64 = 1;
/// ST_VALID: the flags are meant.
const VALID: u64 = 0x20;
/// ST_RELATIME
const RELATIVE_TIMES: u64 = 0x1000;

/// `statfs`
pub fn sys_statfs<C: FileContext>(ctx: &C, path: u64, address: u64) -> Result<usize, Errno> {
    let dentry = Path::here(ctx, path)?.resolve(true)?;
    tell(ctx, &dentry, address)
}

/// `fstatfs`
pub fn sys_fstatfs<C: FileContext>(ctx: &C, fd: i32, address: u64) -> Result<usize, Errno> {
    tell(ctx, file(ctx, fd)?.dentry(), address)
}

fn tell<C: FileContext>(ctx: &C, dentry: &Dentry, address: u64) -> Result<usize, Errno> {
    let status = dentry.inode().file_system()?;
    let mut statfs = Layout::<120>::new();
    statfs.u64(0, status.magic);
    statfs.u64(8, status.block_size);
    statfs.u64(16, status.blocks);
    statfs.u64(24, status.blocks_free);
    statfs.u64(32, status.blocks_free);
    statfs.u64(40, status.files);
    statfs.u64(48, status.files_free);
    statfs.u64(56, u64::from(dentry.mount().id));
    statfs.u64(64, status.name_max);
    statfs.u64(72, status.block_size);
    let read_only = if dentry.mount().is_read_only { READ_ONLY } else { 0 };
    statfs.u64(80, VALID | RELATIVE_TIMES | read_only);
    ctx.copy_out(address, &statfs.0)?;
    Ok(0)
}
