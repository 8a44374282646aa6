//! The shared tree: the passthrough file system with what an untrusted guest must not decide taken out of its hands.
//!
//! - Identity: every operation runs as the host process, whatever user the guest names. (The guest kernel checks its
//!   own permissions; the host's apply to the process.)
//! - Names: `.` and `..` are not looked up. The guest walks paths itself, and `..` could climb out of a directory
//!   that was moved out of the tree.
//! - Special files: devices cannot be made.
//! - Extended attributes: those of users only. The others mean something to the host (`security.capability`).
//! - Sizes: buffers that the guest asks for are bounded before they are allocated.
//! - Inode numbers are made unique over all mounts below the root.
//!
//! Two things are asked of the host less often than the protocol has it. A directory is listed with the numbers that the host lists, where
//! those are the files' own. And handle 0 is whatever file the request names, opened for that request alone: who reads a file once needs
//! no OPEN and no RELEASE.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::{
    CreateIn, FsOptions, OpenOptions, ROOT_ID, SetattrValid, stat64, statvfs64,
};
use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingFlags};
use fuse_backend_rs::api::filesystem::{
    Context, DirEntry, Entry, FileSystem, GetxattrReply, ListxattrReply, ZeroCopyReader, ZeroCopyWriter,
};
use fuse_backend_rs::passthrough::{Config, PassthroughFs};
use fuse_backend_rs::transport::FsCacheReqHandler;

use super::inode_numbers::InodeNumbers;
use super::listing::{self, Numbers};

/// Largest directory read.
const LARGEST_DIRECTORY_READ: u32 = 1 << 20;
/// Largest extended attribute, and list of them (`XATTR_SIZE_MAX`).
const LARGEST_ATTRIBUTE: u32 = 1 << 16;

/// What the guest may do beyond what the passthrough file system asks for: requests of a megabyte, several at a
/// time, and truncation as part of opening.
const OPTIONS: FsOptions = FsOptions::ASYNC_READ
    .union(FsOptions::BIG_WRITES)
    .union(FsOptions::MAX_PAGES)
    .union(FsOptions::PARALLEL_DIROPS)
    .union(FsOptions::ATOMIC_O_TRUNC);

/// The handle of files that are opened for a single read. The passthrough file system counts from 1.
const NO_HANDLE: u64 = 0;

struct Shared {
    files: PassthroughFs<()>,
    numbers: InodeNumbers,
}

/// What the passthrough file system shows of a file that it opens to be mapped, opened once more.
struct Reopened(Option<File>);

impl FsCacheReqHandler for Reopened {
    fn map(&mut self, _offset: u64, _at: u64, _len: u64, flags: u64, file: RawFd) -> io::Result<()> {
        let is_writable = flags & SetupmappingFlags::WRITE.bits() != 0;
        let path = format!("/proc/self/fd/{file}");
        self.0 = Some(File::options().read(true).write(is_writable).open(path)?);
        Ok(())
    }

    fn unmap(&mut self, _requests: Vec<RemovemappingOne>) -> io::Result<()> {
        Ok(())
    }
}

/// A directory tree of the host.
#[derive(Clone)]
pub(super) struct Tree {
    shared: Arc<Shared>,
}

impl Tree {
    /// The tree that `config` describes.
    pub(super) fn new(config: Config) -> io::Result<Self> {
        let files = PassthroughFs::new(config)?;
        files.import()?;
        let tree = Self { shared: Arc::new(Shared { files, numbers: InodeNumbers::default() }) };
        // Meet the root's device first.
        tree.getattr(&Context::default(), ROOT_ID, None)?;
        Ok(tree)
    }

    fn files(&self) -> &PassthroughFs<()> {
        &self.shared.files
    }

    fn numbered(&self, mut attributes: stat64) -> stat64 {
        attributes.st_ino = self.shared.numbers.number(attributes.st_dev, attributes.st_ino);
        attributes
    }

    fn entry(&self, entry: Entry) -> Entry {
        Entry { attr: self.numbered(entry.attr), ..entry }
    }

    /// Opens a file for its locks: for writing too where that is possible, as exclusive ones of `fcntl` need it.
    ///
    /// # Errors
    /// What the host says; EBADF for what is neither file nor directory.
    pub(super) fn open_for_locks(&self, inode: u64) -> io::Result<File> {
        let mut opened = Reopened(None);
        let mut open = |flags: u64| {
            self.files().setupmapping(&Context::default(), inode, NO_HANDLE, 0, 0, flags, 0, &mut opened)
        };
        if open(SetupmappingFlags::WRITE.bits()).is_err() {
            open(0)?;
        }
        opened.0.ok_or_else(|| error(libc::EBADF))
    }

    /// Lists a directory with the numbers that the host lists, if those are its files'. False if not.
    fn list_as_host(
        &self,
        context: &Context,
        directory: u64,
        size: u32,
        from: u64,
        add_entry: &mut dyn FnMut(DirEntry) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let (attributes, _) = self.files().getattr(context, directory, None)?;
        let device = attributes.st_dev;
        let numbers = &self.shared.numbers;
        if numbers.listed(device) == Some(Numbers::Other) {
            return Ok(false);
        }
        let path = self.files().readlinkat_proc_file(directory)?;
        if numbers.listed(device).is_none() {
            numbers.set_listed(device, Numbers::of(&path));
            return self.list_as_host(context, directory, size, from, add_entry);
        }
        let size = usize::try_from(size).map_err(io::Error::other)?;
        listing::list(&path, (device, attributes.st_ino), from, size, |entry| {
            let added = add_entry(DirEntry {
                ino: numbers.number(device, entry.number),
                offset: entry.next,
                type_: u32::from(entry.kind),
                name: entry.name.to_bytes(),
            })?;
            Ok(added > 0)
        })
    }

    /// A hard link where the host does not let this process link an open file: by the names that the kernel knows
    /// for both. Nothing of the guest's runs in between, since requests are served one at a time.
    fn link_by_name(&self, inode: u64, parent: u64, name: &CStr) -> io::Result<()> {
        let existing = self.files().readlinkat_proc_file(inode)?;
        let parent = self.files().readlinkat_proc_file(parent)?;
        std::fs::hard_link(existing, parent.join(OsStr::from_bytes(name.to_bytes())))
    }
}

/// Whether an extended attribute is one that its file's users keep there for themselves.
fn is_of_users(name: &[u8]) -> bool {
    name.starts_with(b"user.")
}

fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// Operations that the passthrough file system serves as they are.
macro_rules! pass {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self $(, $argument: $type)*) $(-> $result)? {
            self.files().$name($($argument),*)
        })*
    };
}

/// Operations whose answer holds a new entry.
macro_rules! pass_entry {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*);)*) => {
        $(fn $name(&self $(, $argument: $type)*) -> io::Result<Entry> {
            self.files().$name($($argument),*).map(|entry| self.entry(entry))
        })*
    };
}

impl FileSystem for Tree {
    type Inode = u64;
    type Handle = u64;

    fn id_remap(&self, context: &mut Context) -> io::Result<()> {
        // Zero means: as the process itself.
        context.uid = 0;
        context.gid = 0;
        Ok(())
    }

    fn init(&self, capable: FsOptions) -> io::Result<FsOptions> {
        Ok(self.files().init(capable)? | OPTIONS)
    }

    fn lookup(&self, context: &Context, parent: u64, name: &CStr) -> io::Result<Entry> {
        if matches!(name.to_bytes(), b"." | b"..") {
            return Err(error(libc::EINVAL));
        }
        self.files().lookup(context, parent, name).map(|entry| self.entry(entry))
    }

    fn getattr(&self, context: &Context, inode: u64, handle: Option<u64>) -> io::Result<(stat64, Duration)> {
        let (attributes, timeout) = self.files().getattr(context, inode, handle)?;
        Ok((self.numbered(attributes), timeout))
    }

    fn setattr(
        &self,
        context: &Context,
        inode: u64,
        attributes: stat64,
        handle: Option<u64>,
        valid: SetattrValid,
    ) -> io::Result<(stat64, Duration)> {
        let (attributes, timeout) = self.files().setattr(context, inode, attributes, handle, valid)?;
        Ok((self.numbered(attributes), timeout))
    }

    fn mknod(
        &self,
        context: &Context,
        parent: u64,
        name: &CStr,
        mode: u32,
        rdev: u32,
        umask: u32,
    ) -> io::Result<Entry> {
        if matches!(mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) {
            return Err(error(libc::EPERM));
        }
        self.files().mknod(context, parent, name, mode, rdev, umask).map(|entry| self.entry(entry))
    }

    fn link(&self, context: &Context, inode: u64, parent: u64, name: &CStr) -> io::Result<Entry> {
        match self.files().link(context, inode, parent, name) {
            // What an unprivileged process gets for linking an open file. The name was found valid before that.
            Err(refused) if refused.raw_os_error() == Some(libc::ENOENT) => {
                self.link_by_name(inode, parent, name)?;
                self.lookup(context, parent, name)
            }
            other => other.map(|entry| self.entry(entry)),
        }
    }

    fn create(
        &self,
        context: &Context,
        parent: u64,
        name: &CStr,
        arguments: CreateIn,
    ) -> io::Result<(Entry, Option<u64>, OpenOptions, Option<u32>)> {
        let (entry, handle, options, backing) = self.files().create(context, parent, name, arguments)?;
        Ok((self.entry(entry), handle, options, backing))
    }

    fn readdir(
        &self,
        context: &Context,
        inode: u64,
        handle: u64,
        size: u32,
        offset: u64,
        add_entry: &mut dyn FnMut(DirEntry) -> io::Result<usize>,
    ) -> io::Result<()> {
        let size = size.min(LARGEST_DIRECTORY_READ);
        if self.list_as_host(context, inode, size, offset, add_entry)? {
            return Ok(());
        }
        let opened = if handle == NO_HANDLE {
            let flags = (libc::O_RDONLY | libc::O_DIRECTORY).cast_unsigned();
            let (opened, _) = self.files().opendir(context, inode, flags)?;
            Some(opened.ok_or_else(|| error(libc::EBADF))?)
        } else {
            None
        };
        let handle = opened.unwrap_or(handle);
        let result =
            self.files().readdirplus(context, inode, handle, size, offset, &mut |mut name, entry| {
                name.ino = self.numbered(entry.attr).st_ino;
                let added = add_entry(name);
                // Entries that do not fit are forgotten by the caller; the others were only needed for their number.
                if !matches!(added, Ok(0)) {
                    self.files().forget(context, entry.inode, 1);
                }
                added
            });
        if let Some(opened) = opened {
            self.files().releasedir(context, inode, 0, opened)?;
        }
        result
    }

    fn readdirplus(
        &self,
        context: &Context,
        inode: u64,
        handle: u64,
        size: u32,
        offset: u64,
        add_entry: &mut dyn FnMut(DirEntry, Entry) -> io::Result<usize>,
    ) -> io::Result<()> {
        let size = size.min(LARGEST_DIRECTORY_READ);
        self.files().readdirplus(context, inode, handle, size, offset, &mut |mut name, entry| {
            let entry = self.entry(entry);
            name.ino = entry.attr.st_ino;
            add_entry(name, entry)
        })
    }

    fn read(
        &self,
        context: &Context,
        inode: u64,
        handle: u64,
        target: &mut dyn ZeroCopyWriter,
        size: u32,
        offset: u64,
        lock_owner: Option<u64>,
        flags: u32,
    ) -> io::Result<usize> {
        if handle != NO_HANDLE {
            return self.files().read(context, inode, handle, target, size, offset, lock_owner, flags);
        }
        let read_only = libc::O_RDONLY.cast_unsigned();
        let (opened, ..) = self.files().open(context, inode, read_only, 0)?;
        let opened = opened.ok_or_else(|| error(libc::EBADF))?;
        let result = self.files().read(context, inode, opened, target, size, offset, lock_owner, read_only);
        self.files().release(context, inode, read_only, opened, false, false, None)?;
        result
    }

    fn getxattr(&self, context: &Context, inode: u64, name: &CStr, size: u32) -> io::Result<GetxattrReply> {
        if !is_of_users(name.to_bytes()) {
            return Err(error(libc::EOPNOTSUPP));
        }
        self.files().getxattr(context, inode, name, size.min(LARGEST_ATTRIBUTE))
    }

    fn setxattr(
        &self,
        context: &Context,
        inode: u64,
        name: &CStr,
        value: &[u8],
        flags: u32,
    ) -> io::Result<()> {
        if !is_of_users(name.to_bytes()) {
            return Err(error(libc::EOPNOTSUPP));
        }
        self.files().setxattr(context, inode, name, value, flags)
    }

    fn removexattr(&self, context: &Context, inode: u64, name: &CStr) -> io::Result<()> {
        if !is_of_users(name.to_bytes()) {
            return Err(error(libc::EOPNOTSUPP));
        }
        self.files().removexattr(context, inode, name)
    }

    fn listxattr(&self, context: &Context, inode: u64, size: u32) -> io::Result<ListxattrReply> {
        let names = match self.files().listxattr(context, inode, LARGEST_ATTRIBUTE)? {
            ListxattrReply::Names(names) => names,
            ListxattrReply::Count(_) => Vec::new(),
        };
        let kept = names.split_inclusive(|&byte| byte == 0).filter(|name| is_of_users(name));
        let names = kept.collect::<Vec<_>>().concat();
        let length = u32::try_from(names.len()).map_err(|_| error(libc::E2BIG))?;
        if size == 0 {
            Ok(ListxattrReply::Count(length))
        } else if length > size {
            Err(error(libc::ERANGE))
        } else {
            Ok(ListxattrReply::Names(names))
        }
    }

    fn setupmapping(
        &self,
        context: &Context,
        inode: u64,
        handle: u64,
        file_offset: u64,
        length: u64,
        flags: u64,
        window_offset: u64,
        window: &mut dyn FsCacheReqHandler,
    ) -> io::Result<()> {
        self.files().setupmapping(context, inode, handle, file_offset, length, flags, window_offset, window)
    }

    fn removemapping(
        &self,
        context: &Context,
        inode: u64,
        requests: Vec<RemovemappingOne>,
        window: &mut dyn FsCacheReqHandler,
    ) -> io::Result<()> {
        self.files().removemapping(context, inode, requests, window)
    }

    pass_entry! {
        fn symlink(&self, context: &Context, target: &CStr, parent: u64, name: &CStr);
        fn mkdir(&self, context: &Context, parent: u64, name: &CStr, mode: u32, umask: u32);
    }

    pass! {
        fn destroy(&self);
        fn forget(&self, context: &Context, inode: u64, count: u64);
        fn batch_forget(&self, context: &Context, requests: Vec<(u64, u64)>);
        fn readlink(&self, context: &Context, inode: u64) -> io::Result<Vec<u8>>;
        fn unlink(&self, context: &Context, parent: u64, name: &CStr) -> io::Result<()>;
        fn rmdir(&self, context: &Context, parent: u64, name: &CStr) -> io::Result<()>;
        fn rename(
            &self, context: &Context, old_parent: u64, old_name: &CStr, new_parent: u64, new_name: &CStr, flags: u32
        ) -> io::Result<()>;
        fn open(
            &self, context: &Context, inode: u64, flags: u32, fuse_flags: u32
        ) -> io::Result<(Option<u64>, OpenOptions, Option<u32>)>;
        fn write(
            &self, context: &Context, inode: u64, handle: u64, source: &mut dyn ZeroCopyReader, size: u32,
            offset: u64, lock_owner: Option<u64>, is_delayed: bool, flags: u32, fuse_flags: u32
        ) -> io::Result<usize>;
        fn flush(&self, context: &Context, inode: u64, handle: u64, lock_owner: u64) -> io::Result<()>;
        fn fsync(&self, context: &Context, inode: u64, is_data_only: bool, handle: u64) -> io::Result<()>;
        fn fallocate(
            &self, context: &Context, inode: u64, handle: u64, mode: u32, offset: u64, length: u64
        ) -> io::Result<()>;
        fn release(
            &self, context: &Context, inode: u64, flags: u32, handle: u64, flush: bool, unlock: bool,
            lock_owner: Option<u64>
        ) -> io::Result<()>;
        fn statfs(&self, context: &Context, inode: u64) -> io::Result<statvfs64>;
        fn opendir(
            &self, context: &Context, inode: u64, flags: u32
        ) -> io::Result<(Option<u64>, OpenOptions)>;
        fn fsyncdir(&self, context: &Context, inode: u64, is_data_only: bool, handle: u64) -> io::Result<()>;
        fn releasedir(&self, context: &Context, inode: u64, flags: u32, handle: u64) -> io::Result<()>;
        fn access(&self, context: &Context, inode: u64, mask: u32) -> io::Result<()>;
        fn lseek(
            &self, context: &Context, inode: u64, handle: u64, offset: u64, whence: u32
        ) -> io::Result<u64>;
    }
}
