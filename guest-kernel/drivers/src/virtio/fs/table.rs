//! Nodes by number.
//!
//! Open addressing with linear probing, since a lookup must cost few instructions: the host numbers nodes one after
//! the other, so that most are at the place that their number names. Removal moves later entries up; there
//! are no tombstones.

use alloc::vec::Vec;

/// What identifies a node here: its number, and the tree it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The host's number.
    pub node: u64,
    /// The tree.
    pub tree: u32,
}

impl Key {
    fn place(self, mask: usize) -> usize {
        let [.., high] = self.node.to_le_bytes();
        let mixed = self.node ^ u64::from(high) << 8 ^ u64::from(self.tree) << 10;
        usize::try_from(mixed & mask as u64).unwrap_or(0)
    }
}

/// A map from keys to values.
#[derive(Debug)]
pub struct Table<V> {
    /// A power of two, or empty; never full.
    entries: Vec<Option<(Key, V)>>,
    len: usize,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), len: 0 }
    }
}

const SMALLEST: usize = 32;

impl<V> Table<V> {
    fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }

    /// Where `key` is, or the free place where it belongs.
    fn find(&self, key: Key) -> Option<(usize, bool)> {
        let mask = self.mask();
        let mut at = key.place(mask);
        loop {
            match self.entries.get(at)? {
                None => return Some((at, false)),
                Some((found, _)) if *found == key => return Some((at, true)),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&V> {
        let (at, _) = self.find(key)?;
        self.entries.get(at)?.as_ref().map(|(_, value)| value)
    }

    /// Sets the value of `key`.
    pub fn insert(&mut self, key: Key, value: V) {
        if self.len * 4 >= self.entries.len() * 3 {
            self.grow();
        }
        let Some((at, is_there)) = self.find(key) else { return };
        if let Some(entry) = self.entries.get_mut(at) {
            self.len += usize::from(!is_there);
            *entry = Some((key, value));
        }
    }

    fn grow(&mut self) {
        let capacity = (self.entries.len() * 2).max(SMALLEST);
        let mut entries = Vec::with_capacity(capacity);
        entries.resize_with(capacity, || None);
        let old = core::mem::replace(&mut self.entries, entries);
        for (key, value) in old.into_iter().flatten() {
            if let Some((at, _)) = self.find(key)
                && let Some(entry) = self.entries.get_mut(at)
            {
                *entry = Some((key, value));
            }
        }
    }

    /// Removes `key` if its value is `obsolete`.
    pub fn remove_if(&mut self, key: Key, obsolete: impl FnOnce(&V) -> bool) {
        let Some((mut hole, true)) = self.find(key) else { return };
        let is_obsolete =
            self.entries.get(hole).and_then(Option::as_ref).is_some_and(|(_, value)| obsolete(value));
        if !is_obsolete {
            return;
        }
        self.len -= 1;
        let mask = self.mask();
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let Some(Some((other, _))) = self.entries.get(at) else { break };
            // It may move up to the hole unless that is before the place it belongs to.
            let distance_here = at.wrapping_sub(other.place(mask)) & mask;
            let distance_hole = at.wrapping_sub(hole) & mask;
            if distance_here >= distance_hole {
                self.entries.swap(hole, at);
                hole = at;
            }
        }
        if let Some(entry) = self.entries.get_mut(hole) {
            *entry = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Table};
    use std::collections::HashMap;

    #[test]
    fn it_behaves_like_a_map() {
        let (mut table, mut model) = (Table::default(), HashMap::new());
        let mut random = 12345u64;
        for _ in 0..50_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = Key { node: (random >> 33) % 300, tree: u32::try_from((random >> 50) % 3).unwrap() };
            if (random >> 20).is_multiple_of(3) {
                table.remove_if(key, |_| true);
                model.remove(&(key.node, key.tree));
            } else {
                table.insert(key, random);
                model.insert((key.node, key.tree), random);
            }
            assert_eq!(table.get(key), model.get(&(key.node, key.tree)));
        }
        assert_eq!(table.len, model.len());
        for (&(node, tree), value) in &model {
            assert_eq!(table.get(Key { node, tree }), Some(value));
        }
    }

    #[test]
    fn only_what_is_obsolete_is_removed() {
        let mut table = Table::default();
        let key = Key { node: 7, tree: 0 };
        assert_eq!(table.get(key), None);
        table.insert(key, 1);
        table.remove_if(key, |&value| value == 2);
        assert_eq!(table.get(key), Some(&1));
    }
}
