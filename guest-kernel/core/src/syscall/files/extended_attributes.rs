//! getxattr, setxattr, listxattr, removexattr: no file has extended attributes, and none can be given any.

use super::FileContext;
use super::arguments::{Path, file};
use crate::fs::path::NAME_MAX;
use septum_abi::linux::Errno;

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

fn check<C: FileContext>(ctx: &C, subject: Subject) -> Result<(), Errno> {
    match subject {
        Subject::Path(path) => Path::here(ctx, path)?.resolve(true).map(drop),
        Subject::Link(path) => Path::here(ctx, path)?.resolve(false).map(drop),
        Subject::Descriptor(fd) => file(ctx, fd).map(drop),
    }
}

/// `getxattr`, `removexattr`: ENODATA for a name that could exist, EOPNOTSUPP for one without a known prefix.
pub fn sys_getxattr<C: FileContext>(ctx: &C, subject: Subject, name: u64) -> Result<usize, Errno> {
    let name = ctx
        .copy_in_string(name, NAME_MAX + 1)
        .map_err(|errno| if errno == Errno::ENAMETOOLONG { Errno::ERANGE } else { errno })?;
    check(ctx, subject)?;
    let prefixes: [&[u8]; 4] = [b"user.", b"security.", b"trusted.", b"system."];
    let is_known = prefixes.iter().any(|prefix| name.starts_with(prefix));
    Err(if is_known && !name.starts_with(b"system.") { Errno::ENODATA } else { Errno::EOPNOTSUPP })
}

/// `setxattr`
pub fn sys_setxattr<C: FileContext>(ctx: &C, subject: Subject) -> Result<usize, Errno> {
    check(ctx, subject)?;
    Err(Errno::EOPNOTSUPP)
}

/// `listxattr`: an empty list.
pub fn sys_listxattr<C: FileContext>(ctx: &C, subject: Subject) -> Result<usize, Errno> {
    check(ctx, subject)?;
    Ok(0)
}
