//! statx.
//!
//! ```text
//! struct statx (linux/stat.h)
//! +0 mask  +4 blksize  +8 attributes  +16 nlink  +20 uid  +24 gid  +28 mode (u16)  +32 ino  +40 size  +48 blocks
//! +56 attributes_mask  +64 atime  +80 btime  +96 ctime  +112 mtime (seconds i64, nanoseconds u32, pad)
//! +128 rdev major  +132 rdev minor  +136 dev major  +140 dev minor  +144 mnt_id  +256
//! ```

use super::FileContext;
use super::arguments::{AtFlags, Layout, Path};
use crate::fs::dentry::Dentry;
use crate::fs::inode::Timestamp;
use septum_abi::linux::Errno;

/// STATX_BASIC_STATS: all but the time of birth, which nobody knows.
const BASIC: u32 = 0x7ff;
/// STATX_MNT_ID
const MOUNT_ID: u32 = 0x1000;
/// STATX_ATTR_MOUNT_ROOT
const IS_MOUNT_ROOT: u64 = 0x2000;

/// `statx`. What is cheap is always filled in, whatever the mask asks for.
pub fn sys_statx<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    flags: u32,
    mask: u32,
    address: u64,
) -> Result<usize, Errno> {
    let allowed = AtFlags::NO_FOLLOW
        | AtFlags::EMPTY_PATH
        | AtFlags::NO_AUTOMOUNT
        | AtFlags::FORCE_SYNC
        | AtFlags::DONT_SYNC;
    let flags = AtFlags::parse(flags, allowed)?;
    if flags.contains(AtFlags::FORCE_SYNC | AtFlags::DONT_SYNC) || mask & 0x8000_0000 != 0 {
        return Err(Errno::EINVAL);
    }
    let dentry = Path::at(ctx, directory, path)?.resolve_with(flags)?;
    ctx.copy_out(address, &encode(&dentry)?)?;
    Ok(0)
}

fn encode(dentry: &Dentry) -> Result<[u8; 256], Errno> {
    let metadata = dentry.metadata()?;
    let mut statx = Layout::<256>::new();
    statx.u32(0, BASIC | MOUNT_ID);
    statx.u32(4, metadata.block_size);
    let is_root = dentry.parent().is_none() && !dentry.is_removed();
    statx.u64(8, if is_root { IS_MOUNT_ROOT } else { 0 });
    statx.u32(16, metadata.links);
    statx.u32(20, metadata.uid);
    statx.u32(24, metadata.gid);
    statx.u32(28, metadata.kind as u32 | metadata.permissions);
    statx.u64(32, metadata.inode);
    statx.u64(40, metadata.size);
    statx.u64(48, metadata.blocks);
    statx.u64(56, IS_MOUNT_ROOT);
    let mut time = |offset, time: Timestamp| {
        statx.put(offset, time.seconds.to_le_bytes());
        statx.u32(offset + 8, time.nanoseconds);
    };
    time(64, metadata.accessed);
    time(96, metadata.changed);
    time(112, metadata.modified);
    let mut device = |offset, device: u64| {
        let (major, minor) = split_device(device);
        statx.u32(offset, major);
        statx.u32(offset + 4, minor);
    };
    device(128, metadata.represented_device);
    device(136, metadata.device);
    statx.u64(144, u64::from(dentry.mount().id));
    Ok(statx.0)
}

/// Major and minor of a device number (`dev_t` of the C library, new encoding).
#[must_use]
pub fn split_device(device: u64) -> (u32, u32) {
    let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    (low((device >> 8) & 0xfff), low((device & 0xff) | ((device >> 12) & 0xf_ff00)))
}
