//! An open directory.

use super::fuse::{self, Opcode};
use super::handle::Handle;
use super::node::Node;
use super::session::Data;
use crate::platform;
use crate::virtio::segment;
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{DirectoryEntry, File, FileKind};
use septum_guest_hal::frame::Frame;

/// Longest name.
const NAME_LIMIT: usize = 255;

/// An open directory.
pub struct Directory {
    node: Arc<Node>,
    handle: Arc<Handle>,
}

/// An entry in a reply to READDIR.
struct Entry {
    inode: u64,
    next: u64,
    name_len: usize,
    kind: u32,
}

impl Directory {
    pub(super) fn new(node: Arc<Node>, handle: Arc<Handle>) -> Self {
        Self { node, handle }
    }

    /// Has the host list entries from position `from` on; returns the bytes it stored.
    fn list(&self, from: u64, frame: &Frame) -> Result<usize, Errno> {
        let mut exchange = self.node.volume.session.begin(Opcode::ReadDirectory, self.node.id)?;
        let len = u32::try_from(PAGE_SIZE).map_err(|_| Errno::EIO)?;
        exchange.words([self.handle.number, from, fuse::pair(len, 0), 0, 0]);
        Ok(exchange.call(0, Data::In(&[segment::of_frame(frame, 0, PAGE_SIZE)]))?.min(PAGE_SIZE))
    }
}

/// The header of the entry at `at`, if it and its name lie before `end`.
fn entry(frame: &Frame, at: usize, end: usize) -> Option<Entry> {
    let mut header = [0; fuse::ENTRY_HEADER];
    if at + header.len() > end {
        return None;
    }
    frame.read(at, &mut header);
    let word = |index: usize| header.get(8 * index..8 * index + 8)?.try_into().ok().map(u64::from_le_bytes);
    let name_len = usize::try_from(fuse::low(word(2)?)).ok()?;
    let is_sane = name_len > 0 && name_len <= NAME_LIMIT && at + header.len() + name_len <= end;
    is_sane.then_some(Entry { inode: word(0)?, next: word(1)?, name_len, kind: fuse::high(word(2)?) })
}

impl File for Directory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_directory(
        &self,
        from: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let frame = platform::new_frame().ok_or(Errno::ENOMEM)?;
        let mut name = [0; NAME_LIMIT];
        let mut position = from;
        loop {
            let end = self.list(position, &frame)?;
            let mut at = 0;
            while let Some(Entry { inode, next, name_len, kind }) = entry(&frame, at, end) {
                let Some(name) = name.get_mut(..name_len) else { return Err(Errno::EIO) };
                frame.read(at + fuse::ENTRY_HEADER, name);
                at = (at + fuse::ENTRY_HEADER + name_len).next_multiple_of(8);
                position = next;
                if matches!(*name, [b'.'] | [b'.', b'.']) || name.contains(&b'/') || name.contains(&0) {
                    continue;
                }
                let kind = match FileKind::from_mode(kind << 12) {
                    Some(kind) => kind,
                    None => match self.node.find(name) {
                        Ok(node) => node.kind,
                        Err(_) => continue,
                    },
                };
                if !emit(DirectoryEntry { name, inode, kind, next }) {
                    return Ok(());
                }
            }
            if at == 0 {
                // Nothing, or nothing that makes sense.
                return if end == 0 { Ok(()) } else { Err(Errno::EIO) };
            }
        }
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        self.node.sync(Opcode::SyncDirectory, &self.handle, data_only)
    }
}
