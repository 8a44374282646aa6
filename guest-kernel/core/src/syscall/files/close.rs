//! close, close_range.

use super::FileContext;
use super::locks;
use septum_abi::linux::Errno;

/// `close`. The file goes when its last descriptor does, after the table's lock is released.
pub fn sys_close<C: FileContext>(ctx: &C, fd: i32) -> Result<usize, Errno> {
    let file = ctx.descriptors().lock().remove(fd)?;
    locks::closed(ctx, &file);
    drop(file);
    Ok(0)
}

/// CLOSE_RANGE_UNSHARE: without effect, since a table is shared by threads only.
const UNSHARE: u32 = 2;
/// CLOSE_RANGE_CLOEXEC
const CLOSE_ON_EXEC: u32 = 4;

/// `close_range`: numbers `first` to `last`, both included.
pub fn sys_close_range<C: FileContext>(ctx: &C, first: u32, last: u32, flags: u32) -> Result<usize, Errno> {
    if flags & !(UNSHARE | CLOSE_ON_EXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let mut table = ctx.descriptors().lock();
    let is_within = |fd: &i32| u32::try_from(*fd).is_ok_and(|fd| (first..=last).contains(&fd));
    let numbers = table.numbers().into_iter().filter(is_within);
    if flags & CLOSE_ON_EXEC != 0 {
        for fd in numbers {
            table.set_close_on_exec(fd, true)?;
        }
        return Ok(0);
    }
    let closed: alloc::vec::Vec<_> = numbers.filter_map(|fd| table.remove(fd).ok()).collect();
    drop(table);
    closed.iter().for_each(|file| locks::closed(ctx, file));
    drop(closed);
    Ok(0)
}
