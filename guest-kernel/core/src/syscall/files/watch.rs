//! inotify_init, inotify_init1, inotify_add_watch, inotify_rm_watch.

use super::FileContext;
use super::arguments::{Path, usable_file};
use crate::fs::anonymous;
use crate::fs::context::MAY_READ;
use crate::fs::inode::FileKind;
use crate::fs::open::OpenFlags;
use crate::fs::watch::{Existing, Watcher, event};
use septum_abi::linux::Errno;

/// IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK (no effect), IN_MASK_CREATE, IN_MASK_ADD
const ONLY_DIRECTORY: u32 = 0x0100_0000;
const NO_FOLLOW: u32 = 0x0200_0000;
const NOT_REMOVED: u32 = 0x0400_0000;
const REFUSE: u32 = 0x1000_0000;
const ADD: u32 = 0x2000_0000;
const KNOWN: u32 = event::ALL
    | event::OVERFLOW
    | event::IGNORED
    | event::DIRECTORY
    | event::ONCE
    | ONLY_DIRECTORY
    | NO_FOLLOW
    | NOT_REMOVED
    | REFUSE
    | ADD;

/// `inotify_init1`
pub fn sys_inotify_init1<C: FileContext>(ctx: &C, flags: u32) -> Result<usize, Errno> {
    let flags = OpenFlags::from_bits_retain(flags);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(Errno::EINVAL);
    }
    // Only for reading: the access mode 0.
    let status = flags & OpenFlags::NON_BLOCKING;
    let file = anonymous::open_named(b"anon_inode:inotify", FileKind::Anonymous, Watcher::new(), status);
    ctx.descriptors().lock().insert(file, flags.contains(OpenFlags::CLOSE_ON_EXEC), 0)
}

/// `inotify_add_watch`
pub fn sys_inotify_add_watch<C: FileContext>(ctx: &C, fd: i32, path: u64, mask: u32) -> Result<usize, Errno> {
    if mask & KNOWN == 0 || mask & (REFUSE | ADD) == REFUSE | ADD {
        return Err(Errno::EINVAL);
    }
    let file = usable_file(ctx, fd)?;
    let watcher: &Watcher = file.file().as_any().downcast_ref().ok_or(Errno::EINVAL)?;
    let path = Path::here(ctx, path)?;
    let watched = path.resolve(mask & NO_FOLLOW == 0)?;
    if mask & ONLY_DIRECTORY != 0 && !watched.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    path.fs.check(&watched, MAY_READ)?;
    let existing = match mask & (REFUSE | ADD) {
        REFUSE => Existing::Refuse,
        ADD => Existing::Add,
        _ => Existing::Replace,
    };
    let number = watcher.add(&watched, mask & (event::ALL | event::ONCE), existing)?;
    usize::try_from(number).map_err(|_| Errno::ENOSPC)
}

/// `inotify_rm_watch`
pub fn sys_inotify_rm_watch<C: FileContext>(ctx: &C, fd: i32, number: i32) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    let watcher: &Watcher = file.file().as_any().downcast_ref().ok_or(Errno::EINVAL)?;
    watcher.remove(number)?;
    Ok(0)
}
