//! getdents64, getdents, getcwd, chdir, fchdir, chroot, umask.
//!
//! ```text
//! linux_dirent64   +0 ino  +8 off  +16 reclen (u16)  +18 type (u8)  +19 name NUL         reclen is a multiple of 8
//! linux_dirent     +0 ino  +8 off  +16 reclen (u16)  +18 name NUL …  type in the last byte
//!
//! position of the open directory:  0 before "."   1 before ".."   2 + p  at p of the file system
//! ```

use super::FileContext;
use super::arguments::{Path, file, usable_file};
use crate::fs::context::MAY_EXECUTE;
use crate::fs::dentry::Dentry;
use crate::fs::inode::{DirectoryEntry, FileKind};
use crate::fs::path::PATH_MAX;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;

/// The two layouts of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `getdents64`
    New,
    /// `getdents`
    Old,
}

/// Entries as the program gets them.
struct Buffer {
    format: Format,
    bytes: Vec<u8>,
    limit: usize,
}

impl Buffer {
    /// Adds an entry; false if it does not fit. `next` is the position after it.
    fn push(&mut self, name: &[u8], inode: u64, kind: FileKind, next: u64) -> bool {
        let len = (20 + name.len()).next_multiple_of(8);
        let Ok(record_len) = u16::try_from(len) else { return false };
        if self.bytes.len() + len > self.limit {
            return false;
        }
        let end = self.bytes.len() + len;
        self.bytes.extend_from_slice(&inode.to_le_bytes());
        self.bytes.extend_from_slice(&next.to_le_bytes());
        self.bytes.extend_from_slice(&record_len.to_le_bytes());
        if self.format == Format::New {
            self.bytes.push(kind.directory_type());
        }
        self.bytes.extend_from_slice(name);
        self.bytes.resize(end, 0);
        if self.format == Format::Old {
            self.bytes[end - 1] = kind.directory_type();
        }
        true
    }
}

/// `getdents64`, `getdents`
pub fn sys_getdents<C: FileContext>(
    ctx: &C,
    fd: i32,
    address: u64,
    len: usize,
    format: Format,
) -> Result<usize, Errno> {
    let open = usable_file(ctx, fd)?;
    let dentry = open.dentry();
    if !dentry.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    if dentry.is_removed() {
        return Err(Errno::ENOENT);
    }
    let mut buffer = Buffer { format, bytes: Vec::new(), limit: len.min(64 * 1024) };
    let mut position = open.position().lock();
    let start = *position;
    let mut is_full = false;
    let number = |dentry: &Dentry| dentry.metadata().map(|metadata| metadata.inode);
    if *position == 0 {
        is_full = !buffer.push(b".", number(dentry)?, FileKind::Directory, 1);
        *position = u64::from(!is_full);
    }
    if *position == 1 && !is_full {
        let above = above(dentry);
        is_full = !buffer.push(b"..", number(&above)?, FileKind::Directory, 2);
        *position += u64::from(!is_full);
    }
    if *position >= 2 && !is_full {
        open.file().read_directory(*position - 2, &mut |entry: DirectoryEntry<'_>| {
            let next = entry.next.wrapping_add(2);
            is_full = !buffer.push(entry.name, entry.inode, entry.kind, next);
            if !is_full {
                *position = next;
            }
            !is_full
        })?;
    }
    if is_full && buffer.bytes.is_empty() {
        return Err(Errno::EINVAL);
    }
    // What did not reach the program comes again.
    ctx.copy_out(address, &buffer.bytes).inspect_err(|_| *position = start)?;
    Ok(buffer.bytes.len())
}

/// The directory that `..` names.
fn above(dentry: &Arc<Dentry>) -> Arc<Dentry> {
    let mut at = Arc::clone(dentry);
    loop {
        if let Some(parent) = at.parent() {
            return parent.uppermost();
        }
        match at.mount().covered() {
            Some(covered) => at = covered,
            None => return at,
        }
    }
}

/// `getcwd`: the length includes the NUL.
pub fn sys_getcwd<C: FileContext>(ctx: &C, address: u64, len: usize) -> Result<usize, Errno> {
    let (cwd, root) = {
        let fs = ctx.fs().lock();
        (Arc::clone(&fs.cwd), Arc::clone(&fs.root))
    };
    if cwd.is_removed() {
        return Err(Errno::ENOENT);
    }
    let mut path = cwd.path(&root);
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if path.len() > len {
        return Err(Errno::ERANGE);
    }
    ctx.copy_out(address, &path)?;
    Ok(path.len())
}

/// `chdir`
pub fn sys_chdir<C: FileContext>(ctx: &C, path: u64) -> Result<usize, Errno> {
    let path = Path::here(ctx, path)?;
    change(ctx, &path.resolve(true)?)
}

/// `fchdir`
pub fn sys_fchdir<C: FileContext>(ctx: &C, fd: i32) -> Result<usize, Errno> {
    let file = file(ctx, fd)?;
    change(ctx, file.dentry())
}

fn change<C: FileContext>(ctx: &C, to: &Arc<Dentry>) -> Result<usize, Errno> {
    if !to.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    let fs = ctx.fs().lock().clone();
    fs.check(to, MAY_EXECUTE)?;
    let old = core::mem::replace(&mut ctx.fs().lock().cwd, Arc::clone(to));
    drop(old);
    Ok(0)
}

/// `chroot`
pub fn sys_chroot<C: FileContext>(ctx: &C, path: u64) -> Result<usize, Errno> {
    let path = Path::here(ctx, path)?;
    let root = path.resolve(true)?;
    if !root.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    path.fs.check(&root, MAY_EXECUTE)?;
    if path.fs.uid != 0 {
        return Err(Errno::EPERM);
    }
    ctx.fs().lock().root = root;
    Ok(0)
}

/// `umask`: returns the old one.
pub fn sys_umask<C: FileContext>(ctx: &C, mask: u32) -> Result<usize, Errno> {
    let old = core::mem::replace(&mut ctx.fs().lock().umask, mask & 0o777);
    super::arguments::result(u64::from(old))
}
