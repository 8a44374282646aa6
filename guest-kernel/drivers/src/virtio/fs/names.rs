//! Looking up, making, moving and removing names in a directory.

use super::fuse::{self, Opcode, open};
use super::handle::Handle;
use super::listing::entries;
use super::node::Node;
use super::session::{ARGUMENTS_LIMIT, Data, Exchange};
use crate::platform;
use crate::virtio::segment;
use alloc::sync::Arc;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{
    Access, Create, FileKind, Inode as _, InodeRef, Metadata, Ownership, SetMetadata,
};

/// S_ISGID of a directory: its files belong to its group.
const SET_GROUP: u32 = 0o2000;

impl Node {
    fn need_directory(&self) -> Result<(), Errno> {
        if self.kind == FileKind::Directory { Ok(()) } else { Err(Errno::ENOTDIR) }
    }

    fn begin_in_directory(&self, opcode: Opcode) -> Result<Exchange<'_>, Errno> {
        self.need_directory()?;
        self.volume.session.begin(opcode, self.id)
    }

    /// The node that the reply to a request about `name` tells of.
    fn adopt(&self, name: &[u8], reply: &Exchange<'_>) -> Result<Arc<Self>, Errno> {
        let (node, deadline) = self.volume.node_of_entry(&self.tree, reply)?;
        if !self.tree.is_immutable() {
            self.entries.lock().set(name, &node, deadline);
        }
        Ok(node)
    }

    /// The entry `name`.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<Self>, Errno> {
        self.need_directory()?;
        if !self.tree.is_immutable()
            && let Some(known) = self.entries.lock().get(name, |deadline| self.volume.is_over(deadline))
        {
            known.set_fresh(false);
            return Ok(known);
        }
        if let Some(listing) = self.listing()
            && !entries(&listing).any(|entry| entry.name == name)
        {
            return Err(Errno::ENOENT);
        }
        let mut exchange = self.begin_in_directory(Opcode::Lookup)?;
        exchange.name(name)?;
        exchange.call(fuse::ENTRY, Data::None)?;
        self.adopt(name, &exchange)
    }

    /// Makes the entry `name`.
    pub(super) fn make(
        &self,
        name: &[u8],
        what: Create<'_>,
        ownership: Ownership,
    ) -> Result<Arc<Self>, Errno> {
        self.entries.lock().remove(name);
        let node = match what {
            Create::File => self.make_file(name, ownership.permissions),
            Create::Directory => {
                let mut exchange = self.begin_in_directory(Opcode::MakeDirectory)?;
                exchange.words([fuse::pair(ownership.permissions, 0)]);
                exchange.name(name)?;
                exchange.call(fuse::ENTRY, Data::None)?;
                self.adopt(name, &exchange)
            }
            Create::Symlink(target) => self.make_symlink(name, target),
            Create::Node { kind, device } => self.make_node(
                name,
                kind as u32 | ownership.permissions,
                u32::try_from(device).map_err(|_| Errno::EINVAL)?,
            ),
        }?;
        self.outdate();
        self.give(&node, ownership)?;
        Ok(node)
    }

    /// A new file belongs to whom the host made it for, which is who started the partition. Makes it the program's, if that has
    /// become somebody else; where the host does not allow it, it stays as it is.
    fn give(&self, node: &Self, ownership: Ownership) -> Result<(), Errno> {
        let Metadata { uid, gid, .. } = node.metadata()?;
        if (uid, gid) == (ownership.uid, ownership.gid) {
            return Ok(());
        }
        let has_own_group = self.metadata()?.permissions & SET_GROUP == 0;
        let changes = SetMetadata {
            uid: (uid != ownership.uid).then_some(ownership.uid),
            gid: (has_own_group && gid != ownership.gid).then_some(ownership.gid),
            ..SetMetadata::default()
        };
        match node.set_metadata(&changes) {
            // EINVAL: in the worker's user namespace there is no such user.
            Err(Errno::EPERM | Errno::EINVAL) => Ok(()),
            result => result,
        }
    }

    /// Makes and opens a file in one go: its permissions may forbid to open it later.
    fn make_file(&self, name: &[u8], permissions: u32) -> Result<Arc<Self>, Errno> {
        let mode = FileKind::Regular as u32 | permissions;
        if self.volume.limits.no_open {
            return self.make_node(name, mode, 0);
        }
        let mut exchange = self.begin_in_directory(Opcode::Create)?;
        exchange.words([fuse::pair(open::READ_WRITE | open::CREATE | open::EXCLUSIVE, mode), 0]);
        exchange.name(name)?;
        match exchange.call(fuse::ENTRY + fuse::OPENED, Data::None) {
            Err(Errno::ENOSYS) => {
                drop(exchange);
                return self.make_node(name, mode, 0);
            }
            result => result?,
        };
        let node = self.adopt(name, &exchange)?;
        let [.., number, _flags]: [u64; fuse::ENTRY_WORDS + 2] = exchange.results();
        let access = Access { read: true, write: true };
        node.keep_handle(Handle::new(&node, number, access, false, false));
        Ok(node)
    }

    fn make_node(&self, name: &[u8], mode: u32, device: u32) -> Result<Arc<Self>, Errno> {
        let mut exchange = self.begin_in_directory(Opcode::MakeNode)?;
        exchange.words([fuse::pair(mode, device), 0]);
        exchange.name(name)?;
        exchange.call(fuse::ENTRY, Data::None)?;
        self.adopt(name, &exchange)
    }

    fn make_symlink(&self, name: &[u8], target: &[u8]) -> Result<Arc<Self>, Errno> {
        let mut exchange = self.begin_in_directory(Opcode::Symlink)?;
        exchange.name(name)?;
        if name.len() + target.len() + 2 <= ARGUMENTS_LIMIT {
            exchange.name(target)?;
            exchange.call(fuse::ENTRY, Data::None)?;
        } else {
            if target.len() >= PAGE_SIZE {
                return Err(Errno::ENAMETOOLONG);
            }
            let frame = platform::zeroed_frame().ok_or(Errno::ENOMEM)?;
            frame.write(0, target);
            let text = [segment::of_frame(&frame, 0, target.len() + 1)];
            exchange.call(fuse::ENTRY, Data::Out(&text))?;
        }
        self.adopt(name, &exchange)
    }

    /// Gives `target` the name `name`.
    pub(super) fn make_link(&self, name: &[u8], target: &Self) -> Result<(), Errno> {
        let mut exchange = self.begin_in_directory(Opcode::Link)?;
        exchange.words([target.id]);
        exchange.name(name)?;
        exchange.call(fuse::ENTRY, Data::None)?;
        self.adopt(name, &exchange)?;
        self.outdate();
        Ok(())
    }

    /// Removes a name by UNLINK or RMDIR.
    pub(super) fn remove(&self, opcode: Opcode, name: &[u8]) -> Result<(), Errno> {
        let mut exchange = self.begin_in_directory(opcode)?;
        exchange.name(name)?;
        exchange.call(0, Data::None)?;
        self.forget_entry(name);
        self.outdate();
        Ok(())
    }

    /// Moves `name` to `new_name` of `new_parent`.
    pub(super) fn move_entry(
        &self,
        name: &[u8],
        new_parent: &Self,
        new_name: &[u8],
        keep_existing: bool,
    ) -> Result<(), Errno> {
        let flags = if keep_existing { fuse::RENAME_NO_REPLACE } else { 0 };
        self.ask_to_rename(name, new_parent, new_name, flags)?;
        self.forget_entry(name);
        new_parent.forget_entry(new_name);
        self.outdate();
        new_parent.outdate();
        Ok(())
    }

    /// Has `name` and `new_name` of `new_parent` take each other's place.
    pub(super) fn exchange_entries(
        &self,
        name: &[u8],
        new_parent: &Self,
        new_name: &[u8],
    ) -> Result<(), Errno> {
        self.ask_to_rename(name, new_parent, new_name, fuse::RENAME_EXCHANGE)?;
        for (directory, name) in [(self, name), (new_parent, new_name)] {
            if let Some(node) = directory.entries.lock().remove(name) {
                node.outdate();
            }
            directory.outdate();
        }
        Ok(())
    }

    fn ask_to_rename(
        &self,
        name: &[u8],
        new_parent: &Self,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        let opcode = if flags == 0 { Opcode::Rename } else { Opcode::Rename2 };
        let mut exchange = self.begin_in_directory(opcode)?;
        exchange.words([new_parent.id]);
        if flags != 0 {
            exchange.words([fuse::pair(flags, 0)]);
        }
        exchange.name(name)?;
        exchange.name(new_name)?;
        exchange.call(0, Data::None).map(drop)
    }

    /// Forgets an entry that was changed; the file it named has fewer links now.
    fn forget_entry(&self, name: &[u8]) {
        let node = self.entries.lock().remove(name);
        if let Some(node) = node {
            node.outdate();
            node.note_lost_name();
        }
    }

    /// The node behind an inode, if it is of the same file system and tree.
    pub(super) fn sibling<'a>(&self, inode: &'a InodeRef) -> Result<&'a Self, Errno> {
        let node = inode.as_any().downcast_ref::<Self>().ok_or(Errno::EXDEV)?;
        if Arc::ptr_eq(&node.volume, &self.volume) && node.tree.index == self.tree.index {
            Ok(node)
        } else {
            Err(Errno::EXDEV)
        }
    }
}
