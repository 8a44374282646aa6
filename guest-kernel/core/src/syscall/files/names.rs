//! mkdir, mknod, symlink, link, unlink, rmdir, rename, readlink, each also relative to a directory.

use super::FileContext;
use super::arguments::{AtFlags, Path};
use crate::fs::inode::{Create, FileKind};
use crate::fs::names::Replace;
use crate::fs::path::PATH_MAX;
use septum_abi::linux::Errno;

/// `mkdirat`
pub fn sys_mkdirat<C: FileContext>(ctx: &C, directory: i32, path: u64, mode: u32) -> Result<usize, Errno> {
    let path = Path::at(ctx, directory, path)?;
    path.fs.make_directory(&path.start, &path.text, mode)?;
    Ok(0)
}

/// `mknodat`
pub fn sys_mknodat<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    mode: u32,
    device: u64,
) -> Result<usize, Errno> {
    let what = match mode & 0o170_000 {
        0 => Create::File,
        kind => match FileKind::from_mode(kind) {
            Some(FileKind::Regular) => Create::File,
            Some(FileKind::Directory) => return Err(Errno::EPERM),
            Some(FileKind::Symlink) | None => return Err(Errno::EINVAL),
            Some(kind @ (FileKind::CharacterDevice | FileKind::BlockDevice)) => Create::Node { kind, device },
            Some(kind) => Create::Node { kind, device: 0 },
        },
    };
    let path = Path::at(ctx, directory, path)?;
    path.fs.make_node(&path.start, &path.text, what, mode)?;
    Ok(0)
}

/// `symlinkat`
pub fn sys_symlinkat<C: FileContext>(
    ctx: &C,
    target: u64,
    directory: i32,
    path: u64,
) -> Result<usize, Errno> {
    let target = ctx.copy_in_string(target, PATH_MAX)?;
    let path = Path::at(ctx, directory, path)?;
    path.fs.make_link_to(&target, &path.start, &path.text)?;
    Ok(0)
}

/// `linkat`
pub fn sys_linkat<C: FileContext>(
    ctx: &C,
    old: (i32, u64),
    new: (i32, u64),
    flags: u32,
) -> Result<usize, Errno> {
    let flags = AtFlags::parse(flags, AtFlags::FOLLOW | AtFlags::EMPTY_PATH)?;
    let follow = if flags.contains(AtFlags::FOLLOW) { AtFlags::empty() } else { AtFlags::NO_FOLLOW };
    let file = Path::at(ctx, old.0, old.1)?.resolve_with(follow | (flags & AtFlags::EMPTY_PATH))?;
    let path = Path::at(ctx, new.0, new.1)?;
    path.fs.link(&file, &path.start, &path.text)?;
    Ok(0)
}

/// `unlinkat`; with AT_REMOVEDIR it is rmdir.
pub fn sys_unlinkat<C: FileContext>(ctx: &C, directory: i32, path: u64, flags: u32) -> Result<usize, Errno> {
    let flags = AtFlags::parse(flags, AtFlags::REMOVE_DIRECTORY)?;
    let path = Path::at(ctx, directory, path)?;
    if flags.contains(AtFlags::REMOVE_DIRECTORY) {
        path.fs.remove_directory(&path.start, &path.text)?;
    } else {
        path.fs.unlink(&path.start, &path.text)?;
    }
    Ok(0)
}

/// RENAME_NOREPLACE, RENAME_EXCHANGE
const NO_REPLACE: u32 = 1;
const EXCHANGE: u32 = 2;

/// `renameat2`; of its flags not RENAME_WHITEOUT.
pub fn sys_renameat2<C: FileContext>(
    ctx: &C,
    old: (i32, u64),
    new: (i32, u64),
    flags: u32,
) -> Result<usize, Errno> {
    let replace = match flags {
        0 => Replace::Yes,
        NO_REPLACE => Replace::Never,
        EXCHANGE => Replace::Exchange,
        _ => return Err(Errno::EINVAL),
    };
    let old = Path::at(ctx, old.0, old.1)?;
    let new = Path::at(ctx, new.0, new.1)?;
    old.fs.rename((&old.start, &old.text), (&new.start, &new.text), replace)?;
    Ok(0)
}

/// `readlinkat`: as much as fits, without a NUL.
pub fn sys_readlinkat<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    address: u64,
    len: i32,
) -> Result<usize, Errno> {
    let len = usize::try_from(len).ok().filter(|&len| len > 0).ok_or(Errno::EINVAL)?;
    let path = Path::at(ctx, directory, path)?;
    let dentry = path.resolve_with(AtFlags::NO_FOLLOW | AtFlags::EMPTY_PATH)?;
    if dentry.kind() != FileKind::Symlink {
        return Err(if path.text.is_empty() { Errno::ENOENT } else { Errno::EINVAL });
    }
    let text = dentry.inode().read_link()?;
    let len = len.min(text.len());
    ctx.copy_out(address, &text[..len])?;
    Ok(len)
}
