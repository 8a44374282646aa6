//! Guest misbehaviour as numbers.
//!
//! A guest can write anything anywhere. Devices answer with the mildest thing that the specification allows, count
//! the event here, and warn about the first few of them, so that a hostile guest cannot fill the host's log.

use std::sync::atomic::{AtomicU64, Ordering};

/// Ways in which a guest can break the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A register was written with a value, at a time or in a width that it does not have.
    Register,
    /// A virtqueue was enabled with rings outside guest memory, or its indices make no sense.
    Ring,
    /// A descriptor chain points outside guest memory, is too long, or lacks what the request needs.
    Chain,
    /// A request that parses but is not allowed now.
    Request,
}

impl Fault {
    /// Every kind, in counter order.
    pub const ALL: [Self; 4] = [Self::Register, Self::Ring, Self::Chain, Self::Request];

    const fn slot(self) -> usize {
        match self {
            Self::Register => 0,
            Self::Ring => 1,
            Self::Chain => 2,
            Self::Request => 3,
        }
    }
}

/// Warnings per device; later ones are only counted.
const WARNINGS: u64 = 3;

/// Counters of one device. Shared by its registers and its worker.
#[derive(Debug)]
pub struct Misbehaviour {
    device: &'static str,
    counters: [AtomicU64; Fault::ALL.len()],
}

impl Misbehaviour {
    /// Zeroed counters for the device named `device` in the log.
    #[must_use]
    pub const fn new(device: &'static str) -> Self {
        Self { device, counters: [const { AtomicU64::new(0) }; Fault::ALL.len()] }
    }

    /// Counts one `fault`; `what` says for the log what the guest did.
    pub fn count(&self, fault: Fault, what: &str) {
        let before = self.total();
        self.counters[fault.slot()].fetch_add(1, Ordering::Relaxed);
        if before < WARNINGS {
            log::warn!("{}: guest misbehaviour: {what}", self.device);
        }
    }

    /// Faults of this kind since the device was made.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.counters[fault.slot()].load(Ordering::Relaxed)
    }

    /// Faults of all kinds since the device was made.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    /// The device that these counters belong to.
    #[must_use]
    pub fn device(&self) -> &'static str {
        self.device
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_counter() {
        let misbehaviour = Misbehaviour::new("test");
        for (times, fault) in Fault::ALL.into_iter().enumerate() {
            for _ in 0..=times {
                misbehaviour.count(fault, "nothing");
            }
        }
        assert_eq!(Fault::ALL.map(|fault| misbehaviour.of(fault)), [1, 2, 3, 4]);
        assert_eq!(misbehaviour.total(), 10);
    }
}
