//! The kernel's view of a node.

use super::directory::Directory;
use super::file::RegularFile;
use super::fuse::{self, Opcode, set};
use super::node::Node;
use super::session::{Data, RESULTS_LIMIT};
use super::volume::Volume;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{
    Access, Create, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, Ownership, SetMetadata,
    SetWhen, Timestamp,
};
use septum_guest_core::fs::locks::FileNumber;
use septum_guest_core::fs::pipe::Pipe;

impl Inode for Node {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        Ok(self.attributes()?.metadata(self.tree.device, self.kind))
    }

    fn number(&self) -> Result<FileNumber, Errno> {
        // The root's are not known before somebody has asked.
        match self.last_number() {
            0 => self.metadata().map(|metadata| (metadata.device, metadata.inode)),
            known => Ok((self.tree.device, known)),
        }
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        // valid, 0 | handle | size | lock owner | atime | mtime | ctime | atime ns, mtime ns | ctime ns, mode | 0, uid | gid, 0
        let SetMetadata { permissions, uid, gid, size, accessed, modified } = *changes;
        let mask = [
            (permissions.is_some(), set::MODE),
            (uid.is_some(), set::UID),
            (gid.is_some(), set::GID),
            (size.is_some(), set::SIZE),
            (accessed.is_some(), set::ACCESSED),
            (modified.is_some(), set::MODIFIED),
        ];
        let valid = mask.into_iter().filter(|(is_set, _)| *is_set).fold(0, |valid, (_, bit)| valid | bit);
        if valid == 0 {
            return Ok(());
        }
        // Who has the file open for writing may truncate it even if permissions forbid to open it again.
        let handle = size.and_then(|_| self.open_writable());
        let valid = if handle.is_some() { valid | set::HANDLE } else { valid };
        let number = handle.as_ref().map_or(Ok(0), |handle| handle.number())?;
        let (accessed, modified) = (accessed.unwrap_or_default(), modified.unwrap_or_default());
        let seconds = |time: Timestamp| time.seconds.cast_unsigned();
        let mode = permissions.map_or(0, |permissions| self.kind as u32 | permissions & 0o7777);
        let mut exchange = self.volume.session.begin(Opcode::SetAttributes, self.id)?;
        exchange.words([
            fuse::pair(valid, 0),
            number,
            size.unwrap_or(0),
            0,
            seconds(accessed),
            seconds(modified),
            0,
            fuse::pair(accessed.nanoseconds, modified.nanoseconds),
            fuse::pair(0, mode),
            fuse::pair(0, uid.unwrap_or(0)),
            fuse::pair(gid.unwrap_or(0), 0),
        ]);
        let moving = size.and_then(|_| self.moving());
        exchange.call(fuse::ATTRIBUTES_REPLY, Data::None)?;
        if let Some(size) = size {
            self.truncate_pages(size);
        }
        drop(moving);
        let answer = Volume::attributes_of_reply(&self.tree, &exchange);
        drop(exchange);
        self.accept_changed(&answer)
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(self.find(name)?)
    }

    fn create(&self, name: &[u8], what: Create<'_>, ownership: Ownership) -> Result<InodeRef, Errno> {
        Ok(self.make(name, what, ownership)?)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        self.make_link(name, self.sibling(target)?)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.remove(Opcode::Unlink, name)
    }

    fn remove_directory(&self, name: &[u8]) -> Result<(), Errno> {
        self.remove(Opcode::RemoveDirectory, name)
    }

    fn rename(
        &self,
        name: &[u8],
        new_parent: &InodeRef,
        new_name: &[u8],
        keep_existing: bool,
    ) -> Result<(), Errno> {
        self.move_entry(name, self.sibling(new_parent)?, new_name, keep_existing)
    }

    fn exchange(&self, name: &[u8], new_parent: &InodeRef, new_name: &[u8]) -> Result<(), Errno> {
        self.exchange_entries(name, self.sibling(new_parent)?, new_name)
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        if self.kind != FileKind::Symlink {
            return Err(Errno::EINVAL);
        }
        let known = self.state.lock().target.clone();
        if let Some(target) = known {
            return Ok(target.to_vec());
        }
        let mut exchange = self.volume.session.begin(Opcode::ReadLink, self.id)?;
        let len = exchange.call(0, Data::None)?;
        let mut target = alloc::vec![0; len.min(RESULTS_LIMIT)];
        exchange.result_bytes(&mut target);
        drop(exchange);
        if self.tree.is_immutable() {
            self.state.lock().target = Some(Arc::from(&*target));
        }
        Ok(target)
    }

    fn pipe(&self) -> Option<Arc<Pipe>> {
        let is_fifo = self.kind == FileKind::Fifo;
        is_fifo.then(|| Arc::clone(self.state.lock().pipe.get_or_insert_with(Pipe::new)))
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.fetch_attribute(name)
    }

    fn set_extended_attribute(&self, name: &[u8], value: &[u8], when: SetWhen) -> Result<(), Errno> {
        self.store_attribute(name, value, when)
    }

    fn remove_extended_attribute(&self, name: &[u8]) -> Result<(), Errno> {
        self.drop_attribute(name)
    }

    fn extended_attribute_names(&self) -> Result<Vec<u8>, Errno> {
        self.attribute_names()
    }

    fn may_change_outside(&self) -> bool {
        !self.tree.is_immutable()
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno> {
        match self.kind {
            FileKind::Regular => {
                let handle = self.handle(access)?;
                self.revalidate()?;
                Ok(Arc::new(RegularFile::new(self.shared()?, handle, access)))
            }
            FileKind::Directory if access.write => Err(Errno::EISDIR),
            FileKind::Directory => Ok(Arc::new(Directory::open(self.shared()?)?)),
            FileKind::Symlink => Err(Errno::ELOOP),
            // The host must not be made to wait for, or to talk to, whatever is behind these.
            FileKind::Fifo
            | FileKind::Socket
            | FileKind::CharacterDevice
            | FileKind::BlockDevice
            | FileKind::Anonymous => Err(Errno::ENXIO),
        }
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        let mut exchange = self.volume.session.begin(Opcode::StatFs, self.id)?;
        exchange.call(fuse::STATUS, Data::None)?;
        // blocks | free | available | files | free files | block size, name length | fragment size
        let [blocks, _free, blocks_free, files, files_free, block, fragment] = exchange.results();
        let fragment = fuse::low(fragment);
        Ok(FileSystemStatus {
            magic: fuse::SUPER_MAGIC,
            block_size: u64::from(if fragment == 0 { fuse::low(block) } else { fragment }),
            blocks,
            blocks_free,
            files,
            files_free,
            name_max: u64::from(fuse::high(block)),
        })
    }
}
