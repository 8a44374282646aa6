//! A file of the host, as far as the guest knows it.
//!
//! What is known of a file's attributes holds until a deadline that the host sets: for ever in trees that
//! nobody changes. When new attributes tell of other contents than those cached, cached pages follow. Writes
//! of our own change attributes too; after one, the next attributes are taken without suspicion.
//!
//! Locks: `state`, `pages`, `entries` and `units` are held for a few instructions each, never two at a time and never while the
//! host works. `mapping` is: whoever has the host map a part of the file holds it, before `units`.

use super::Tree;
use super::cache::PageCache;
use super::entries::Entries;
use super::fuse::{self, Attributes, Opcode};
use super::handle::Handle;
use super::session::Data;
use super::volume::{Answer, Volume, deadline};
use super::window::{Manner, Units};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{Access, FileKind};
use septum_guest_core::fs::locks::HostLocks;
use septum_guest_core::fs::pipe::Pipe;
use septum_guest_hal::sync::{Mutex, MutexGuard};

/// S_IROTH.
const READ_BY_OTHERS: u32 = 0o4;

/// A file, directory or link of the host.
pub struct Node {
    this: Weak<Self>,
    /// The connection.
    pub volume: Arc<Volume>,
    /// The tree it was found in.
    pub tree: Arc<Tree>,
    /// The host's number.
    pub id: u64,
    /// Its kind.
    pub kind: FileKind,
    /// It is in the volume's table.
    pub(super) is_listed: bool,
    lookups: AtomicU64,
    pub(super) state: Mutex<State>,
    pub(super) pages: Mutex<PageCache>,
    pub(super) entries: Mutex<Entries>,
    /// How it is mapped, once it is.
    pub(super) manner: Manner,
    pub(super) units: Mutex<Units>,
    pub(super) mapping: Mutex<()>,
    /// Held from looking for the end until something is written there.
    pub(super) appending: Mutex<()>,
    /// Held while contents move between the host and cached pages, until those show what the host has. What is read while somebody
    /// writes would be cached as it was before; nobody writes files that never change. Comes before `pages`.
    contents: Mutex<()>,
    /// Programs may change cached pages through mappings: then they are newer than the host's.
    pub(super) is_mapped_writable: AtomicBool,
    /// A name of it was removed or given to another.
    has_lost_name: AtomicBool,
}

pub(super) struct State {
    attributes: Attributes,
    deadline: u64,
    /// The number of our last change.
    changed: u64,
    /// We have written since.
    is_written: bool,
    /// [`Volume::distrusts`] when the attributes came.
    distrusts: u64,
    /// The attributes came with the lookup that led here, and nobody has opened the file since.
    is_fresh: bool,
    /// Target of a link that never changes.
    pub(super) target: Option<Arc<[u8]>>,
    /// All entries of a directory that never changes, once somebody has listed them.
    listing: Option<Arc<[u8]>>,
    /// What a fifo connects to: programs of this partition, never the host's.
    pub(super) pipe: Option<Arc<Pipe>>,
    /// What the host has open, if it ever had anything.
    handles: Option<Box<Handles>>,
}

#[derive(Default)]
struct Handles {
    /// The handle that came with the file's creation, until it is first opened.
    created: Option<Arc<Handle>>,
    /// For reading, writing, both.
    open: [Weak<Handle>; 3],
}

impl Node {
    pub(super) fn new(
        volume: Arc<Volume>,
        tree: Arc<Tree>,
        id: u64,
        kind: FileKind,
        is_listed: bool,
        lookups: u64,
        answer: &Answer,
    ) -> Arc<Self> {
        let distrusts = volume.distrusts();
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            volume,
            tree,
            id,
            kind,
            is_listed,
            lookups: AtomicU64::new(lookups),
            state: Mutex::new(State {
                attributes: answer.attributes,
                deadline: answer.deadline,
                changed: 0,
                is_written: false,
                distrusts,
                is_fresh: lookups > 0,
                target: None,
                listing: None,
                pipe: None,
                handles: None,
            }),
            pages: Mutex::default(),
            entries: Mutex::default(),
            manner: Manner::default(),
            units: Mutex::default(),
            mapping: Mutex::default(),
            appending: Mutex::default(),
            contents: Mutex::default(),
            is_mapped_writable: AtomicBool::new(false),
            has_lost_name: AtomicBool::new(false),
        })
    }

    /// The right to move contents, if that can matter.
    pub(super) fn moving(&self) -> Option<MutexGuard<'_, ()>> {
        (!self.tree.is_immutable()).then(|| self.contents.lock())
    }

    /// Notes that a name of it was removed or given to another.
    pub(super) fn note_lost_name(&self) {
        self.has_lost_name.store(true, Ordering::Relaxed);
    }

    /// Whether that has happened: it may have no name any more.
    pub(super) fn has_lost_name(&self) -> bool {
        self.has_lost_name.load(Ordering::Relaxed)
    }

    /// Itself, not counted.
    pub(super) fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.this)
    }

    /// Itself, counted.
    pub(super) fn shared(&self) -> Result<Arc<Self>, Errno> {
        self.this.upgrade().ok_or(Errno::EIO)
    }

    pub(super) fn add_lookups(&self, count: u64) {
        self.lookups.fetch_add(count, Ordering::Relaxed);
    }

    /// The attributes, if they are not out of date.
    #[must_use]
    pub fn known_attributes(&self) -> Option<Attributes> {
        let state = self.state.lock();
        if self.volume.is_over(state.deadline) { None } else { Some(state.attributes) }
    }

    /// The size that is known, which may be out of date.
    pub(super) fn last_size(&self) -> u64 {
        self.state.lock().attributes.size()
    }

    /// The inode number that is known, which is that of every answer; 0 before the first.
    pub(super) fn last_number(&self) -> u64 {
        self.state.lock().attributes.number()
    }

    /// The locks of the file on the host, unless nobody there changes it.
    pub(super) fn host_locks(&self) -> Option<Arc<dyn HostLocks>> {
        if self.tree.is_immutable() { None } else { Some(self.this.upgrade()? as _) }
    }

    /// The attributes, from the host if what is known is out of date.
    pub fn attributes(&self) -> Result<Attributes, Errno> {
        if let Some(attributes) = self.known_attributes() {
            return Ok(attributes);
        }
        let mut exchange = self.volume.session.begin(Opcode::GetAttributes, self.id)?;
        exchange.words([0, 0]);
        exchange.call(fuse::ATTRIBUTES_REPLY, Data::None)?;
        let answer = Volume::attributes_of_reply(&self.tree, &exchange);
        drop(exchange);
        self.accept(&answer)?;
        Ok(answer.attributes)
    }

    /// Makes sure, in a tree that others change too, that what is cached is what the host has now: whoever opens a file sees what
    /// was written before. The lookup that led to the file has asked already, unless it was spared.
    pub(super) fn revalidate(&self) -> Result<(), Errno> {
        if self.tree.is_immutable() {
            return Ok(());
        }
        {
            let mut state = self.state.lock();
            if core::mem::take(&mut state.is_fresh) && !self.volume.is_over(state.deadline) {
                return Ok(());
            }
            state.deadline = deadline::PAST;
        }
        self.attributes().map(|_| ())
    }

    /// Notes whether attributes have just come with a lookup.
    pub(super) fn set_fresh(&self, is_fresh: bool) {
        self.state.lock().is_fresh = is_fresh;
    }

    /// Takes in attributes that the host sent about this node.
    pub(super) fn accept(&self, answer: &Answer) -> Result<(), Errno> {
        if FileKind::from_mode(answer.attributes.mode()) != Some(self.kind) {
            return Err(Errno::ESTALE);
        }
        self.learn(answer);
        Ok(())
    }

    /// As [`accept`](Self::accept), of the same kind. An answer that may be older than a change of ours says nothing: with it, a
    /// write's end would be forgotten, and the next append land there.
    pub(super) fn learn(&self, answer: &Answer) {
        let Answer { attributes, deadline, asked } = answer;
        let has_changed = {
            let mut state = self.state.lock();
            if state.changed > *asked {
                return;
            }
            // Two changes within a tick of the host's clock look like one; who changed it under a lock may be one of two.
            let distrusts = core::mem::replace(&mut state.distrusts, self.volume.distrusts());
            let has_changed = !self.tree.is_immutable()
                && ((!state.is_written && state.attributes.version() != attributes.version())
                    || distrusts != state.distrusts);
            state.is_written = false;
            state.attributes = *attributes;
            state.deadline = *deadline;
            has_changed
        };
        if has_changed {
            self.refresh_pages();
        }
    }

    /// Has the host asked for the attributes the next time.
    pub(super) fn expire(&self) {
        self.state.lock().deadline = deadline::PAST;
    }

    /// Notes that attributes changed with something that we did.
    pub(super) fn outdate(&self) {
        let mut state = self.state.lock();
        state.changed = self.volume.session.count_change();
        state.deadline = deadline::PAST;
        state.is_written = true;
    }

    /// Takes in attributes that came with a change of ours.
    pub(super) fn accept_changed(&self, answer: &Answer) -> Result<(), Errno> {
        self.state.lock().is_written = true;
        let result = self.accept(answer);
        let mut state = self.state.lock();
        if state.is_written {
            state.deadline = deadline::PAST;
        }
        state.changed = self.volume.session.count_change();
        result
    }

    /// Notes that we have written up to `end`.
    pub(super) fn extend(&self, end: u64) {
        let mut state = self.state.lock();
        state.changed = self.volume.session.count_change();
        let size = state.attributes.size().max(end);
        state.attributes.set_size(size);
        state.deadline = deadline::PAST;
        state.is_written = true;
    }

    /// All entries of the directory, if they are known for good.
    pub(super) fn listing(&self) -> Option<Arc<[u8]>> {
        self.state.lock().listing.clone()
    }

    pub(super) fn keep_listing(&self, listing: Vec<u8>) {
        self.state.lock().listing = Some(listing.into());
    }

    /// A handle for `access`: an open one that allows it, or a new one.
    pub(super) fn handle(&self, access: Access) -> Result<Arc<Handle>, Errno> {
        let place = match (access.read, access.write) {
            (_, false) => 0,
            (false, true) => 1,
            (true, true) => 2,
        };
        {
            let mut state = self.state.lock();
            if let Some(handles) = &mut state.handles {
                if let Some(created) = handles.created.take_if(|created| created.allows(access)) {
                    let [.., both] = &mut handles.open;
                    *both = Arc::downgrade(&created);
                    return Ok(created);
                }
                let open = [place, 2].into_iter().find_map(|place| handles.open.get(place)?.upgrade());
                if let Some(open) = open {
                    return Ok(open);
                }
            }
        }
        let is_directory = self.kind == FileKind::Directory;
        // Who may read it is known, so the host has no reason to refuse later.
        let is_for_all = self.state.lock().attributes.mode() & READ_BY_OTHERS != 0;
        let is_lasting = self.tree.is_immutable() && !access.write;
        let handle = if is_lasting && is_for_all {
            Handle::deferred(self, access, is_directory)
        } else {
            Handle::open(self, access, is_directory)?
        };
        if is_lasting && !is_directory {
            self.tree.kept.add(&handle);
        }
        if let Some(place) = self.state.lock().handles.get_or_insert_default().open.get_mut(place) {
            *place = Arc::downgrade(&handle);
        }
        Ok(handle)
    }

    /// A handle for writing that is open anyway.
    pub(super) fn open_writable(&self) -> Option<Arc<Handle>> {
        let state = self.state.lock();
        let handles = state.handles.as_ref()?;
        let [_, writable, both] = &handles.open;
        handles.created.clone().or_else(|| both.upgrade()).or_else(|| writable.upgrade())
    }

    /// Keeps the handle that came with the file's creation.
    pub(super) fn keep_handle(&self, handle: Handle) {
        self.state.lock().handles.get_or_insert_default().created = Some(Arc::new(handle));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.give_up_units(true);
        self.volume.remove(self, self.lookups.load(Ordering::Relaxed));
    }
}
