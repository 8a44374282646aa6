//! What all nodes of a file system share: the connection, what the host can do, and the nodes by number.

use super::Tree;
use super::fuse::{self, Attributes, Opcode, init};
use super::node::Node;
use super::session::{Data, Exchange, Session};
use super::table::{Key, Table};
use super::window::Window;
use crate::pci::Place;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::FileKind;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;

/// Most bytes of data in a request, whatever the host would take.
const DATA_LIMIT: usize = 1024 * 1024;
/// Bytes of data in a request that every host takes.
const DATA_LEAST: usize = PAGE_SIZE;

/// Bytes of a file that may have been removed from which on the host is told at once that nobody uses it any more: only then it has the room
/// for others. What is smaller is told together.
const WORTH_TELLING: u64 = 16 << 10;

/// What the host can do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes that a READ or WRITE may move, if its segments fit the queue.
    pub data: usize,
    /// Files need not be opened.
    pub no_open: bool,
    /// Directories need not be opened.
    pub no_open_directory: bool,
}

/// A connection and its nodes.
pub struct Volume {
    /// The connection.
    pub session: Session,
    /// What the host can do.
    pub limits: Limits,
    /// Where the host maps files.
    pub(super) window: Window,
    /// A deadline: whatever was to be believed until then or shorter is not, on the monotonic clock, ns.
    distrusted: AtomicU64,
    /// How often that changed.
    distrusts: AtomicU64,
    nodes: Mutex<Table<Weak<Node>>>,
    /// Nodes with cached pages, or that once had some.
    cached: Mutex<Vec<Weak<Node>>>,
}

/// A time by which something known from the host is out of date, on the monotonic clock, ns.
pub mod deadline {
    /// It already is.
    pub const PAST: u64 = 0;
    /// It never will be.
    pub const NEVER: u64 = u64::MAX;
}

/// For how long the host is believed at most, ns.
const LONGEST_TRUST: u64 = 1_000_000_000;

/// When what the host says is valid for so long is out of date.
fn deadline_after(tree: &Tree, seconds: u64, nanoseconds: u32) -> u64 {
    if tree.is_immutable() {
        return deadline::NEVER;
    }
    let ns = seconds.saturating_mul(1_000_000_000).saturating_add(u64::from(nanoseconds));
    if ns == 0 { deadline::PAST } else { monotonic_ns().saturating_add(ns.min(LONGEST_TRUST)) }
}

/// What the host says of a file.
pub struct Answer {
    pub attributes: Attributes,
    /// When they are out of date.
    pub deadline: u64,
    /// The number of the last change before the host was asked.
    pub asked: u64,
}

/// Whether a deadline has passed.
#[must_use]
pub(super) fn has_passed(deadline: u64) -> bool {
    deadline != deadline::NEVER && (deadline == deadline::PAST || deadline <= monotonic_ns())
}

impl Volume {
    /// Greets the host.
    pub fn connect(session: Session, place: Option<Place>) -> Result<Self, Errno> {
        let limits = {
            let mut exchange = session.begin(Opcode::Init, 0)?;
            let wanted = init::ASYNC_READ
                | init::BIG_WRITES
                | init::NO_OPEN
                | init::NO_OPEN_DIRECTORY
                | init::PARALLEL_DIRECTORY_OPERATIONS
                | init::MAX_PAGES;
            let readahead = u32::try_from(DATA_LIMIT).map_err(|_| Errno::EIO)?;
            exchange.words([fuse::pair(fuse::MAJOR, fuse::MINOR), fuse::pair(readahead, wanted)]);
            exchange.call(fuse::INITIALIZED, Data::None)?;
            // major, minor | readahead, flags | background u16 x 2, max_write | granularity, max_pages u16, alignment u16
            let [version, flags, write, pages] = exchange.results();
            if fuse::low(version) != fuse::MAJOR {
                return Err(Errno::EPROTO);
            }
            let flags = fuse::high(flags);
            let write = usize::try_from(fuse::high(write)).map_err(|_| Errno::EIO)?;
            let pages = usize::try_from(fuse::high(pages) & 0xffff).map_err(|_| Errno::EIO)?;
            let pages = if flags & init::MAX_PAGES == 0 { 32 } else { pages };
            Limits {
                data: DATA_LIMIT.min(write).min(pages * PAGE_SIZE).max(DATA_LEAST),
                no_open: flags & init::NO_OPEN != 0,
                no_open_directory: flags & init::NO_OPEN_DIRECTORY != 0,
            }
        };
        let window = Window::new(place);
        Ok(Self {
            session,
            limits,
            window,
            distrusted: AtomicU64::new(0),
            distrusts: AtomicU64::new(0),
            nodes: Mutex::default(),
            cached: Mutex::default(),
        })
    }

    /// From now on nothing is believed that the host has said of what others change: somebody here has a lock, and others may have changed
    /// anything before they gave it back.
    pub(super) fn distrust(&self) {
        self.distrusted.fetch_max(monotonic_ns().saturating_add(LONGEST_TRUST), Ordering::AcqRel);
        self.distrusts.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that has happened.
    pub(super) fn distrusts(&self) -> u64 {
        self.distrusts.load(Ordering::Acquire)
    }

    /// Whether what is known until a deadline is out of date, by time or by [`distrust`](Self::distrust).
    pub(super) fn is_over(&self, deadline: u64) -> bool {
        has_passed(deadline)
            || (deadline != deadline::NEVER && deadline <= self.distrusted.load(Ordering::Acquire))
    }

    /// The node that a reply with a `fuse_entry_out` names, and when the entry is out of date.
    pub fn node_of_entry(
        self: &Arc<Self>,
        tree: &Arc<Tree>,
        reply: &Exchange<'_>,
    ) -> Result<(Arc<Node>, u64), Errno> {
        let words: [[u8; 8]; fuse::ENTRY_WORDS] = reply.raw_results();
        let [head @ .., _, _, _, _, _, _, _, _, _, _, _] = words;
        let [_, _, _, _, _, attributes @ ..] = words;
        let [node, _generation, entry_seconds, seconds, nanoseconds] = head.map(u64::from_le_bytes);
        if node == 0 {
            return Err(Errno::ENOENT);
        }
        let entry_deadline = deadline_after(tree, entry_seconds, fuse::low(nanoseconds));
        let deadline = deadline_after(tree, seconds, fuse::high(nanoseconds));
        let answer = Answer { attributes: Attributes(attributes), deadline, asked: reply.asked() };
        Ok((self.node(tree, node, 1, &answer)?, entry_deadline))
    }

    /// The attributes in a reply with a `fuse_attr_out`.
    pub fn attributes_of_reply(tree: &Tree, reply: &Exchange<'_>) -> Answer {
        let [seconds, nanoseconds, attributes @ ..]: [[u8; 8]; fuse::ATTRIBUTES_REPLY_WORDS] =
            reply.raw_results();
        let [seconds, nanoseconds] = [seconds, nanoseconds].map(u64::from_le_bytes);
        let deadline = deadline_after(tree, seconds, fuse::low(nanoseconds));
        Answer { attributes: Attributes(attributes), deadline, asked: reply.asked() }
    }

    /// The node with this number, which the host has told of `lookups` more times.
    pub fn node(
        self: &Arc<Self>,
        tree: &Arc<Tree>,
        id: u64,
        lookups: u64,
        answer: &Answer,
    ) -> Result<Arc<Node>, Errno> {
        let attributes = &answer.attributes;
        let Some(kind) = FileKind::from_mode(attributes.mode()) else {
            self.session.forget(id, lookups);
            return Err(Errno::EIO);
        };
        let make =
            |is_listed| Node::new(Arc::clone(self), Arc::clone(tree), id, kind, is_listed, lookups, answer);
        // What never changes and has one name is found once: the layer above remembers it.
        if tree.is_immutable() && (kind == FileKind::Directory || attributes.links() == 1) {
            return Ok(make(false));
        }
        let key = Key { node: id, tree: tree.index };
        let mut nodes = self.nodes.lock();
        let known = nodes.get(key).and_then(Weak::upgrade);
        if let Some(node) = known.as_ref().filter(|node| node.kind == kind) {
            node.add_lookups(lookups);
            drop(nodes);
            node.learn(answer);
            node.set_fresh(lookups > 0);
        } else {
            let node = make(true);
            nodes.insert(key, Arc::downgrade(&node));
            drop(nodes);
            return Ok(node);
        }
        known.ok_or(Errno::EIO)
    }

    /// Forgets a node that nobody refers to.
    pub(super) fn remove(&self, node: &Node, lookups: u64) {
        if node.is_listed {
            let key = Key { node: node.id, tree: node.tree.index };
            self.nodes.lock().remove_if(key, |known| core::ptr::eq(known.as_ptr(), node));
        }
        let may_make_room = node.has_lost_name() && node.last_size() >= WORTH_TELLING;
        match node.id {
            fuse::ROOT => {}
            id if may_make_room => self.session.forget_now(id, lookups),
            id => self.session.forget(id, lookups),
        }
    }

    /// Notes that a node has cached pages.
    pub(super) fn add_cached(&self, node: Weak<Node>) {
        let mut cached = self.cached.lock();
        if cached.len() == cached.capacity() {
            // Before the list grows, those that are gone go.
            cached.retain(|node| node.strong_count() > 0);
        }
        cached.push(node);
    }

    /// Gives up cached pages that nobody maps until `wanted` frames are free, or there are no more. Returns how many are.
    pub fn reclaim(&self, wanted: usize) -> usize {
        let nodes: Vec<_> = {
            let mut cached = self.cached.lock();
            cached.retain(|node| node.strong_count() > 0);
            cached.iter().filter_map(Weak::upgrade).collect()
        };
        let mut freed = 0;
        for node in nodes {
            if freed >= wanted {
                break;
            }
            freed += node.drop_pages();
        }
        freed
    }
}
