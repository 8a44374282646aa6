//! sendfile, copy_file_range: from file to file without the program's memory.

use super::FileContext;
use super::arguments::{field, offset, usable_file};
use super::read_write::with_signal;
use crate::fs::buffer::FrameBuffer;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::FileKind;
use crate::fs::open::OpenFlags;
use crate::io::Source as _;
use septum_abi::linux::Errno;

/// Frames that a transfer goes through.
const FRAMES: usize = 32;

/// Where a file is read or written: its own position, or one that the program keeps at an address.
pub(super) struct End<'a> {
    file: &'a OpenFile,
    /// Address, and the position so far.
    kept: Option<(u64, u64)>,
}

impl<'a> End<'a> {
    pub(super) fn new<C: FileContext>(ctx: &C, file: &'a OpenFile, address: u64) -> Result<Self, Errno> {
        let kept = if address == 0 {
            None
        } else {
            if !file.is_seekable() {
                return Err(Errno::ESPIPE);
            }
            let mut bytes = [0; 8];
            ctx.copy_in(address, &mut bytes)?;
            Some((address, offset(field(&bytes, 0))?))
        };
        Ok(Self { file, kept })
    }

    fn position(&self) -> u64 {
        self.kept.map_or_else(|| *self.file.position().lock(), |(_, position)| position)
    }

    pub(super) fn read(&mut self, buffer: &mut FrameBuffer) -> Result<usize, Errno> {
        match &mut self.kept {
            None => self.file.read(buffer),
            Some((_, position)) => {
                let len = self.file.read_at(*position, buffer)?;
                *position += len as u64;
                Ok(len)
            }
        }
    }

    pub(super) fn write(&mut self, buffer: &mut FrameBuffer) -> Result<usize, Errno> {
        match &mut self.kept {
            None => self.file.write(buffer),
            Some((_, position)) => {
                let len = self.file.write_at(*position, buffer)?;
                *position += len as u64;
                Ok(len)
            }
        }
    }

    /// Takes back `len` bytes that were read and could not be written.
    pub(super) fn unread(&mut self, len: usize) {
        match &mut self.kept {
            Some((_, position)) => *position -= len as u64,
            None if self.file.is_seekable() => {
                let mut position = self.file.position().lock();
                *position = position.saturating_sub(len as u64);
            }
            None => {}
        }
    }

    pub(super) fn finish<C: FileContext>(&self, ctx: &C) -> Result<(), Errno> {
        match self.kept {
            Some((address, position)) => ctx.copy_out(address, &position.to_le_bytes()),
            None => Ok(()),
        }
    }
}

/// `sendfile`
pub fn sys_sendfile<C: FileContext>(
    ctx: &C,
    to: i32,
    from: i32,
    position: u64,
    len: usize,
) -> Result<usize, Errno> {
    let (from, to) = (usable_file(ctx, from)?, usable_file(ctx, to)?);
    from.check_readable().map_err(|errno| if errno == Errno::EISDIR { Errno::EINVAL } else { errno })?;
    if !from.is_seekable() || to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let moved = transfer(ctx, End::new(ctx, &from, position)?, End::new(ctx, &to, 0)?, len);
    with_signal(ctx, &to, moved)
}

/// `copy_file_range`
pub fn sys_copy_file_range<C: FileContext>(
    ctx: &C,
    from: (i32, u64),
    to: (i32, u64),
    len: usize,
    flags: u32,
) -> Result<usize, Errno> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (source, target) = (usable_file(ctx, from.0)?, usable_file(ctx, to.0)?);
    for file in [&source, &target] {
        match file.dentry().kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    if target.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    let (from, to) = (End::new(ctx, &source, from.1)?, End::new(ctx, &target, to.1)?);
    let distance = from.position().abs_diff(to.position());
    if usize::try_from(distance).is_ok_and(|distance| distance < len)
        && source.number()? == target.number()?
    {
        return Err(Errno::EINVAL);
    }
    transfer(ctx, from, to, len)
}

fn transfer<C: FileContext>(ctx: &C, mut from: End<'_>, mut to: End<'_>, len: usize) -> Result<usize, Errno> {
    from.file.check_readable()?;
    to.file.check_writable()?;
    let mut total = 0;
    let result = loop {
        if total >= len {
            break Ok(());
        }
        // Small files take few frames.
        let mut buffer = FrameBuffer::new((len - total).min(FRAMES * 4096))?;
        match from.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(_) => buffer.turn(),
            Err(errno) => break Err(errno),
        }
        let written = to.write(&mut buffer);
        let left = buffer.remaining();
        from.unread(left);
        match written {
            // What is left is tried once more: then it is told why not.
            Ok(0) => break Ok(()),
            Ok(len) => total += len,
            Err(errno) => break Err(errno),
        }
    };
    match result {
        Err(errno) if total == 0 => return Err(errno),
        _ => {}
    }
    ctx.count(false, &Ok(total));
    ctx.count(true, &Ok(total));
    from.finish(ctx)?;
    to.finish(ctx)?;
    Ok(total)
}
