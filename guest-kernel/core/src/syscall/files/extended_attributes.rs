//! getxattr, setxattr, listxattr, removexattr.
//!
//! Whose they are is in the name: `user.` belongs to whoever may read and write the file, and only to regular files and
//! directories; `trusted.` and `security.` to user 0. There are no others (access control lists are `system.`).

use super::FileContext;
use super::arguments::{Path, usable_file};
use crate::fs::context::{FsContext, MAY_READ, MAY_WRITE, check_writable_mount};
use crate::fs::dentry::Dentry;
use crate::fs::inode::{FileKind, SetWhen};
use crate::fs::path::NAME_MAX;
use crate::fs::watch;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;

/// XATTR_SIZE_MAX, XATTR_LIST_MAX
const MOST: usize = 65_536;
/// XATTR_CREATE, XATTR_REPLACE
const CREATE: u32 = 1;
const REPLACE: u32 = 2;
const BOTH: u32 = CREATE | REPLACE;

/// Which file a call is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// At a path, through a link at its end.
    Path(u64),
    /// At a path, a link itself.
    Link(u64),
    /// An open file.
    Descriptor(i32),
}

/// The file, and for whom it was found.
fn find<C: FileContext>(ctx: &C, subject: Subject) -> Result<(Arc<Dentry>, FsContext), Errno> {
    let (path, follow) = match subject {
        Subject::Path(path) => (Path::here(ctx, path)?, true),
        Subject::Link(path) => (Path::here(ctx, path)?, false),
        Subject::Descriptor(fd) => {
            let dentry = Arc::clone(usable_file(ctx, fd)?.dentry());
            return Ok((dentry, ctx.fs().lock().clone()));
        }
    };
    Ok((path.resolve(follow)?, path.fs))
}

fn name<C: FileContext>(ctx: &C, address: u64) -> Result<Vec<u8>, Errno> {
    let name = ctx.copy_in_string(address, NAME_MAX + 1);
    let name = name.map_err(|errno| if errno == Errno::ENAMETOOLONG { Errno::ERANGE } else { errno })?;
    if name.is_empty() { Err(Errno::ERANGE) } else { Ok(name) }
}

/// Whether an attribute of this name may be had (MAY_READ) or changed (MAY_WRITE).
fn check(fs: &FsContext, dentry: &Dentry, name: &[u8], wanted: u32) -> Result<(), Errno> {
    let is_change = wanted == MAY_WRITE;
    if is_change {
        check_writable_mount(dentry)?;
    }
    let refused = if is_change { Errno::EPERM } else { Errno::ENODATA };
    let has_suffix = |prefix: &[u8]| name.strip_prefix(prefix).is_some_and(|suffix| !suffix.is_empty());
    if has_suffix(b"user.") {
        match dentry.kind() {
            FileKind::Regular => {}
            FileKind::Directory => {
                let metadata = dentry.inode().metadata()?;
                let is_sticky = metadata.permissions & 0o1000 != 0;
                if is_change && is_sticky && fs.uid != 0 && fs.uid != metadata.uid {
                    return Err(Errno::EPERM);
                }
            }
            _ => return Err(refused),
        }
        return fs.check(dentry, wanted);
    }
    match () {
        () if has_suffix(b"trusted.") && fs.uid != 0 => Err(refused),
        () if has_suffix(b"security.") && is_change && fs.uid != 0 => Err(Errno::EPERM),
        () if has_suffix(b"trusted.") || has_suffix(b"security.") => Ok(()),
        () if [b"user.".as_slice(), b"trusted.", b"security."].contains(&name) => Err(Errno::EINVAL),
        () => Err(Errno::EOPNOTSUPP),
    }
}

/// What does not fit is ERANGE; without room, only the length is told.
fn give<C: FileContext>(ctx: &C, bytes: &[u8], address: u64, len: usize) -> Result<usize, Errno> {
    if len > 0 {
        if bytes.len() > len {
            return Err(Errno::ERANGE);
        }
        ctx.copy_out(address, bytes)?;
    }
    Ok(bytes.len())
}

/// `getxattr`
pub fn sys_getxattr<C: FileContext>(
    ctx: &C,
    subject: Subject,
    name_address: u64,
    address: u64,
    len: usize,
) -> Result<usize, Errno> {
    let name = name(ctx, name_address)?;
    let (dentry, fs) = find(ctx, subject)?;
    check(&fs, &dentry, &name, MAY_READ)?;
    give(ctx, &dentry.inode().extended_attribute(&name)?, address, len)
}

/// `setxattr`
pub fn sys_setxattr<C: FileContext>(
    ctx: &C,
    subject: Subject,
    name_address: u64,
    (address, len): (u64, usize),
    flags: u32,
) -> Result<usize, Errno> {
    let when = match flags {
        0 => SetWhen::Always,
        CREATE => SetWhen::Absent,
        // With both of them nothing can be set.
        REPLACE | BOTH => SetWhen::Present,
        _ => return Err(Errno::EINVAL),
    };
    let name = name(ctx, name_address)?;
    if len > MOST {
        return Err(Errno::E2BIG);
    }
    let mut value = alloc::vec![0; len];
    ctx.copy_in(address, &mut value)?;
    let (dentry, fs) = find(ctx, subject)?;
    check(&fs, &dentry, &name, MAY_WRITE)?;
    if flags == BOTH {
        dentry.inode().extended_attribute(&name)?;
        return Err(Errno::EEXIST);
    }
    dentry.inode().set_extended_attribute(&name, &value, when)?;
    watch::tell(&dentry, watch::event::ATTRIBUTES);
    Ok(0)
}

/// `removexattr`
pub fn sys_removexattr<C: FileContext>(ctx: &C, subject: Subject, name_address: u64) -> Result<usize, Errno> {
    let name = name(ctx, name_address)?;
    let (dentry, fs) = find(ctx, subject)?;
    check(&fs, &dentry, &name, MAY_WRITE)?;
    dentry.inode().remove_extended_attribute(&name)?;
    watch::tell(&dentry, watch::event::ATTRIBUTES);
    Ok(0)
}

/// `listxattr`. Names that only user 0 may know are left out for others.
pub fn sys_listxattr<C: FileContext>(
    ctx: &C,
    subject: Subject,
    address: u64,
    len: usize,
) -> Result<usize, Errno> {
    let (dentry, fs) = find(ctx, subject)?;
    let mut names = dentry.inode().extended_attribute_names()?;
    if fs.uid != 0 {
        let shown = names.split_inclusive(|&byte| byte == 0).filter(|name| !name.starts_with(b"trusted."));
        names = shown.collect::<Vec<_>>().concat();
    }
    if names.len() > MOST {
        return Err(Errno::E2BIG);
    }
    give(ctx, &names, address, len)
}
