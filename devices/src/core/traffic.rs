//! What goes through a device, as numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one device. Shared by its rings and whoever reads them.
#[derive(Debug)]
pub struct Traffic {
    device: &'static str,
    requests: AtomicU64,
    from_guest_bytes: AtomicU64,
    to_guest_bytes: AtomicU64,
}

/// What was counted at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCount {
    /// Buffers given back to the guest.
    pub requests: u64,
    /// Bytes in the parts of buffers that the guest filled, headers of requests included.
    pub from_guest_bytes: u64,
    /// Bytes in the parts of buffers that the device filled, headers of answers included.
    pub to_guest_bytes: u64,
}

impl Traffic {
    /// Zeroed counters.
    #[must_use]
    pub const fn new(device: &'static str) -> Self {
        let zero = AtomicU64::new(0);
        Self {
            device,
            requests: zero,
            from_guest_bytes: AtomicU64::new(0),
            to_guest_bytes: AtomicU64::new(0),
        }
    }

    /// A buffer was taken that holds so many bytes of the guest's.
    pub(crate) fn taken(&self, bytes: u64) {
        self.from_guest_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A buffer was given back with so many bytes for the guest.
    pub(crate) fn given(&self, bytes: u32) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.to_guest_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
    }

    /// The device that these counters belong to.
    #[must_use]
    pub fn device(&self) -> &'static str {
        self.device
    }

    /// What is counted so far.
    #[must_use]
    pub fn count(&self) -> TrafficCount {
        TrafficCount {
            requests: self.requests.load(Ordering::Relaxed),
            from_guest_bytes: self.from_guest_bytes.load(Ordering::Relaxed),
            to_guest_bytes: self.to_guest_bytes.load(Ordering::Relaxed),
        }
    }
}
