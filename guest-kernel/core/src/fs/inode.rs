//! What a file system implements.
//!
//! An [`Inode`] is a file as the disk sees it, a [`File`] is what `open` makes of it. Names are single path
//! components, never empty, `.` or `..`; paths, mounts, permissions and positions are the business of the layers above. Every default
//! body is what Linux answers when the operation makes no sense for that kind of file.

use super::block::Disk;
use super::locks::{FileNumber, HostLocks};
use super::ramfs::{Seal, Writer};
use crate::fs::dentry::Dentry;
use crate::fs::pipe::Pipe;
use crate::io::{Destination, Source};
use crate::wait::WaitQueue;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::device_memory::DeviceMemory;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::frame::large::LargeFrame;

/// A shared inode.
pub type InodeRef = Arc<dyn Inode>;

/// The kind of a file; the value is the S_IFMT part of `st_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FileKind {
    /// No kind: event counters, timers and others that are only descriptors
    Anonymous = 0,
    /// S_IFIFO
    Fifo = 0o010_000,
    /// S_IFCHR
    CharacterDevice = 0o020_000,
    /// S_IFDIR
    Directory = 0o040_000,
    /// S_IFBLK
    BlockDevice = 0o060_000,
    /// S_IFREG
    Regular = 0o100_000,
    /// S_IFLNK
    Symlink = 0o120_000,
    /// S_IFSOCK
    Socket = 0o140_000,
}

impl FileKind {
    /// From `st_mode`.
    #[must_use]
    pub fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o010_000 => Self::Fifo,
            0o020_000 => Self::CharacterDevice,
            0o040_000 => Self::Directory,
            0o060_000 => Self::BlockDevice,
            0o100_000 => Self::Regular,
            0o120_000 => Self::Symlink,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    /// DT_* of `getdents64`.
    #[must_use]
    pub fn directory_type(self) -> u8 {
        ((self as u32) >> 12).to_le_bytes()[0]
    }
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds.
    pub seconds: i64,
    /// 0..1,000,000,000
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The time now.
    #[must_use]
    pub fn now() -> Self {
        Self::from_ns(septum_guest_hal::clock::realtime_ns())
    }

    /// From nanoseconds since 1970.
    #[must_use]
    pub fn from_ns(ns: u64) -> Self {
        Self {
            seconds: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
            nanoseconds: u32::try_from(ns % 1_000_000_000).unwrap_or(0),
        }
    }
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Device number of the file system.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Kind.
    pub kind: FileKind,
    /// Permission bits (07777).
    pub permissions: u32,
    /// Number of names.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number, if it is a device file.
    pub represented_device: u64,
    /// Bytes.
    pub size: u64,
    /// Preferred I/O size.
    pub block_size: u32,
    /// 512-byte blocks.
    pub blocks: u64,
    /// Last access.
    pub accessed: Timestamp,
    /// Last change of contents.
    pub modified: Timestamp,
    /// Last change of the inode.
    pub changed: Timestamp,
}

/// What to change of an inode; `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetMetadata {
    /// Permission bits.
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Truncate or extend.
    pub size: Option<u64>,
    /// Last access.
    pub accessed: Option<Timestamp>,
    /// Last change of contents.
    pub modified: Option<Timestamp>,
}

/// When an extended attribute may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetWhen {
    /// Whether there is one of that name or not.
    Always,
    /// If there is none (XATTR_CREATE), else EEXIST.
    Absent,
    /// If there is one (XATTR_REPLACE), else ENODATA.
    Present,
}

/// What to create.
#[derive(Clone, Copy, Debug)]
pub enum Create<'a> {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(&'a [u8]),
    /// A fifo, socket or device file.
    Node {
        /// Which.
        kind: FileKind,
        /// Device number.
        device: u64,
    },
}

/// Who owns a new file, and its permissions (umask applied).
#[derive(Clone, Copy, Debug)]
pub struct Ownership {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits (07777).
    pub permissions: u32,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
}

/// `statfs`
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystemStatus {
    /// Magic number (`f_type`).
    pub magic: u64,
    /// Bytes a block.
    pub block_size: u64,
    /// Blocks.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Longest name, bytes.
    pub name_max: u64,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryEntry<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Inode number.
    pub inode: u64,
    /// Kind.
    pub kind: FileKind,
    /// Position after this entry: where a later read goes on.
    pub next: u64,
}

/// A file as the file system has it.
pub trait Inode: Send + Sync {
    /// For a file system to recognise its own.
    fn as_any(&self) -> &dyn Any;

    /// What `stat` tells.
    fn metadata(&self) -> Result<Metadata, Errno>;

    /// Device and inode number; never change.
    fn number(&self) -> Result<FileNumber, Errno> {
        self.metadata().map(|metadata| (metadata.device, metadata.inode))
    }

    /// Kind; never changes.
    fn kind(&self) -> FileKind;

    /// Changes what is `Some`.
    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno>;

    /// The entry `name` of this directory.
    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let _ = name;
        Err(Errno::ENOTDIR)
    }

    /// Makes a new entry; EEXIST if there is one.
    fn create(&self, name: &[u8], what: Create<'_>, ownership: Ownership) -> Result<InodeRef, Errno> {
        let _ = (name, what, ownership);
        Err(Errno::ENOTDIR)
    }

    /// Gives `target`, of the same file system (else EXDEV), one more name.
    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let _ = (name, target);
        Err(Errno::EPERM)
    }

    /// Removes a name that is not a directory's (EISDIR).
    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let _ = name;
        Err(Errno::ENOTDIR)
    }

    /// Removes an empty directory.
    fn remove_directory(&self, name: &[u8]) -> Result<(), Errno> {
        let _ = name;
        Err(Errno::ENOTDIR)
    }

    /// Called on a file before [`rename`](Self::rename) of its directory moves it; an error forbids it.
    fn prepare_move(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// Moves `name` to `new_name` of `new_parent`, of the same file system (else EXDEV), atomically replacing what is there unless `keep_existing`.
    fn rename(
        &self,
        name: &[u8],
        new_parent: &InodeRef,
        new_name: &[u8],
        keep_existing: bool,
    ) -> Result<(), Errno> {
        let _ = (name, new_parent, new_name, keep_existing);
        Err(Errno::ENOTDIR)
    }

    /// Has `name` and `new_name` of `new_parent`, of the same file system (else EXDEV), take each other's place, atomically.
    fn exchange(&self, name: &[u8], new_parent: &InodeRef, new_name: &[u8]) -> Result<(), Errno> {
        let _ = (name, new_parent, new_name);
        Err(Errno::EINVAL)
    }

    /// Target of a symbolic link.
    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }

    /// The value of an extended attribute; ENODATA if it has none of that name.
    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ = name;
        Err(Errno::EOPNOTSUPP)
    }

    /// Gives an extended attribute a value, if `when` allows it.
    fn set_extended_attribute(&self, name: &[u8], value: &[u8], when: SetWhen) -> Result<(), Errno> {
        let _ = (name, value, when);
        Err(Errno::EOPNOTSUPP)
    }

    /// Takes an extended attribute away; ENODATA if it has none of that name.
    fn remove_extended_attribute(&self, name: &[u8]) -> Result<(), Errno> {
        let _ = name;
        Err(Errno::EOPNOTSUPP)
    }

    /// The names of all extended attributes, each with its NUL.
    fn extended_attribute_names(&self) -> Result<Vec<u8>, Errno> {
        Ok(Vec::new())
    }

    /// A link that leads straight to a file whatever its text says (`/proc/self/exe`, `/proc/self/fd/N`).
    fn follow(&self) -> Option<Arc<Dentry>> {
        None
    }

    /// Whether entries of this directory appear and vanish behind the kernel's back (a directory that the host
    /// writes to, `/proc`): then [`lookup`](Self::lookup) is asked every time, and decides itself for how long its
    /// answers hold. Otherwise answers, ENOENT included, are remembered for ever.
    fn may_change_outside(&self) -> bool {
        false
    }

    /// Makes a regular file without a name in this directory's file system (O_TMPFILE).
    fn create_unnamed(&self, ownership: Ownership) -> Result<InodeRef, Errno> {
        let _ = ownership;
        Err(Errno::EOPNOTSUPP)
    }

    /// What opening a fifo connects to.
    fn pipe(&self) -> Option<Arc<Pipe>> {
        None
    }

    /// Opens it. Permissions have been checked.
    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno>;

    /// `statfs`
    fn file_system(&self) -> Result<FileSystemStatus, Errno>;
}

/// Events for `poll`, with Linux's values.
pub mod poll {
    /// Reading does not block.
    pub const IN: u16 = 1;
    /// Something urgent can be read: POLLPRI.
    pub const URGENT: u16 = 2;
    /// Writing does not block.
    pub const OUT: u16 = 4;
    /// Error.
    pub const ERR: u16 = 8;
    /// The other end is closed.
    pub const HUP: u16 = 16;
    /// The other end sends no more: POLLRDHUP. Told only to those who ask for it.
    pub const READ_HUP: u16 = 0x2000;
    /// True with [`IN`]: POLLRDNORM.
    const READ_NORMAL: u16 = 0x40;
    /// True with [`OUT`]: POLLWRNORM.
    const WRITE_NORMAL: u16 = 0x100;

    /// What programs are told: the events and those that are true with them.
    #[must_use]
    pub fn state(events: u16) -> u16 {
        events
            | if events & IN != 0 { READ_NORMAL } else { 0 }
            | if events & OUT != 0 { WRITE_NORMAL } else { 0 }
    }
}

/// An open file. The position lives above; `offset` is ignored by files that have none.
///
/// Nothing here waits for another program or person: what would is EAGAIN, and the layer above sleeps on
/// [`wait_queue`](Self::wait_queue) until [`poll`](Self::poll) tells something else. (Waiting for a disk is fine.)
pub trait File: Send + Sync {
    /// For recognition.
    fn as_any(&self) -> &dyn Any;

    /// The locks that others outside the partition have on the file, if they can have any.
    fn host_locks(&self) -> Option<Arc<dyn HostLocks>> {
        None
    }

    /// The disk, of a block device.
    fn disk(&self) -> Option<&Arc<dyn Disk>> {
        None
    }

    /// Reads at `offset`; 0 at the end of the file. May return less than fits.
    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let _ = (offset, to);
        Err(Errno::EINVAL)
    }

    /// Writes at `offset`.
    fn write_at(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let _ = (offset, from);
        Err(Errno::EINVAL)
    }

    /// Whether the file has positions; if not, seeking is ESPIPE.
    fn is_seekable(&self) -> bool {
        true
    }

    /// Whether seeking succeeds wherever to, and stays at 0 (`/dev/null`).
    fn stays_at_start(&self) -> bool {
        false
    }

    /// Calls `emit` for the entries from position `from` on (0 is the start) until it returns false. `.` and `..` are not the file system's business.
    fn read_directory(
        &self,
        from: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let _ = (from, emit);
        Err(Errno::ENOTDIR)
    }

    /// The frame that holds page `index` of the file, shared with every other mapping and with `read_at`; `None` if the page
    /// lies wholly beyond the end. ENODEV if the file cannot be mapped.
    fn page(&self, index: u64) -> Result<Option<Frame>, Errno> {
        let _ = index;
        Err(Errno::ENODEV)
    }

    /// The frame that [`page`](Self::page) would give, if that can be told at once. Called with the lock of an address space held.
    fn cached_page(&self, index: u64) -> Option<Frame> {
        let _ = index;
        None
    }

    /// The 512 frames that begin with page `first`, if they can be mapped as one and none of them lies beyond the end. Called with the
    /// lock of an address space held.
    fn large_page(&self, first: u64) -> Option<LargeFrame> {
        let _ = first;
        None
    }

    /// The memory of a device that it stands for, which is mapped without frames, and only shared.
    fn device_memory(&self) -> Option<DeviceMemory> {
        None
    }

    /// Of a file whose frames are the host's own, which get lost when it becomes shorter: looks how many pages it has now.
    fn pages_now(&self) -> Option<u64> {
        None
    }

    /// Whether mapping it means mapping zeros (`/dev/zero`).
    fn is_zero_device(&self) -> bool {
        false
    }

    /// Says that it is a program which is about to be mapped: a small one is better read at once.
    fn expect_to_be_mapped(&self) {}

    /// Tells of those of the `count` pages from `first` on that are in memory already: how far from `first` they are, and the
    /// frames of some that follow each other.
    fn cached_pages(&self, first: u64, count: u64, tell: &mut dyn FnMut(u64, &[Frame])) {
        let _ = (first, count, tell);
    }

    /// Tells that pages from [`page`](Self::page) were written through a shared writable mapping and have to reach the file. Called by msync, munmap and exit.
    fn write_back(&self, index: u64, frame: &Frame) -> Result<(), Errno> {
        let _ = (index, frame);
        Ok(())
    }

    /// What may not be done to it any more (`fcntl`, F_GET_SEALS). `None` if it is no file in memory.
    fn seals(&self) -> Option<Seal> {
        None
    }

    /// Adds seals. EINVAL if it cannot be sealed.
    fn add_seals(&self, seals: Seal) -> Result<(), Errno> {
        let _ = seals;
        Err(Errno::EINVAL)
    }

    /// A shared mapping begins through which it may be written, for as long as it keeps what is returned. EPERM if it is sealed against that.
    fn writer(&self) -> Result<Option<Arc<Writer>>, Errno> {
        Ok(None)
    }

    /// Writes at the end, whoever else does too, and returns how much and where the end is then. `None` if the
    /// file system has nothing better than asking for the size first.
    fn append(&self, from: &mut dyn Source) -> Option<Result<(usize, u64), Errno>> {
        let _ = from;
        None
    }

    /// [`poll`] events that are true now.
    fn poll(&self) -> u16 {
        poll::IN | poll::OUT
    }

    /// What is woken when [`poll`](Self::poll) changes. `None`: an interrupt of this CPU tells.
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// When, on the monotonic clock in ns, [`poll`](Self::poll) changes by itself, if it does.
    fn deadline_ns(&self) -> Option<u64> {
        None
    }

    /// How long reading or writing waits before it is EAGAIN after all, ns (SO_RCVTIMEO, SO_SNDTIMEO).
    fn patience_ns(&self, is_write: bool) -> Option<u64> {
        let _ = is_write;
        None
    }

    /// Whether a write that nobody can read is EPIPE without SIGPIPE.
    fn breaks_silently(&self) -> bool {
        false
    }

    /// The last description of it is gone. Others must hear of that now, even if somebody who waits for many files has this one for a
    /// moment longer.
    fn release(&self) {}

    /// A number that changes whenever something new can be read or written, even if something could before: what
    /// edge-triggered watching goes by. Changing too often is harmless.
    fn edge(&self) -> u64 {
        self.wait_queue().map_or(0, WaitQueue::generation)
    }

    /// Bytes that can be read now (FIONREAD), of files without positions.
    fn available(&self) -> Result<usize, Errno> {
        Err(Errno::ENOTTY)
    }

    /// Writes what is cached to where it survives.
    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        let _ = data_only;
        Ok(())
    }

    /// `fallocate` with the given mode.
    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let _ = (mode, offset, len);
        Err(Errno::EOPNOTSUPP)
    }

    /// `ioctl`. The argument is the program's, unchecked.
    fn ioctl(&self, command: u32, argument: u64) -> Result<usize, Errno> {
        let _ = (command, argument);
        Err(Errno::ENOTTY)
    }
}
