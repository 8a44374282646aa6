//! An open directory.

use super::fuse::{self, Opcode};
use super::handle::Handle;
use super::listing::{Entry, Gathering, after, entries};
use super::node::Node;
use super::pages::READ;
use super::session::Data;
use crate::platform;
use crate::virtio::segment;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{DirectoryEntry, File, FileKind};
use septum_guest_core::fs::locks::HostLocks;
use septum_guest_hal::sync::Mutex;

/// Listings in a row of which programs may see nothing.
const MOST_SILENT: u32 = 64;

/// An open directory.
pub struct Directory {
    node: Arc<Node>,
    /// What the host has open; nothing where its listing is known.
    handle: Option<Arc<Handle>>,
    seen: Mutex<Seen>,
}

/// What the host has listed.
#[derive(Default)]
struct Seen {
    /// At last: who lists with a small buffer goes on in the middle of it.
    last: Vec<u8>,
    /// From where on.
    start: u64,
    gathering: Gathering,
}

impl Directory {
    pub(super) fn open(node: Arc<Node>) -> Result<Self, Errno> {
        let handle = if node.listing().is_some() { None } else { Some(node.handle(READ)?) };
        Ok(Self { node, handle, seen: Mutex::default() })
    }

    fn handle(&self) -> Result<Arc<Handle>, Errno> {
        self.handle.clone().map_or_else(|| self.node.handle(READ), Ok)
    }

    /// Entries from position `from` on; none at the end.
    fn list(&self, from: u64) -> Result<Vec<u8>, Errno> {
        let mut seen = self.seen.lock();
        // Who begins again wants to see what is new.
        let rest = if from == seen.start && from > 0 { Some(&*seen.last) } else { after(&seen.last, from) };
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            return Ok(rest.to_vec());
        }
        let bytes = self.fetch(from)?;
        let next = entries(&bytes).last().map(|entry| entry.next);
        if !bytes.is_empty() && next.is_none_or(|next| next == from) {
            // Nothing that makes sense.
            return Err(Errno::EIO);
        }
        if self.node.tree.is_immutable() {
            match next {
                Some(next) => seen.gathering.add(from, &bytes, next),
                None => seen.gathering.finish(from).into_iter().for_each(|all| self.node.keep_listing(all)),
            }
        }
        (seen.start, seen.last) = (from, bytes.clone());
        Ok(bytes)
    }

    /// Has the host list them.
    fn fetch(&self, from: u64) -> Result<Vec<u8>, Errno> {
        let frame = platform::new_frame().ok_or(Errno::ENOMEM)?;
        let number = self.handle()?.number_for_reading()?;
        let mut exchange = self.node.volume.session.begin(Opcode::ReadDirectory, self.node.id)?;
        let len = u32::try_from(PAGE_SIZE).map_err(|_| Errno::EIO)?;
        exchange.words([number, from, fuse::pair(len, 0), 0, 0]);
        let len = exchange.call(0, Data::In(&[segment::of_frame(&frame, 0, PAGE_SIZE)]))?.min(PAGE_SIZE);
        let mut bytes = alloc::vec![0; len];
        frame.read(0, &mut bytes);
        Ok(bytes)
    }

    /// Tells of one, if programs may see it. False to stop.
    fn tell(&self, entry: &Entry<'_>, emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool) -> bool {
        if !entry.is_sound() {
            return true;
        }
        let kind = FileKind::from_mode(entry.kind << 12);
        let Some(kind) = kind.or_else(|| self.node.find(entry.name).ok().map(|node| node.kind)) else {
            return true;
        };
        emit(DirectoryEntry { name: entry.name, inode: entry.inode, kind, next: entry.next })
    }
}

impl File for Directory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn host_locks(&self) -> Option<Arc<dyn HostLocks>> {
        self.node.host_locks()
    }

    fn read_directory(
        &self,
        from: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        if let Some(listing) = self.node.listing() {
            let rest = if from == 0 { Some(&*listing) } else { after(&listing, from) };
            let _ = entries(rest.unwrap_or_default()).all(|entry| self.tell(&entry, emit));
            return Ok(());
        }
        let mut position = from;
        let mut silent = 0;
        while silent < MOST_SILENT {
            let bytes = self.list(position)?;
            if bytes.is_empty() {
                return Ok(());
            }
            silent += 1;
            for entry in entries(&bytes) {
                let mut tell = |entry: DirectoryEntry<'_>| {
                    silent = 0;
                    emit(entry)
                };
                if !self.tell(&entry, &mut tell) {
                    return Ok(());
                }
                position = entry.next;
            }
        }
        // It leads in a circle.
        Err(Errno::EIO)
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        self.node.sync(Opcode::SyncDirectory, &*self.handle()?, data_only)
    }
}
