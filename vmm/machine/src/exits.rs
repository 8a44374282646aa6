//! How often the guest came back to the worker, and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a vCPU's thread came out of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It read memory that is a device's.
    MmioRead,
    /// It wrote there.
    MmioWrite,
    /// A command.
    Command,
    /// It wrote to another port.
    PortWrite,
    /// It wrote to its serial port.
    Serial,
    /// It read a port.
    PortRead,
    /// It needs a page that the host lost.
    PageLost,
    /// The thread was told to end.
    Kick,
    /// The thread was interrupted.
    Signal,
    /// It halted, where KVM lets the thread know.
    Halt,
    /// It took a triple fault.
    Shutdown,
    /// KVM could not go on.
    Failed,
    /// KVM refused.
    Error,
    /// Something that no partition asks for.
    Other,
}

impl Reason {
    const ALL: [Self; 14] = [
        Self::MmioRead,
        Self::MmioWrite,
        Self::Command,
        Self::PortWrite,
        Self::Serial,
        Self::PortRead,
        Self::PageLost,
        Self::Kick,
        Self::Signal,
        Self::Halt,
        Self::Shutdown,
        Self::Failed,
        Self::Error,
        Self::Other,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::MmioRead => "mmio_read",
            Self::MmioWrite => "mmio_write",
            Self::Command => "command",
            Self::PortWrite => "port_write",
            Self::Serial => "serial",
            Self::PortRead => "port_read",
            Self::PageLost => "page_lost",
            Self::Kick => "kick",
            Self::Signal => "signal",
            Self::Halt => "halt",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Other => "other",
        }
    }
}

/// Counters of all vCPUs together.
#[derive(Debug, Default)]
pub struct Exits([AtomicU64; Reason::ALL.len()]);

impl Exits {
    /// Counts one.
    pub fn count(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Those that there were, by the names of their reasons.
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        let counts = Reason::ALL.iter().zip(&self.0);
        counts
            .map(|(reason, count)| (reason.name(), count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let exits = Exits::default();
        for (times, reason) in Reason::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| exits.count(reason));
        }
        let counts = exits.by_name();
        assert_eq!(counts.len(), Reason::ALL.len() - 1);
        assert_eq!((counts["mmio_write"], counts["other"]), (1, 13));
    }
}
