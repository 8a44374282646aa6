//! chmod, chown, utimensat and their older forms.

use super::FileContext;
use super::arguments::{AtFlags, Path, long, pair, usable_file};
use crate::fs::dentry::Dentry;
use crate::fs::inode::Timestamp;
use alloc::sync::Arc;
use septum_abi::linux::Errno;

/// `fchmodat`, `chmod`
pub fn sys_fchmodat<C: FileContext>(ctx: &C, directory: i32, path: u64, mode: u32) -> Result<usize, Errno> {
    let path = Path::at(ctx, directory, path)?;
    path.fs.set_permissions(&*path.resolve(true)?, mode)?;
    Ok(0)
}

/// `fchmod`
pub fn sys_fchmod<C: FileContext>(ctx: &C, fd: i32, mode: u32) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    let fs = ctx.fs().lock().clone();
    fs.set_permissions(file.dentry(), mode)?;
    Ok(0)
}

/// `fchownat`, `chown`, `lchown`; -1 stays.
pub fn sys_fchownat<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    owner: (u32, u32),
    flags: u32,
) -> Result<usize, Errno> {
    let flags = AtFlags::parse(flags, AtFlags::NO_FOLLOW | AtFlags::EMPTY_PATH)?;
    let path = Path::at(ctx, directory, path)?;
    path.fs.set_owner(&*path.resolve_with(flags)?, known(owner.0), known(owner.1))?;
    Ok(0)
}

/// `fchown`
pub fn sys_fchown<C: FileContext>(ctx: &C, fd: i32, owner: (u32, u32)) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    let fs = ctx.fs().lock().clone();
    fs.set_owner(file.dentry(), known(owner.0), known(owner.1))?;
    Ok(0)
}

fn known(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

/// What to do with one of a file's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Now,
    Omit,
    Is(Timestamp),
}

impl Time {
    /// UTIME_NOW
    const NOW: u64 = 0x3fff_ffff;
    /// UTIME_OMIT
    const OMIT: u64 = 0x3fff_fffe;

    /// From a `timespec`.
    fn from_timespec((seconds, nanoseconds): (u64, u64)) -> Result<Self, Errno> {
        match nanoseconds {
            Self::NOW => Ok(Self::Now),
            Self::OMIT => Ok(Self::Omit),
            _ => Self::is(seconds, nanoseconds),
        }
    }

    /// From a `timeval`.
    fn from_timeval((seconds, microseconds): (u64, u64)) -> Result<Self, Errno> {
        Self::is(seconds, microseconds.checked_mul(1000).ok_or(Errno::EINVAL)?)
    }

    fn is(seconds: u64, nanoseconds: u64) -> Result<Self, Errno> {
        let nanoseconds = u32::try_from(nanoseconds).ok().filter(|&ns| ns < 1_000_000_000);
        let nanoseconds = nanoseconds.ok_or(Errno::EINVAL)?;
        Ok(Self::Is(Timestamp { seconds: long(seconds), nanoseconds }))
    }

    fn at(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Now => Some(now),
            Self::Omit => None,
            Self::Is(time) => Some(time),
        }
    }
}

/// `utimensat`. Without a path it is about the descriptor itself.
pub fn sys_utimensat<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    times: u64,
    flags: u32,
) -> Result<usize, Errno> {
    let flags = AtFlags::parse(flags, AtFlags::NO_FOLLOW | AtFlags::EMPTY_PATH)?;
    let times = two(ctx, times, Time::from_timespec)?;
    if times == [Time::Omit, Time::Omit] {
        return Ok(0);
    }
    let dentry = if path == 0 {
        if !flags.is_empty() {
            return Err(Errno::EINVAL);
        }
        Arc::clone(usable_file(ctx, directory)?.dentry())
    } else {
        Path::at(ctx, directory, path)?.resolve_with(flags)?
    };
    set(ctx, &dentry, times)
}

/// `futimesat`, `utimes`: with microseconds.
pub fn sys_futimesat<C: FileContext>(ctx: &C, directory: i32, path: u64, times: u64) -> Result<usize, Errno> {
    let times = two(ctx, times, Time::from_timeval)?;
    let dentry = if path == 0 {
        Arc::clone(usable_file(ctx, directory)?.dentry())
    } else {
        Path::at(ctx, directory, path)?.resolve(true)?
    };
    set(ctx, &dentry, times)
}

/// `utime`: with seconds.
pub fn sys_utime<C: FileContext>(ctx: &C, path: u64, times: u64) -> Result<usize, Errno> {
    let times = if times == 0 {
        [Time::Now; 2]
    } else {
        let (accessed, modified) = pair(ctx, times)?;
        [Time::is(accessed, 0)?, Time::is(modified, 0)?]
    };
    set(ctx, &*Path::here(ctx, path)?.resolve(true)?, times)
}

/// Access and modification time at `address`; null is now.
fn two<C: FileContext>(
    ctx: &C,
    address: u64,
    parse: fn((u64, u64)) -> Result<Time, Errno>,
) -> Result<[Time; 2], Errno> {
    if address == 0 {
        return Ok([Time::Now; 2]);
    }
    Ok([parse(pair(ctx, address)?)?, parse(pair(ctx, address.wrapping_add(16))?)?])
}

fn set<C: FileContext>(ctx: &C, dentry: &Dentry, times: [Time; 2]) -> Result<usize, Errno> {
    let now = Timestamp::now();
    let [accessed, modified] = times.map(|time| time.at(now));
    let fs = ctx.fs().lock().clone();
    fs.set_times(dentry, accessed, modified, times == [Time::Now; 2])?;
    Ok(0)
}
