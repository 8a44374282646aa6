//! access, faccessat, faccessat2.

use super::FileContext;
use super::arguments::{AtFlags, Path};
use crate::fs::context::{MAY_WRITE, check_writable_mount};
use crate::fs::inode::FileKind;
use septum_abi::linux::Errno;

/// `faccessat2`; the others are the same with fewer arguments. Real and effective identity are one here.
pub fn sys_faccessat2<C: FileContext>(
    ctx: &C,
    directory: i32,
    path: u64,
    mode: u32,
    flags: u32,
) -> Result<usize, Errno> {
    // 0x200 is AT_EACCESS here.
    let allowed = AtFlags::NO_FOLLOW | AtFlags::EMPTY_PATH | AtFlags::REMOVE_DIRECTORY;
    let flags = AtFlags::parse(flags, allowed)?;
    if mode & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    let mut path = Path::at(ctx, directory, path)?;
    if !flags.contains(AtFlags::REMOVE_DIRECTORY) {
        path.fs = path.fs.as_real();
    }
    let dentry = path.resolve_with(flags)?;
    if mode == 0 {
        return Ok(0);
    }
    let has_contents = matches!(dentry.kind(), FileKind::Regular | FileKind::Directory | FileKind::Symlink);
    if mode & MAY_WRITE != 0 && has_contents {
        check_writable_mount(&dentry)?;
    }
    path.fs.check(&dentry, mode)?;
    Ok(0)
}
