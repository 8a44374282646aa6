//! signalfd, signalfd4.

use super::FileContext;
use super::arguments::usable_file;
use crate::fs::anonymous;
use crate::fs::inode::FileKind;
use crate::fs::open::OpenFlags;
use crate::fs::signal::SignalFile;
use alloc::sync::Arc;
use septum_abi::linux::Errno;

/// `signalfd4`: with -1 a new file, else another set for the one that is there.
pub fn sys_signalfd4<C: FileContext>(
    ctx: &C,
    fd: i32,
    set: u64,
    set_size: usize,
    flags: u32,
) -> Result<usize, Errno> {
    if set_size != 8 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; 8];
    ctx.copy_in(set, &mut bytes)?;
    let set = u64::from_le_bytes(bytes);
    let flags = OpenFlags::from_bits_retain(flags);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(Errno::EINVAL);
    }
    if fd != -1 {
        let file = usable_file(ctx, fd)?;
        file.file().as_any().downcast_ref::<SignalFile>().ok_or(Errno::EINVAL)?.set(set);
        return usize::try_from(fd).map_err(|_| Errno::EBADF);
    }
    let status = OpenFlags::READ_WRITE | (flags & OpenFlags::NON_BLOCKING);
    let file = Arc::new(SignalFile::new(set));
    let file = anonymous::open_named(b"anon_inode:[signalfd]", FileKind::Anonymous, file, status);
    ctx.descriptors().lock().insert(file, flags.contains(OpenFlags::CLOSE_ON_EXEC), 0)
}
