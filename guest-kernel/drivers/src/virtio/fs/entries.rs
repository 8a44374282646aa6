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

/// What is known of a directory's entries.
#[derive(Default)]
pub struct Entries {
    list: Vec<Entry>,
    /// Which to replace next.
    oldest: usize,
}

impl Entries {
    /// The node of an entry, if what is known is not out of date.
    pub fn get(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let index = self.list.iter().position(|entry| *entry.name == *name)?;
        let entry = self.list.get(index)?;
        let node = if has_passed(entry.deadline) { None } else { entry.node.upgrade() };
        if node.is_none() {
            self.list.swap_remove(index);
        }
        node
    }

    /// Remembers an entry until `deadline`.
    pub fn set(&mut self, name: &[u8], node: &Arc<Node>, deadline: u64) {
        if has_passed(deadline) {
            return;
        }
        let entry = Entry { name: name.into(), node: Arc::downgrade(node), deadline };
        if self.list.len() < LIMIT {
            self.list.push(entry);
            return;
        }
        self.oldest = (self.oldest + 1) % LIMIT;
        if let Some(old) = self.list.get_mut(self.oldest) {
            *old = entry;
        }
    }

    /// Forgets an entry, which has changed. Returns its node if it is known.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let index = self.list.iter().position(|entry| *entry.name == *name)?;
        self.list.swap_remove(index).node.upgrade()
    }
}
