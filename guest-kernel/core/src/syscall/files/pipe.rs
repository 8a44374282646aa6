//! pipe, pipe2, eventfd, eventfd2, memfd_create.

use super::FileContext;
use crate::fs::anonymous;
use crate::fs::event::EventCounter;
use crate::fs::inode::{FileKind, Ownership};
use crate::fs::open::OpenFlags;
use crate::fs::path::NAME_MAX;
use crate::fs::ramfs::{self, Seal};
use alloc::sync::Arc;
use septum_abi::linux::Errno;

/// `pipe2`
pub fn sys_pipe2<C: FileContext>(ctx: &C, address: u64, flags: u32) -> Result<usize, Errno> {
    let flags = OpenFlags::from_bits_retain(flags);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let is_close_on_exec = flags.contains(OpenFlags::CLOSE_ON_EXEC);
    let (reader, writer) = anonymous::open_pipe(flags & OpenFlags::NON_BLOCKING);
    let mut table = ctx.descriptors().lock();
    let first = table.insert(reader, is_close_on_exec, 0)?;
    let both = table.insert(writer, is_close_on_exec, 0).map(|second| [first, second]);
    drop(table);
    let undo = |fd: usize| {
        let file = i32::try_from(fd).ok().and_then(|fd| ctx.descriptors().lock().remove(fd).ok());
        drop(file);
    };
    let both = both.inspect_err(|_| undo(first))?;
    let mut bytes = [0; 8];
    for (bytes, fd) in bytes.chunks_exact_mut(4).zip(both) {
        bytes.copy_from_slice(&u32::try_from(fd).unwrap_or(u32::MAX).to_le_bytes());
    }
    ctx.copy_out(address, &bytes).inspect_err(|_| both.into_iter().for_each(undo))?;
    Ok(0)
}

/// EFD_SEMAPHORE
const SEMAPHORE: u32 = 1;

/// `eventfd2`
pub fn sys_eventfd2<C: FileContext>(ctx: &C, initial: u32, flags: u32) -> Result<usize, Errno> {
    let open = OpenFlags::from_bits_retain(flags & !SEMAPHORE);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(open) {
        return Err(Errno::EINVAL);
    }
    let counter = EventCounter::new(u64::from(initial), flags & SEMAPHORE != 0);
    let status = OpenFlags::READ_WRITE | (open & OpenFlags::NON_BLOCKING);
    let file = anonymous::open_named(b"anon_inode:[eventfd]", FileKind::Anonymous, Arc::new(counter), status);
    ctx.descriptors().lock().insert(file, open.contains(OpenFlags::CLOSE_ON_EXEC), 0)
}

/// MFD_CLOEXEC
const MEMORY_CLOSE_ON_EXEC: u32 = 1;
/// MFD_ALLOW_SEALING
const MEMORY_SEALABLE: u32 = 2;
/// MFD_NOEXEC_SEAL
const MEMORY_NOT_EXECUTABLE: u32 = 8;
/// MFD_EXEC
const MEMORY_EXECUTABLE: u32 = 16;
const MEMORY_FLAGS: u32 = MEMORY_CLOSE_ON_EXEC | MEMORY_SEALABLE | MEMORY_NOT_EXECUTABLE | MEMORY_EXECUTABLE;

/// `memfd_create`. Huge pages are EINVAL.
pub fn sys_memfd_create<C: FileContext>(ctx: &C, name: u64, flags: u32) -> Result<usize, Errno> {
    let both = MEMORY_NOT_EXECUTABLE | MEMORY_EXECUTABLE;
    if flags & !MEMORY_FLAGS != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    // The name is shown behind "memfd:", and both together are a name.
    let name = ctx
        .copy_in_string(name, NAME_MAX - 5)
        .map_err(|errno| if errno == Errno::ENAMETOOLONG { Errno::EINVAL } else { errno })?;
    let (uid, gid) = {
        let fs = ctx.fs().lock();
        (fs.uid, fs.gid)
    };
    let (permissions, seals) = match flags & (MEMORY_NOT_EXECUTABLE | MEMORY_SEALABLE) {
        0 => (0o777, Seal::SEAL),
        MEMORY_SEALABLE => (0o777, Seal::empty()),
        _ => (0o666, Seal::EXEC),
    };
    let file = ramfs::memory_file(&name, Ownership { uid, gid, permissions }, seals)?;
    ctx.descriptors().lock().insert(file, flags & MEMORY_CLOSE_ON_EXEC != 0, 0)
}
