//! Files without a path: pipes, event counters, and what the host connects to standard input and output.
//!
//! Each is an inode all the same, so that `fstat` works, `/proc/self/fd/N` shows what it is
//! (`pipe:[7]`), and opening that link opens the same file (of a pipe: the end that is asked for).

use super::dentry::Dentry;
use super::descriptors::OpenFile;
use super::inode::{
    Access, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, SetMetadata, Timestamp,
};
use super::mount::Mount;
use super::open::OpenFlags;
use super::pipe::Pipe;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::{Mutex, Once};

/// Device number of the file system that has these inodes.
const DEVICE: u64 = 0xff;
/// PIPEFS_MAGIC, SOCKFS_MAGIC
const PIPE_MAGIC: u64 = 0x5049_5045;
const SOCKET_MAGIC: u64 = 0x534f_434b;

/// The inode of a file that exists only as long as it is open.
struct AnonymousInode {
    number: u64,
    kind: FileKind,
    source: Reopened,
    created: Timestamp,
    /// Permissions, user, group.
    permissions: Mutex<(u32, u32, u32)>,
}

/// What opening the inode once more gives.
enum Reopened {
    /// The same file.
    File(Arc<dyn File>),
    /// Another end. (Holding an end here would keep it open.)
    Pipe(Arc<Pipe>),
}

/// Numbers for inodes that have none.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Inode for AnonymousInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        let (permissions, uid, gid) = *self.permissions.lock();
        let is_device = self.kind == FileKind::CharacterDevice;
        Ok(Metadata {
            device: DEVICE,
            inode: self.number,
            kind: self.kind,
            permissions,
            links: 1,
            uid,
            gid,
            // A character device is a terminal: the first of those in /dev/pts.
            represented_device: if is_device { 136 << 8 } else { 0 },
            size: 0,
            block_size: 4096,
            blocks: 0,
            accessed: self.created,
            modified: self.created,
            changed: self.created,
        })
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        let mut current = self.permissions.lock();
        let (permissions, uid, gid) = *current;
        *current = (
            changes.permissions.unwrap_or(permissions),
            changes.uid.unwrap_or(uid),
            changes.gid.unwrap_or(gid),
        );
        Ok(())
    }

    fn open(&self, _access: Access) -> Result<Arc<dyn File>, Errno> {
        match &self.source {
            Reopened::File(_) if self.kind == FileKind::Socket => Err(Errno::ENXIO),
            Reopened::File(file) => Ok(Arc::clone(file)),
            Reopened::Pipe(_) => Err(Errno::ENXIO),
        }
    }

    fn pipe(&self) -> Option<Arc<Pipe>> {
        match &self.source {
            Reopened::File(_) => None,
            Reopened::Pipe(pipe) => Some(Arc::clone(pipe)),
        }
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        Ok(FileSystemStatus {
            magic: if self.kind == FileKind::Socket { SOCKET_MAGIC } else { PIPE_MAGIC },
            block_size: 4096,
            name_max: 255,
            ..FileSystemStatus::default()
        })
    }
}

/// The mount of all of them.
fn mount() -> Arc<Mount> {
    static MOUNT: Once<Arc<Mount>> = Once::new();
    Arc::clone(MOUNT.call_once(|| Mount::detached("pipefs")))
}

/// A dentry for `inode`, which is nowhere; its "path" is `name`.
#[must_use]
pub fn dentry(name: &[u8], inode: InodeRef) -> Arc<Dentry> {
    Dentry::detached(mount(), name, inode)
}

fn inode(number: u64, kind: FileKind, source: Reopened) -> InodeRef {
    Arc::new(AnonymousInode {
        number,
        kind,
        source,
        created: Timestamp::now(),
        permissions: Mutex::new((if kind == FileKind::Socket { 0o777 } else { 0o600 }, 0, 0)),
    })
}

/// `LABEL:[number]`. Written out by hand: every pipe has such a name, and hardly any is ever read.
fn numbered(label: &[u8], number: u64) -> Vec<u8> {
    let mut name = Vec::with_capacity(32);
    name.extend_from_slice(label);
    name.extend_from_slice(b":[");
    let digits = number.checked_ilog10().unwrap_or(0);
    for digit in (0..=digits).rev() {
        name.extend((number / 10_u64.pow(digit) % 10).to_le_bytes().first().map(|digit| b'0' + digit));
    }
    name.push(b']');
    name
}

/// Opens `file` under the name `LABEL:[number]`. `flags` say the access.
#[must_use]
pub fn open(label: &[u8], kind: FileKind, file: Arc<dyn File>, flags: OpenFlags) -> Arc<OpenFile> {
    let number = next_number();
    let name = numbered(label, number);
    OpenFile::new(dentry(&name, inode(number, kind, Reopened::File(Arc::clone(&file)))), file, flags)
}

/// Opens `file` under a name of its own: what the host connects to standard input may be called `/dev/pts/0`.
#[must_use]
pub fn open_named(name: &[u8], kind: FileKind, file: Arc<dyn File>, flags: OpenFlags) -> Arc<OpenFile> {
    OpenFile::new(dentry(name, inode(next_number(), kind, Reopened::File(Arc::clone(&file)))), file, flags)
}

/// The two ends of a new pipe. `flags` are for both.
#[must_use]
pub fn open_pipe(flags: OpenFlags) -> (Arc<OpenFile>, Arc<OpenFile>) {
    let pipe = Pipe::unnamed();
    let number = next_number();
    let name = numbered(b"pipe", number);
    let (reader, writer) = pipe.ends();
    let place = dentry(&name, inode(number, FileKind::Fifo, Reopened::Pipe(pipe)));
    (
        OpenFile::new(Arc::clone(&place), reader, flags),
        OpenFile::new(place, writer, flags | OpenFlags::WRITE_ONLY),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_hold_the_number() {
        for (number, name) in [(0, "pipe:[0]"), (7, "pipe:[7]"), (10, "pipe:[10]"), (90_210, "pipe:[90210]")]
        {
            assert_eq!(super::numbered(b"pipe", number), name.as_bytes());
        }
    }
}
