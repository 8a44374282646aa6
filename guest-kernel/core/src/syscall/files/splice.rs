//! splice, tee, vmsplice: bytes between pipes and other files.
//!
//! They move what is there and what fits, and wait only while that is nothing.

use super::FileContext;
use super::arguments::usable_file;
use super::read_write::with_signal;
use super::transfer::End;
use super::vectors::Vectors;
use crate::fs::buffer::FrameBuffer;
use crate::fs::descriptors::OpenFile;
use crate::fs::open::OpenFlags;
use crate::fs::pipe::{self, Pipe};
use crate::io::Source;
use alloc::sync::Arc;
use septum_abi::linux::Errno;

/// SPLICE_F_NONBLOCK
const NON_BLOCKING: u32 = 2;
/// Also SPLICE_F_MOVE, SPLICE_F_MORE, SPLICE_F_GIFT: hints.
const ALL: u32 = 0xf;

fn may_wait(file: &OpenFile, flags: u32) -> bool {
    flags & NON_BLOCKING == 0 && !file.flags().contains(OpenFlags::NON_BLOCKING)
}

/// Repeats what says EAGAIN after `wait`, if it may.
fn patiently<T>(
    may_wait: bool,
    wait: impl Fn() -> Result<(), Errno>,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    loop {
        match attempt() {
            Err(Errno::EAGAIN) if may_wait => wait()?,
            result => return result,
        }
    }
}

/// `splice`
pub fn sys_splice<C: FileContext>(
    ctx: &C,
    from: (i32, u64),
    to: (i32, u64),
    len: usize,
    flags: u32,
) -> Result<usize, Errno> {
    if len == 0 {
        return Ok(0);
    }
    if flags & !ALL != 0 {
        return Err(Errno::EINVAL);
    }
    let (source, target) = (usable_file(ctx, from.0)?, usable_file(ctx, to.0)?);
    if !source.access().read || !target.access().write {
        return Err(Errno::EBADF);
    }
    let pipes = (pipe::of(&**source.file()), pipe::of(&**target.file()));
    if (pipes.0.is_some() && from.1 != 0) || (pipes.1.is_some() && to.1 != 0) {
        return Err(Errno::ESPIPE);
    }
    let is_seekable = |file: &OpenFile, at: u64| at == 0 || file.is_seekable();
    if !is_seekable(&source, from.1) || !is_seekable(&target, to.1) {
        return Err(Errno::EINVAL);
    }
    let moved = match pipes {
        (Some(input), Some(output)) if Arc::ptr_eq(input, output) => Err(Errno::EINVAL),
        (Some(input), Some(output)) => {
            let may_wait = may_wait(&source, flags) && may_wait(&target, flags);
            between((input, output), len, may_wait, false)
        }
        (Some(input), None) => out_of(ctx, input, (&target, to.1), len, may_wait(&source, flags)),
        (None, Some(output)) => into(ctx, (&source, from.1), output, len, may_wait(&target, flags)),
        (None, None) => Err(Errno::EINVAL),
    };
    with_signal(ctx, &target, moved)
}

/// From pipe to pipe; `stays`: also where it was.
fn between((input, output): (&Pipe, &Pipe), len: usize, may_wait: bool, stays: bool) -> Result<usize, Errno> {
    patiently(
        may_wait,
        || input.wait_for_bytes(),
        || {
            let room = patiently(may_wait, || output.wait_for_room(), || output.reserve(len))?;
            if stays { room.fill(&mut input.peek(len)?) } else { room.fill(&mut input.lend(len)?.buffer) }
        },
    )
}

/// From a pipe to a file.
fn out_of<C: FileContext>(
    ctx: &C,
    pipe: &Pipe,
    (file, at): (&OpenFile, u64),
    len: usize,
    may_wait: bool,
) -> Result<usize, Errno> {
    if file.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let mut end = End::new(ctx, file, at)?;
    let mut loan = patiently(may_wait, || pipe.wait_for_bytes(), || pipe.lend(len))?;
    if loan.buffer.remaining() == 0 {
        return Ok(0);
    }
    let written = end.write(&mut loan.buffer);
    let used = loan.used();
    drop(loan);
    match written {
        Err(errno) if used == 0 => return Err(errno),
        _ => end.finish(ctx)?,
    }
    Ok(used)
}

/// From a file to a pipe.
fn into<C: FileContext>(
    ctx: &C,
    (file, at): (&OpenFile, u64),
    pipe: &Pipe,
    len: usize,
    may_wait: bool,
) -> Result<usize, Errno> {
    file.check_readable().map_err(|errno| if errno == Errno::EISDIR { Errno::EINVAL } else { errno })?;
    let mut end = End::new(ctx, file, at)?;
    let room = patiently(may_wait, || pipe.wait_for_room(), || pipe.reserve(len))?;
    let mut buffer = FrameBuffer::new(room.len())?;
    end.read(&mut buffer)?;
    buffer.turn();
    let filled = room.fill(&mut buffer);
    // Only if memory ran out.
    end.unread(buffer.remaining());
    let filled = filled?;
    end.finish(ctx)?;
    Ok(filled)
}

/// `tee`
pub fn sys_tee<C: FileContext>(ctx: &C, from: i32, to: i32, len: usize, flags: u32) -> Result<usize, Errno> {
    if flags & !ALL != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let (source, target) = (usable_file(ctx, from)?, usable_file(ctx, to)?);
    if !source.access().read || !target.access().write {
        return Err(Errno::EBADF);
    }
    let moved = match (pipe::of(&**source.file()), pipe::of(&**target.file())) {
        (Some(input), Some(output)) if !Arc::ptr_eq(input, output) => {
            let may_wait = may_wait(&source, flags) && may_wait(&target, flags);
            between((input, output), len, may_wait, true)
        }
        _ => Err(Errno::EINVAL),
    };
    with_signal(ctx, &target, moved)
}

/// `vmsplice`: the program's memory is copied into the pipe, or from it.
pub fn sys_vmsplice<C: FileContext>(
    ctx: &C,
    fd: i32,
    vectors: u64,
    count: usize,
    flags: u32,
) -> Result<usize, Errno> {
    if flags & !ALL != 0 {
        return Err(Errno::EINVAL);
    }
    let file = usable_file(ctx, fd)?;
    let pipe = pipe::of(&**file.file()).ok_or(Errno::EBADF)?;
    let may_wait = may_wait(&file, flags);
    let mut memory = Vectors::read(ctx, vectors, count)?;
    let len = Source::remaining(&memory);
    if len == 0 {
        return Ok(0);
    }
    let moved = if file.access().write {
        patiently(may_wait, || pipe.wait_for_room(), || pipe.reserve(len)?.fill(&mut memory))
    } else {
        patiently(may_wait, || pipe.wait_for_bytes(), || file.file().read_at(0, &mut memory))
    };
    with_signal(ctx, &file, moved)
}
