//! How many connections there are, and were, for whoever watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a proxy.
#[derive(Debug, Default)]
pub struct Connections {
    opened: AtomicU64,
    open: AtomicU64,
}

/// A connection that counts as open for as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Connections>);

impl Connections {
    /// One more.
    pub(crate) fn open(self: &Arc<Self>) -> Counted {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }

    /// How many there ever were, and how many there are.
    #[must_use]
    pub fn count(&self) -> (u64, u64) {
        (self.opened.load(Ordering::Relaxed), self.open.load(Ordering::Relaxed))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_is_not_open() {
        let connections = Arc::new(Connections::default());
        let (one, other) = (connections.open(), connections.open());
        drop(one);
        assert_eq!(connections.count(), (2, 1));
        drop(other);
        assert_eq!(connections.count(), (2, 0));
    }
}
