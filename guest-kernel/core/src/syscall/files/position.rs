//! lseek.

use super::FileContext;
use super::arguments::{file, result};
use crate::fs::descriptors::Whence;
use septum_abi::linux::Errno;

/// `lseek`
pub fn sys_lseek<C: FileContext>(ctx: &C, fd: i32, offset: i64, whence: u32) -> Result<usize, Errno> {
    let file = file(ctx, fd)?;
    let whence = match whence {
        0 => Whence::Start,
        1 => Whence::Current,
        2 => Whence::End,
        3 => Whence::Data,
        4 => Whence::Hole,
        _ => return Err(Errno::EINVAL),
    };
    result(file.seek(offset, whence)?)
}
