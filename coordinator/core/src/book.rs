//! All partitions in memory, in the order in which they were asked for. Pure.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use septum_api_types::v1::PartitionList;

use crate::machine::Partition;

/// Place in the order: when it was asked for, and its identifier.
type Key = (u64, String);

/// See above.
#[derive(Debug, Default)]
pub struct Book {
    pages: BTreeMap<Key, Partition>,
    created: HashMap<String, u64>,
    names: HashMap<String, String>,
}

/// Which partitions are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Names of states, if only those.
    pub states: Vec<String>,
    /// Labels that all must have; without a value, any.
    pub labels: Vec<(String, Option<String>)>,
    /// What their names begin with.
    pub name_prefix: Option<String>,
}

/// Who is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant<'a> {
    /// This one.
    One(&'a Partition),
    /// Nobody.
    None,
    /// Several whose identifiers begin so.
    Several,
}

impl Filter {
    fn lets(&self, partition: &Partition) -> bool {
        let state = partition.state.name();
        let labels = partition.create.as_ref().map(|create| &create.labels);
        let labels = labels.or_else(|| partition.record.as_ref().map(|record| &record.labels));
        let has = |(key, wanted): &(String, Option<String>)| {
            let value = labels.and_then(|labels| labels.get(key));
            value.is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
        };
        let prefix = self.name_prefix.as_deref();
        (self.states.is_empty() || self.states.iter().any(|wanted| wanted == state))
            && self.labels.iter().all(has)
            && prefix
                .is_none_or(|prefix| partition.name.as_deref().is_some_and(|name| name.starts_with(prefix)))
    }
}

impl Book {
    /// The one with this identifier.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Partition> {
        self.pages.get(&(*self.created.get(id)?, id.to_owned()))
    }

    /// Who has a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Partition> {
        self.get(self.names.get(name)?)
    }

    /// The one that a client means: by name, identifier, or the beginning of that.
    #[must_use]
    pub fn meant(&self, wanted: &str) -> Meant<'_> {
        if let Some(found) = self.named(wanted).or_else(|| self.get(wanted)) {
            return Meant::One(found);
        }
        let is_prefix = |partition: &&Partition| !wanted.is_empty() && partition.id.starts_with(wanted);
        let mut matching = self.pages.values().filter(is_prefix);
        match (matching.next(), matching.next()) {
            (None, _) => Meant::None,
            (Some(one), None) => Meant::One(one),
            _ => Meant::Several,
        }
    }

    /// Puts one in, or in its own place.
    pub fn put(&mut self, partition: Partition) {
        let id = partition.id.clone();
        if let Some(name) = &partition.name {
            self.names.insert(name.clone(), id.clone());
        }
        self.created.insert(id.clone(), partition.created_ms);
        self.pages.insert((partition.created_ms, id), partition);
    }

    /// Takes one out.
    pub fn take(&mut self, id: &str) -> Option<Partition> {
        let taken = self.pages.remove(&(self.created.remove(id)?, id.to_owned()))?;
        if let Some(name) = &taken.name
            && self.names.get(name).is_some_and(|owner| owner == id)
        {
            self.names.remove(name);
        }
        Some(taken)
    }

    /// All, in their order.
    pub fn all(&self) -> impl Iterator<Item = &Partition> {
        self.pages.values()
    }

    /// A page of those that the filter lets through, after a cursor. `None` if that is none.
    #[must_use]
    pub fn page(&self, filter: &Filter, cursor: Option<&str>, limit: usize) -> Option<PartitionList> {
        let after = match cursor {
            None => Bound::Unbounded,
            Some(text) => Bound::Excluded(place(text)?),
        };
        let mut rest = self.pages.range((after, Bound::Unbounded)).filter(|(_, it)| filter.lets(it));
        let items: Vec<_> = rest.by_ref().take(limit).collect();
        let next = match (items.last(), rest.next()) {
            (Some(((created, id), _)), Some(_)) => Some(format!("{created}-{id}")),
            _ => None,
        };
        Some(PartitionList { items: items.into_iter().map(|(_, it)| it.view()).collect(), next })
    }
}

/// A cursor, as [`Book::page`] gives them and the API describes them: `^[0-9]{1,19}-[0-9a-f]{12}$`.
fn place(cursor: &str) -> Option<Key> {
    let (created, id) = cursor.split_once('-')?;
    let is_number = (1..=19).contains(&created.len()) && created.bytes().all(|it| it.is_ascii_digit());
    let is_id = id.len() == 12 && id.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    (is_number && is_id).then_some((created.parse().ok()?, id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_a_cursor() {
        assert_eq!(place("17-0123456789ab"), Some((17, "0123456789ab".to_owned())));
        for none in [
            "",
            "-",
            "17-",
            "+7-0123456789ab",
            "17-0123456789AB",
            "17-x",
            "17-0123456789abc",
            "x-0123456789ab",
        ] {
            assert_eq!(place(none), None, "{none}");
        }
        assert!(place(&format!("{}-0123456789ab", "9".repeat(19))).is_some());
        assert_eq!(place(&format!("{}-0123456789ab", "9".repeat(20))), None);
    }
}
