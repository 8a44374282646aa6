//! Opening files.

use super::context::{FsContext, MAY_EXECUTE, MAY_READ, MAY_WRITE, check_writable_mount};
use super::dentry::Dentry;
use super::descriptors::OpenFile;
use super::inode::{Access, Create, File, FileKind, SetMetadata};
use super::path::{Place, Restrictions, Walker};
use super::watch;
use alloc::sync::Arc;
use bitflags::bitflags;
use core::any::Any;
use septum_abi::linux::Errno;

bitflags! {
    /// Flags of `open` (fcntl.h of x86-64); the two low bits are the access mode.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// O_WRONLY
        const WRITE_ONLY = 0o1;
        /// O_RDWR
        const READ_WRITE = 0o2;
        /// O_CREAT
        const CREATE = 0o100;
        /// O_EXCL
        const EXCLUSIVE = 0o200;
        /// O_NOCTTY
        const NO_TERMINAL = 0o400;
        /// O_TRUNC
        const TRUNCATE = 0o1000;
        /// O_APPEND
        const APPEND = 0o2000;
        /// O_NONBLOCK
        const NON_BLOCKING = 0o4000;
        /// O_DSYNC
        const DATA_SYNC = 0o10000;
        /// O_ASYNC
        const ASYNC = 0o20000;
        /// O_DIRECT
        const DIRECT = 0o40000;
        /// O_LARGEFILE
        const LARGE_FILE = 0o100_000;
        /// O_DIRECTORY
        const DIRECTORY = 0o200_000;
        /// O_NOFOLLOW
        const NO_FOLLOW = 0o400_000;
        /// O_NOATIME
        const NO_ACCESS_TIME = 0o1_000_000;
        /// O_CLOEXEC
        const CLOSE_ON_EXEC = 0o2_000_000;
        /// `__O_SYNC`
        const SYNC = 0o4_000_000;
        /// O_PATH
        const PATH = 0o10_000_000;
        /// `__O_TMPFILE`
        const UNNAMED = 0o20_000_000;
    }
}

impl OpenFlags {
    /// What F_SETFL may change.
    pub const CHANGEABLE: Self = Self::APPEND
        .union(Self::NON_BLOCKING)
        .union(Self::ASYNC)
        .union(Self::DIRECT)
        .union(Self::NO_ACCESS_TIME);
    /// What is only for the moment of opening, and not told by F_GETFL.
    pub const MOMENTARY: Self = Self::CREATE
        .union(Self::EXCLUSIVE)
        .union(Self::NO_TERMINAL)
        .union(Self::TRUNCATE)
        .union(Self::CLOSE_ON_EXEC);

    /// For what the file is opened. Mode 3 (neither) is for ioctl alone.
    #[must_use]
    pub fn access(self) -> Access {
        match self.bits() & 3 {
            0 => Access { read: true, write: false },
            1 => Access { read: false, write: true },
            2 => Access { read: true, write: true },
            _ => Access { read: false, write: false },
        }
    }
}

impl FsContext {
    /// `open`: the file at `path`, starting at `at`.
    pub fn open(
        &self,
        at: &Arc<Dentry>,
        path: &[u8],
        flags: OpenFlags,
        permissions: u32,
    ) -> Result<Arc<OpenFile>, Errno> {
        self.open_restricted(at, path, flags, permissions, Restrictions::default())
    }

    /// `openat2`
    pub fn open_restricted(
        &self,
        at: &Arc<Dentry>,
        path: &[u8],
        flags: OpenFlags,
        permissions: u32,
        restrictions: Restrictions,
    ) -> Result<Arc<OpenFile>, Errno> {
        let walker = Walker::restricted(self, at, path, restrictions)?;
        let follow = !flags.contains(OpenFlags::NO_FOLLOW);
        if flags.contains(OpenFlags::PATH) {
            return self.open_path_only(walker.to_end(follow)?, flags);
        }
        if flags.contains(OpenFlags::UNNAMED) {
            return self.open_unnamed(&walker.to_end(follow)?, flags, permissions);
        }
        if !flags.contains(OpenFlags::CREATE) {
            return self.open_existing(&walker.to_end(follow)?, flags);
        }
        if flags.contains(OpenFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        let is_exclusive = flags.contains(OpenFlags::EXCLUSIVE);
        match walker.to_creation(follow && !is_exclusive)? {
            Place::Existing(_) if is_exclusive => Err(Errno::EEXIST),
            Place::Existing(dentry) if dentry.is_directory() => Err(Errno::EISDIR),
            Place::Existing(dentry) => self.open_existing(&dentry, flags),
            Place::Missing { directory, name } => {
                self.check_change(&directory)?;
                match directory.create(&name, Create::File, self.ownership(permissions)) {
                    // Someone else was faster, which is as good.
                    Err(Errno::EEXIST) if !is_exclusive => {
                        self.open_existing(&directory.child(&name)?, flags)
                    }
                    made => {
                        let made = made?;
                        watch::tell_created(&directory, &name, &made);
                        self.open_checked(made, flags)
                    }
                }
            }
        }
    }

    /// Opens what is there, if it is allowed.
    pub fn open_existing(&self, dentry: &Arc<Dentry>, flags: OpenFlags) -> Result<Arc<OpenFile>, Errno> {
        let access = flags.access();
        let has_contents_on_mount = match dentry.kind() {
            FileKind::Symlink => return Err(Errno::ELOOP),
            FileKind::Socket => return Err(Errno::ENXIO),
            FileKind::Directory if access.write || flags.contains(OpenFlags::TRUNCATE) => {
                return Err(Errno::EISDIR);
            }
            _ if flags.contains(OpenFlags::DIRECTORY) && !dentry.is_directory() => {
                return Err(Errno::ENOTDIR);
            }
            kind => kind == FileKind::Regular,
        };
        let truncates = has_contents_on_mount && flags.contains(OpenFlags::TRUNCATE);
        if has_contents_on_mount && (access.write || truncates) {
            check_writable_mount(dentry)?;
        }
        let wanted =
            if access.read { MAY_READ } else { 0 } | if access.write || truncates { MAY_WRITE } else { 0 };
        self.check(dentry, wanted)?;
        if truncates {
            dentry.inode().set_metadata(&SetMetadata { size: Some(0), ..SetMetadata::default() })?;
            watch::tell(dentry, watch::event::MODIFY);
        }
        self.open_checked(Arc::clone(dentry), flags)
    }

    /// Opens a program: a regular file with an `x` bit, readable or not.
    pub fn open_program(&self, dentry: &Arc<Dentry>) -> Result<Arc<dyn File>, Errno> {
        if dentry.kind() != FileKind::Regular {
            return Err(Errno::EACCES);
        }
        if dentry.mount().is_no_execute {
            return Err(Errno::EACCES);
        }
        self.check(dentry, MAY_EXECUTE)?;
        let file = dentry.inode().open(Access { read: true, write: false })?;
        file.expect_to_be_mapped();
        Ok(file)
    }

    fn open_checked(&self, dentry: Arc<Dentry>, flags: OpenFlags) -> Result<Arc<OpenFile>, Errno> {
        let file = match dentry.kind() {
            FileKind::Fifo => match dentry.inode().pipe() {
                Some(pipe) => pipe.open(flags.access(), flags.contains(OpenFlags::NON_BLOCKING))?,
                None => dentry.inode().open(flags.access())?,
            },
            kind => {
                if kind == FileKind::Directory {
                    dentry.settle();
                }
                dentry.inode().open(flags.access())?
            }
        };
        watch::tell(&dentry, watch::event::OPEN);
        Ok(OpenFile::new(dentry, file, flags.difference(OpenFlags::MOMENTARY)))
    }

    fn open_path_only(&self, dentry: Arc<Dentry>, flags: OpenFlags) -> Result<Arc<OpenFile>, Errno> {
        if flags.contains(OpenFlags::DIRECTORY) && !dentry.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let flags = flags & (OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NO_FOLLOW);
        Ok(OpenFile::new(dentry, Arc::new(PathOnly), flags))
    }

    fn open_unnamed(
        &self,
        directory: &Arc<Dentry>,
        flags: OpenFlags,
        permissions: u32,
    ) -> Result<Arc<OpenFile>, Errno> {
        if !flags.contains(OpenFlags::DIRECTORY) || !flags.access().write {
            return Err(Errno::EINVAL);
        }
        if !directory.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        self.check_change(directory)?;
        let inode = directory.inode().create_unnamed(self.ownership(permissions))?;
        let name = alloc::format!("/#{}", inode.metadata()?.inode);
        let dentry = Dentry::detached(Arc::clone(directory.mount()), name.as_bytes(), inode);
        self.open_checked(dentry, flags.difference(OpenFlags::UNNAMED))
    }
}

/// The file of an O_PATH descriptor: a place, and nothing else.
#[derive(Debug)]
pub struct PathOnly;

impl File for PathOnly {
    fn as_any(&self) -> &dyn Any {
        self
    }
}
