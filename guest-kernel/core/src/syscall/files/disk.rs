//! ioctls of block devices.

use super::FileContext;
use crate::fs::block::{Disk, SECTOR, change_range};
use septum_abi::linux::Errno;

/// Commands (linux/fs.h).
mod command {
    /// BLKROGET
    pub const IS_READ_ONLY: u32 = 0x125e;
    /// BLKRRPART
    pub const READ_PARTITIONS: u32 = 0x125f;
    /// BLKGETSIZE
    pub const SECTORS: u32 = 0x1260;
    /// BLKFLSBUF
    pub const FLUSH: u32 = 0x1261;
    /// BLKRASET, BLKRAGET
    pub const SET_READ_AHEAD: u32 = 0x1262;
    pub const READ_AHEAD: u32 = 0x1263;
    /// BLKSSZGET
    pub const LOGICAL_BLOCK: u32 = 0x1268;
    /// BLKDISCARD
    pub const DISCARD: u32 = 0x1277;
    /// BLKIOMIN, BLKIOOPT, BLKALIGNOFF, BLKPBSZGET
    pub const LEAST: u32 = 0x1278;
    pub const BEST: u32 = 0x1279;
    pub const ALIGNMENT: u32 = 0x127a;
    pub const PHYSICAL_BLOCK: u32 = 0x127b;
    /// BLKDISCARDZEROES
    pub const DISCARD_ZEROES: u32 = 0x127c;
    /// BLKROTATIONAL
    pub const IS_ROTATIONAL: u32 = 0x127e;
    /// BLKZEROOUT
    pub const ZERO: u32 = 0x127f;
    /// BLKBSZGET, BLKBSZSET
    pub const BLOCK: u32 = 0x8008_1270;
    pub const SET_BLOCK: u32 = 0x4008_1271;
    /// BLKGETSIZE64
    pub const BYTES: u32 = 0x8008_1272;
}

/// `ioctl` on a block device.
pub fn ioctl<C: FileContext>(
    ctx: &C,
    disk: &dyn Disk,
    is_writable: bool,
    command: u32,
    argument: u64,
) -> Result<usize, Errno> {
    let facts = disk.facts();
    let number = |value: u32| ctx.copy_out(argument, &value.to_le_bytes());
    match command {
        command::BYTES => ctx.copy_out(argument, &facts.bytes.to_le_bytes())?,
        command::SECTORS => ctx.copy_out(argument, &(facts.bytes / SECTOR as u64).to_le_bytes())?,
        command::IS_READ_ONLY => number(u32::from(facts.is_read_only))?,
        command::LOGICAL_BLOCK => number(facts.logical)?,
        command::LEAST | command::PHYSICAL_BLOCK => number(facts.physical)?,
        command::BEST | command::ALIGNMENT | command::DISCARD_ZEROES => number(0)?,
        command::BLOCK => number(4096)?,
        command::SET_BLOCK | command::SET_READ_AHEAD => {}
        // It is a long.
        command::READ_AHEAD => ctx.copy_out(argument, &0_u64.to_le_bytes())?,
        // It is a short.
        command::IS_ROTATIONAL => ctx.copy_out(argument, &[0, 0])?,
        command::FLUSH => disk.flush()?,
        // There are none.
        command::READ_PARTITIONS => return Err(Errno::EINVAL),
        command::DISCARD | command::ZERO => {
            if !is_writable {
                return Err(Errno::EBADF);
            }
            let mut bytes = [0; 16];
            ctx.copy_in(argument, &mut bytes)?;
            let [offset, len] =
                [&bytes[..8], &bytes[8..]].map(|half| half.try_into().map_or(0, u64::from_le_bytes));
            change_range(disk, offset, len, |offset, len| match command {
                command::DISCARD => disk.discard(offset, len),
                _ => disk.zero(offset, len, true),
            })?;
        }
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}
