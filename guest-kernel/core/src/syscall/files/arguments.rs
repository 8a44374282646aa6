//! Arguments of system calls on files: numbers, descriptors, paths, structures.

use super::FileContext;
use crate::fs::context::FsContext;
use crate::fs::dentry::Dentry;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::Timestamp;
use crate::fs::path::PATH_MAX;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitflags::bitflags;
use septum_abi::linux::Errno;

/// Most bytes that one call moves (Linux: MAX_RW_COUNT).
pub const MOST_BYTES: usize = 0x7fff_f000;
/// AT_FDCWD
const WORKING_DIRECTORY: i32 = -100;

bitflags! {
    /// AT_ flags (linux/fcntl.h). Each call says which of them it takes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AtFlags: u32 {
        /// AT_SYMLINK_NOFOLLOW
        const NO_FOLLOW = 0x100;
        /// AT_REMOVEDIR, and AT_EACCESS in faccessat2
        const REMOVE_DIRECTORY = 0x200;
        /// AT_SYMLINK_FOLLOW
        const FOLLOW = 0x400;
        /// AT_NO_AUTOMOUNT
        const NO_AUTOMOUNT = 0x800;
        /// AT_EMPTY_PATH
        const EMPTY_PATH = 0x1000;
        /// AT_STATX_FORCE_SYNC
        const FORCE_SYNC = 0x2000;
        /// AT_STATX_DONT_SYNC
        const DONT_SYNC = 0x4000;
    }
}

impl AtFlags {
    /// The flags, if all are among `allowed`; else EINVAL.
    pub fn parse(bits: u32, allowed: Self) -> Result<Self, Errno> {
        Self::from_bits(bits).filter(|flags| allowed.contains(*flags)).ok_or(Errno::EINVAL)
    }
}

/// An `int` argument: the low half of the register.
#[must_use]
pub fn int(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// An `unsigned int` argument: the low half of the register.
#[must_use]
pub fn word(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// A `long` argument.
#[must_use]
pub fn long(value: u64) -> i64 {
    i64::from_le_bytes(value.to_le_bytes())
}

/// A `size_t` argument.
#[must_use]
pub fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A number as a system call's result.
pub fn result(value: u64) -> Result<usize, Errno> {
    usize::try_from(value).map_err(|_| Errno::EOVERFLOW)
}

/// An offset that must not be negative.
pub fn offset(value: u64) -> Result<u64, Errno> {
    if long(value) < 0 { Err(Errno::EINVAL) } else { Ok(value) }
}

/// The open file with this number; EBADF if there is none.
pub fn file<C: FileContext>(ctx: &C, fd: i32) -> Result<Arc<OpenFile>, Errno> {
    ctx.descriptors().lock().get(fd)
}

/// As [`file`], but EBADF for an O_PATH descriptor too.
pub fn usable_file<C: FileContext>(ctx: &C, fd: i32) -> Result<Arc<OpenFile>, Errno> {
    let file = file(ctx, fd)?;
    if file.is_path_only() { Err(Errno::EBADF) } else { Ok(file) }
}

/// Where a path leads from: the context it is walked in, the directory, the text.
pub struct Path {
    /// Snapshot of the thread's context.
    pub fs: FsContext,
    /// Where a relative path starts.
    pub start: Arc<Dentry>,
    /// The text.
    pub text: Vec<u8>,
}

impl Path {
    /// The path at `address`, relative to `directory` (a descriptor, or AT_FDCWD).
    pub fn at<C: FileContext>(ctx: &C, directory: i32, address: u64) -> Result<Self, Errno> {
        let text = ctx.copy_in_string(address, PATH_MAX)?;
        Self::with_text(ctx, directory, text)
    }

    /// The path at `address`, relative to the working directory.
    pub fn here<C: FileContext>(ctx: &C, address: u64) -> Result<Self, Errno> {
        Self::at(ctx, WORKING_DIRECTORY, address)
    }

    fn with_text<C: FileContext>(ctx: &C, directory: i32, text: Vec<u8>) -> Result<Self, Errno> {
        let fs = ctx.fs().lock().clone();
        let start = Arc::clone(&fs.cwd);
        let mut path = Self { fs, start, text };
        if path.text.first() != Some(&b'/') {
            path.start = path.directory(ctx, directory)?;
        }
        Ok(path)
    }

    /// What `directory` stands for, as the start of this path.
    pub fn directory<C: FileContext>(&self, ctx: &C, directory: i32) -> Result<Arc<Dentry>, Errno> {
        if directory == WORKING_DIRECTORY {
            return Ok(Arc::clone(&self.fs.cwd));
        }
        let dentry = Arc::clone(file(ctx, directory)?.dentry());
        if dentry.is_directory() || self.text.is_empty() { Ok(dentry) } else { Err(Errno::ENOTDIR) }
    }

    /// The file. `follow`: through a symbolic link at the end.
    pub fn resolve(&self, follow: bool) -> Result<Arc<Dentry>, Errno> {
        self.fs.resolve(&self.start, &self.text, follow)
    }

    /// The file, as NO_FOLLOW and EMPTY_PATH among `flags` say.
    pub fn resolve_with(&self, flags: AtFlags) -> Result<Arc<Dentry>, Errno> {
        if self.text.is_empty() && flags.contains(AtFlags::EMPTY_PATH) {
            return Ok(Arc::clone(&self.start));
        }
        self.resolve(!flags.contains(AtFlags::NO_FOLLOW))
    }
}

/// A structure being laid out for the program; fields never written are zero.
pub struct Layout<const LEN: usize>(pub [u8; LEN]);

impl<const LEN: usize> Layout<LEN> {
    /// All zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; LEN])
    }

    /// Puts a field at `offset`.
    pub fn put<const FIELD: usize>(&mut self, offset: usize, bytes: [u8; FIELD]) {
        self.0[offset..offset + FIELD].copy_from_slice(&bytes);
    }

    /// Puts a 32-bit field.
    pub fn u32(&mut self, offset: usize, value: u32) {
        self.put(offset, value.to_le_bytes());
    }

    /// Puts a 64-bit field.
    pub fn u64(&mut self, offset: usize, value: u64) {
        self.put(offset, value.to_le_bytes());
    }

    /// Puts a `timespec`.
    pub fn timespec(&mut self, offset: usize, time: Timestamp) {
        self.put(offset, time.seconds.to_le_bytes());
        self.u64(offset + 8, u64::from(time.nanoseconds));
    }
}

impl<const LEN: usize> Default for Layout<LEN> {
    fn default() -> Self {
        Self::new()
    }
}

/// Two 64-bit numbers at `address`: a `timespec`, a `timeval`, an `iovec`.
pub fn pair<C: FileContext>(ctx: &C, address: u64) -> Result<(u64, u64), Errno> {
    let mut bytes = [0; 16];
    ctx.copy_in(address, &mut bytes)?;
    Ok((field(&bytes, 0), field(&bytes, 8)))
}

/// The 64-bit field at `offset` of a structure; 0 beyond its end.
#[must_use]
pub fn field(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u64::from_le_bytes)
}
