//! `/dev/pts`: a file for each terminal, while its master is open.

use super::Terminal;
use crate::fs::inode::{
    Access, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, SetMetadata, Timestamp,
};
use crate::fs::listing::{ListedDirectory, Listing};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Device number of this file system.
const DEVICE: u64 = 0xfd;
/// DEVPTS_SUPER_MAGIC
const MAGIC: u64 = 0x1cd1;
/// Major device number of slaves, and the first file's number.
const MAJOR: u64 = 136;
const FIRST: u64 = 3;

/// Device number of the master's device, `/dev/ptmx`.
pub const MASTER: u64 = 0x502;

/// A new view of all terminals.
#[must_use]
pub fn file_system() -> InodeRef {
    Arc::new(Place { number: None, attributes: Mutex::new((0o755, 0, 0)) })
}

/// The directory, or a slave's file.
struct Place {
    number: Option<u32>,
    /// Permissions, user, group.
    attributes: Mutex<(u32, u32, u32)>,
}

/// The file of a slave.
#[must_use]
pub fn slave(number: u32) -> InodeRef {
    /// Group "tty".
    const GROUP: u32 = 5;
    Arc::new(Place { number: Some(number), attributes: Mutex::new((0o620, 0, GROUP)) })
}

/// Device number of a slave, in the layout of `st_rdev`.
#[must_use]
pub fn device(number: u32) -> u64 {
    let minor = u64::from(number);
    MAJOR << 8 | minor & 0xff | (minor & !0xff) << 12
}

impl Inode for Place {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        let (permissions, uid, gid) = *self.attributes.lock();
        let now = Timestamp::now();
        Ok(Metadata {
            device: DEVICE,
            inode: self.number.map_or(1, |number| FIRST + u64::from(number)),
            kind: self.kind(),
            permissions,
            links: if self.number.is_some() { 1 } else { 2 },
            uid,
            gid,
            represented_device: self.number.map_or(0, device),
            size: 0,
            block_size: 1024,
            blocks: 0,
            accessed: now,
            modified: now,
            changed: now,
        })
    }

    fn kind(&self) -> FileKind {
        if self.number.is_some() { FileKind::CharacterDevice } else { FileKind::Directory }
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        let mut attributes = self.attributes.lock();
        let (permissions, uid, gid) = *attributes;
        *attributes = (
            changes.permissions.unwrap_or(permissions),
            changes.uid.unwrap_or(uid),
            changes.gid.unwrap_or(gid),
        );
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if self.number.is_some() {
            return Err(Errno::ENOTDIR);
        }
        let text = core::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        let number: u32 = text.parse().map_err(|_| Errno::ENOENT)?;
        // "+1" and "01" are other names.
        if alloc::format!("{number}").as_bytes() != name {
            return Err(Errno::ENOENT);
        }
        Terminal::find(number).map(|terminal| Arc::clone(&terminal.place)).ok_or(Errno::ENOENT)
    }

    fn may_change_outside(&self) -> bool {
        self.number.is_none()
    }

    fn unlink(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn open(&self, _access: Access) -> Result<Arc<dyn File>, Errno> {
        let Some(number) = self.number else {
            return Ok(Arc::new(ListedDirectory::new(|listing: &mut Listing| {
                let mut names: Vec<u32> = Terminal::numbers();
                names.sort_unstable();
                for number in names {
                    let name = alloc::format!("{number}");
                    listing.push(name.as_bytes(), FIRST + u64::from(number), FileKind::CharacterDevice);
                }
                Ok(())
            })));
        };
        Terminal::find(number).ok_or(Errno::EIO)?.open_slave()
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        Ok(FileSystemStatus { magic: MAGIC, block_size: 4096, name_max: 255, ..FileSystemStatus::default() })
    }
}
