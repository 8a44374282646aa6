//! The FUSE protocol, version 7.31, as far as this driver speaks it.
//!
//! ```text
//! request    header 40 bytes | arguments | names, each with its NUL | data
//! reply      header 16 bytes | results | data
//!
//! request header   length u32, opcode u32 | unique u64 | node u64 | uid u32, gid u32 | pid u32, 0
//! reply header     length u32, error i32 | unique u64
//! ```
//!
//! Everything is little endian and, names apart, made of 64-bit words, some of which hold two 32-bit numbers, the first in
//! the lower half ([`pair`]).

use septum_guest_core::fs::inode::{FileKind, Metadata, Timestamp};

/// Version spoken: major.
pub const MAJOR: u32 = 7;
/// Version spoken: minor.
pub const MINOR: u32 = 31;
/// Bytes of a request's header.
pub const REQUEST_HEADER: usize = 40;
/// Bytes of a reply's header.
pub const REPLY_HEADER: usize = 16;
/// The root's node.
pub const ROOT: u64 = 1;
/// `f_type` of FUSE file systems.
pub const SUPER_MAGIC: u64 = 0x6573_5546;

/// What a request asks for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the protocol's own names")]
pub enum Opcode {
    Lookup = 1,
    GetAttributes = 3,
    SetAttributes = 4,
    ReadLink = 5,
    Symlink = 6,
    MakeNode = 8,
    MakeDirectory = 9,
    Unlink = 10,
    RemoveDirectory = 11,
    Rename = 12,
    Link = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    StatFs = 17,
    Release = 18,
    Sync = 20,
    SetExtendedAttribute = 21,
    GetExtendedAttribute = 22,
    ListExtendedAttributes = 23,
    RemoveExtendedAttribute = 24,
    Init = 26,
    OpenDirectory = 27,
    ReadDirectory = 28,
    ReleaseDirectory = 29,
    SyncDirectory = 30,
    GetLock = 31,
    SetLock = 32,
    Create = 35,
    BatchForget = 42,
    Allocate = 43,
    Rename2 = 45,
    SetUpMapping = 48,
    RemoveMapping = 49,
}

/// Flags of INIT.
pub mod init {
    /// Several reads of a file may be under way.
    pub const ASYNC_READ: u32 = 1 << 0;
    /// Writes of more than a page.
    pub const BIG_WRITES: u32 = 1 << 5;
    /// Files need not be opened.
    pub const NO_OPEN: u32 = 1 << 17;
    /// Several lookups in a directory may be under way.
    pub const PARALLEL_DIRECTORY_OPERATIONS: u32 = 1 << 18;
    /// The reply tells how many pages a request may have.
    pub const MAX_PAGES: u32 = 1 << 22;
    /// Directories need not be opened.
    pub const NO_OPEN_DIRECTORY: u32 = 1 << 24;
}

/// Which fields of SETATTR count.
pub mod set {
    /// Permission bits.
    pub const MODE: u32 = 1 << 0;
    /// Owner.
    pub const UID: u32 = 1 << 1;
    /// Group.
    pub const GID: u32 = 1 << 2;
    /// Size.
    pub const SIZE: u32 = 1 << 3;
    /// Last access.
    pub const ACCESSED: u32 = 1 << 4;
    /// Last change of contents.
    pub const MODIFIED: u32 = 1 << 5;
    /// The handle.
    pub const HANDLE: u32 = 1 << 6;
}

/// Flags of OPEN and CREATE: Linux's.
pub mod open {
    /// O_RDONLY
    pub const READ: u32 = 0;
    /// O_WRONLY
    pub const WRITE: u32 = 1;
    /// O_RDWR
    pub const READ_WRITE: u32 = 2;
    /// O_CREAT
    pub const CREATE: u32 = 0o100;
    /// O_EXCL
    pub const EXCLUSIVE: u32 = 0o200;
    /// O_APPEND
    pub const APPEND: u32 = 0o2000;
    /// O_DIRECTORY
    pub const DIRECTORY: u32 = 0o200_000;
}

/// What SETLK and GETLK speak of.
pub mod lock {
    /// F_RDLCK: a shared lock.
    pub const READ: u32 = 0;
    /// F_WRLCK: an exclusive lock.
    pub const WRITE: u32 = 1;
    /// F_UNLCK: none.
    pub const NONE: u32 = 2;
    /// FUSE_LK_FLOCK: a lock of `flock`.
    pub const WHOLE: u32 = 1;
    /// Bytes of `fuse_lk_out`.
    pub const ANSWER: usize = 24;
}

/// RENAME2: fail if the new name exists.
pub const RENAME_NO_REPLACE: u32 = 1;
/// RENAME2: both take each other's place.
pub const RENAME_EXCHANGE: u32 = 2;
/// FSYNC: only what is needed to read the data back.
pub const SYNC_DATA: u32 = 1;

/// Words of `fuse_attr`.
pub const ATTRIBUTES_WORDS: usize = 11;
/// The largest size of a file, as in Linux: whatever is counted from it is no negative number.
const LARGEST: u64 = i64::MAX.cast_unsigned();
/// Words of `fuse_entry_out`: 5, and the attributes.
pub const ENTRY_WORDS: usize = 16;
/// Bytes of `fuse_entry_out`.
pub const ENTRY: usize = 8 * ENTRY_WORDS;
/// Words of `fuse_attr_out`: 2, and the attributes.
pub const ATTRIBUTES_REPLY_WORDS: usize = 13;
/// Bytes of `fuse_attr_out`.
pub const ATTRIBUTES_REPLY: usize = 8 * ATTRIBUTES_REPLY_WORDS;
/// Bytes of `fuse_open_out`.
pub const OPENED: usize = 16;
/// Bytes of `fuse_write_out`.
pub const WRITTEN: usize = 8;
/// Bytes of `fuse_kstatfs`.
pub const STATUS: usize = 80;
/// Bytes of `fuse_init_out`.
pub const INITIALIZED: usize = 64;
/// Bytes of a directory entry before its name: inode u64, next position u64, name length u32, type u32.
pub const ENTRY_HEADER: usize = 24;

/// A word of two numbers.
#[must_use]
pub fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// The lower number of a word.
#[must_use]
pub fn low(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The upper number of a word.
#[must_use]
pub fn high(word: u64) -> u32 {
    low(word >> 32)
}

/// A file's attributes as the host sent them (`fuse_attr`), taken apart only when asked for.
///
/// ```text
/// 0 inode | 1 size | 2 blocks | 3 atime | 4 mtime | 5 ctime | 6 atime ns, mtime ns | 7 ctime ns, mode
/// 8 links, uid | 9 gid, device | 10 block size, flags
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub [[u8; 8]; ATTRIBUTES_WORDS]);

impl Attributes {
    fn word(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// What is known of a file whose kind alone is known.
    #[must_use]
    pub fn of_kind(kind: FileKind) -> Self {
        let mut words = [[0; 8]; ATTRIBUTES_WORDS];
        words[7] = pair(0, kind as u32).to_le_bytes();
        Self(words)
    }

    /// `st_ino`
    #[must_use]
    pub fn number(&self) -> u64 {
        self.word(0)
    }

    /// `st_mode`
    #[must_use]
    pub fn mode(&self) -> u32 {
        high(self.word(7))
    }

    /// Number of names.
    #[must_use]
    pub fn links(&self) -> u32 {
        low(self.word(8))
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.word(1).min(LARGEST)
    }

    /// Notes that the file is this long now.
    pub fn set_size(&mut self, size: u64) {
        self.0[1] = size.to_le_bytes();
    }

    /// What differs if somebody changed the contents.
    #[must_use]
    pub fn version(&self) -> [u64; 3] {
        [self.word(1), self.word(4), u64::from(high(self.word(6)))]
    }

    /// As the kernel wants it.
    #[must_use]
    pub fn metadata(&self, device: u64, kind: FileKind) -> Metadata {
        let words = self.0.map(u64::from_le_bytes);
        let time = |seconds: u64, nanoseconds| Timestamp { seconds: seconds.cast_signed(), nanoseconds };
        Metadata {
            device,
            inode: words[0],
            kind,
            permissions: self.mode() & 0o7777,
            links: low(words[8]),
            uid: high(words[8]),
            gid: low(words[9]),
            represented_device: u64::from(high(words[9])),
            size: words[1].min(LARGEST),
            block_size: low(words[10]),
            blocks: words[2],
            accessed: time(words[3], low(words[6])),
            modified: time(words[4], high(words[6])),
            changed: time(words[5], low(words[7])),
        }
    }
}
