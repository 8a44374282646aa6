//! read, write, pread64, pwrite64 and their vector forms.

use super::FileContext;
use super::arguments::{MOST_BYTES, file, offset};
use super::vectors::Vectors;
use crate::fs::descriptors::OpenFile;
use septum_abi::linux::Errno;

/// `read`
pub fn sys_read<C: FileContext>(ctx: &C, fd: i32, address: u64, len: usize) -> Result<usize, Errno> {
    let file = file(ctx, fd)?;
    file.check_readable()?;
    counted(ctx, false, file.read(&mut ctx.destination(address, len.min(MOST_BYTES))?))
}

/// `write`
pub fn sys_write<C: FileContext>(ctx: &C, fd: i32, address: u64, len: usize) -> Result<usize, Errno> {
    let file = file(ctx, fd)?;
    file.check_writable()?;
    let written = file.write(&mut ctx.source(address, len.min(MOST_BYTES))?);
    with_signal(ctx, &file, counted(ctx, true, written))
}

/// `pread64`
pub fn sys_pread64<C: FileContext>(
    ctx: &C,
    fd: i32,
    address: u64,
    len: usize,
    at: u64,
) -> Result<usize, Errno> {
    let at = offset(at)?;
    let read = file(ctx, fd)?.read_at(at, &mut ctx.destination(address, len.min(MOST_BYTES))?);
    counted(ctx, false, read)
}

/// `pwrite64`
pub fn sys_pwrite64<C: FileContext>(
    ctx: &C,
    fd: i32,
    address: u64,
    len: usize,
    at: u64,
) -> Result<usize, Errno> {
    let at = offset(at)?;
    let written = file(ctx, fd)?.write_at(at, &mut ctx.source(address, len.min(MOST_BYTES))?);
    counted(ctx, true, written)
}

/// `readv`
pub fn sys_readv<C: FileContext>(ctx: &C, fd: i32, vectors: u64, count: usize) -> Result<usize, Errno> {
    let file = file(ctx, fd)?;
    file.check_readable()?;
    counted(ctx, false, file.read(&mut Vectors::read(ctx, vectors, count)?))
}

/// `writev`
pub fn sys_writev<C: FileContext>(ctx: &C, fd: i32, vectors: u64, count: usize) -> Result<usize, Errno> {
    let file = file(ctx, fd)?;
    file.check_writable()?;
    let written = file.write(&mut Vectors::read(ctx, vectors, count)?);
    with_signal(ctx, &file, counted(ctx, true, written))
}

/// `preadv`
pub fn sys_preadv<C: FileContext>(
    ctx: &C,
    fd: i32,
    vectors: u64,
    count: usize,
    at: u64,
) -> Result<usize, Errno> {
    let at = offset(at)?;
    counted(ctx, false, file(ctx, fd)?.read_at(at, &mut Vectors::read(ctx, vectors, count)?))
}

/// `pwritev`
pub fn sys_pwritev<C: FileContext>(
    ctx: &C,
    fd: i32,
    vectors: u64,
    count: usize,
    at: u64,
) -> Result<usize, Errno> {
    let at = offset(at)?;
    counted(ctx, true, file(ctx, fd)?.write_at(at, &mut Vectors::read(ctx, vectors, count)?))
}

/// The same, which `/proc/PID/io` tells of.
fn counted<C: FileContext>(ctx: &C, is_write: bool, moved: Result<usize, Errno>) -> Result<usize, Errno> {
    ctx.count(is_write, &moved);
    moved
}

/// RWF_HIPRI, RWF_DSYNC, RWF_SYNC
const HINTS: u32 = 1;
const SYNCING: u32 = 2 | 4;

/// EOPNOTSUPP for flags that files do not have.
fn check_flags<C: FileContext>(ctx: &C, fd: i32, flags: u32) -> Result<(), Errno> {
    file(ctx, fd)?;
    if flags & !(HINTS | SYNCING) == 0 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

/// `preadv2`: offset -1 is the position.
pub fn sys_preadv2<C: FileContext>(
    ctx: &C,
    fd: i32,
    vectors: u64,
    count: usize,
    at: u64,
    flags: u32,
) -> Result<usize, Errno> {
    check_flags(ctx, fd, flags)?;
    if at == u64::MAX { sys_readv(ctx, fd, vectors, count) } else { sys_preadv(ctx, fd, vectors, count, at) }
}

/// `pwritev2`: offset -1 is the position.
pub fn sys_pwritev2<C: FileContext>(
    ctx: &C,
    fd: i32,
    vectors: u64,
    count: usize,
    at: u64,
    flags: u32,
) -> Result<usize, Errno> {
    check_flags(ctx, fd, flags)?;
    let written = if at == u64::MAX {
        sys_writev(ctx, fd, vectors, count)?
    } else {
        sys_pwritev(ctx, fd, vectors, count, at)?
    };
    if flags & SYNCING != 0 {
        sync(&*file(ctx, fd)?)?;
    }
    Ok(written)
}

fn sync(file: &OpenFile) -> Result<(), Errno> {
    file.file().sync(true)
}

/// A write to a pipe that nobody reads raises SIGPIPE.
pub fn with_signal<C: FileContext>(
    ctx: &C,
    file: &OpenFile,
    written: Result<usize, Errno>,
) -> Result<usize, Errno> {
    if written == Err(Errno::EPIPE) && !file.file().breaks_silently() {
        ctx.deliver_sigpipe();
    }
    written
}
