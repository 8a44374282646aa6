//! open, openat, openat2, creat.

use super::FileContext;
use super::arguments::{Path, field, word};
use crate::fs::open::OpenFlags;
use crate::fs::path::Restrictions;
use bitflags::bitflags;
use septum_abi::linux::Errno;

bitflags! {
    /// RESOLVE_ flags (linux/openat2.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Resolve: u64 {
        const NO_XDEV = 1;
        const NO_MAGICLINKS = 2;
        const NO_SYMLINKS = 4;
        const BENEATH = 8;
        const IN_ROOT = 16;
        const CACHED = 32;
    }
}

/// `open`, `openat`. Flags that do not exist are ignored, as by Linux.
pub fn sys_openat<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    flags: u32,
    mode: u32,
) -> Result<usize, Errno> {
    let path = Path::at(ctx, directory, path)?;
    open(ctx, &path, OpenFlags::from_bits_truncate(flags), mode, Restrictions::default())
}

/// `openat2`: a versioned structure of flags, mode and restrictions.
pub fn sys_openat2<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    how: u64,
    how_size: usize,
) -> Result<usize, Errno> {
    const KNOWN: usize = 24;
    if how_size < KNOWN {
        return Err(Errno::EINVAL);
    }
    if how_size > 4096 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = alloc::vec![0; how_size];
    ctx.copy_in(how, &mut bytes)?;
    if bytes[KNOWN..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let flags = u32::try_from(field(&bytes, 0)).ok().and_then(OpenFlags::from_bits).ok_or(Errno::EINVAL)?;
    let mode = field(&bytes, 8);
    let makes_file = flags.intersects(OpenFlags::CREATE | OpenFlags::UNNAMED);
    let of_places = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NO_FOLLOW | OpenFlags::CLOSE_ON_EXEC;
    if flags.contains(OpenFlags::PATH) && !of_places.contains(flags) {
        return Err(Errno::EINVAL);
    }
    if mode & !0o7777 != 0 || (mode != 0 && !makes_file) {
        return Err(Errno::EINVAL);
    }
    let resolve = Resolve::from_bits(field(&bytes, 16)).ok_or(Errno::EINVAL)?;
    if resolve.contains(Resolve::BENEATH | Resolve::IN_ROOT) {
        return Err(Errno::EINVAL);
    }
    if resolve.contains(Resolve::CACHED) {
        return Err(Errno::EAGAIN);
    }
    let mut path = Path::at(ctx, directory, path)?;
    if resolve.contains(Resolve::IN_ROOT) {
        path.start = path.directory(ctx, directory)?;
        path.fs.root = path.start.clone();
    }
    let restrictions = Restrictions {
        is_beneath: resolve.contains(Resolve::BENEATH),
        has_no_links: resolve.contains(Resolve::NO_SYMLINKS),
        has_no_magic_links: resolve.intersects(Resolve::NO_MAGICLINKS | Resolve::IN_ROOT),
        stays_on_mount: resolve.contains(Resolve::NO_XDEV),
    };
    open(ctx, &path, flags, word(mode), restrictions)
}

fn open<C: FileContext>(
    ctx: &C,
    path: &Path,
    flags: OpenFlags,
    mode: u32,
    restrictions: Restrictions,
) -> Result<usize, Errno> {
    // A 64-bit program's files are all large.
    let large = if flags.contains(OpenFlags::PATH) { OpenFlags::empty() } else { OpenFlags::LARGE_FILE };
    let file = path.fs.open_restricted(&path.start, &path.text, flags | large, mode, restrictions)?;
    ctx.descriptors().lock().insert(file, flags.contains(OpenFlags::CLOSE_ON_EXEC), 0)
}
