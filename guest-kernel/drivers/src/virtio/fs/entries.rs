//! Entries of a directory that the host allows to be remembered for a while.
//!
//! Only for directories that change on the host: what never changes is remembered by the layer above. So there
//! are few, and a short list that is searched from one end to the other does.

use super::node::Node;
use super::volume::has_passed;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

const LIMIT: usize = 64;

struct Entry {
    name: Box<[u8]>,
    node: Weak<Node>,
    deadline: u64,
}

/// What is known of a directory's entries. Small while that is nothing.
#[derive(Default)]
pub struct Entries(Option<Box<List>>);

#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    /// Which to replace next.
    oldest: usize,
}

impl Entries {
    /// The node of an entry, unless its deadline `is_over`.
    pub fn get(&mut self, name: &[u8], is_over: impl FnOnce(u64) -> bool) -> Option<Arc<Node>> {
        let entries = &mut self.0.as_mut()?.entries;
        let index = entries.iter().position(|entry| *entry.name == *name)?;
        let entry = entries.get(index)?;
        let node = if is_over(entry.deadline) { None } else { entry.node.upgrade() };
        if node.is_none() {
            entries.swap_remove(index);
        }
        node
    }

    /// Remembers an entry until `deadline`.
    pub fn set(&mut self, name: &[u8], node: &Arc<Node>, deadline: u64) {
        if has_passed(deadline) {
            return;
        }
        let entry = Entry { name: name.into(), node: Arc::downgrade(node), deadline };
        let list = self.0.get_or_insert_default();
        if list.entries.len() < LIMIT {
            list.entries.push(entry);
            return;
        }
        list.oldest = (list.oldest + 1) % LIMIT;
        if let Some(old) = list.entries.get_mut(list.oldest) {
            *old = entry;
        }
    }

    /// Forgets an entry, which has changed. Returns its node if it is known.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let entries = &mut self.0.as_mut()?.entries;
        let index = entries.iter().position(|entry| *entry.name == *name)?;
        entries.swap_remove(index).node.upgrade()
    }
}
