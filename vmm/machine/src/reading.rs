//! What a machine has counted at a moment while it runs.
//!
//! The guest's counters are read from its memory, without it. They are its word: whatever it writes there becomes numbers, never more.

use crate::guest::read_boxed;
use crate::outcome::{Latencies, MachineStats};
use crate::report;
use crate::vcpus::Vcpus;
use septum_abi::layout::REPORT;
use septum_abi::report::GuestReport;
use septum_devices::core::TrafficCount;
use septum_memory::Plain;
use std::collections::BTreeMap;

/// See above.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Those counters that there are at the end, too. No times.
    pub stats: MachineStats,
    /// Guest RAM in use.
    pub used_bytes: u64,
    /// Of that, contents of files.
    pub cached_bytes: u64,
    /// System calls by class.
    pub classes: BTreeMap<&'static str, u64>,
    /// How long system calls took.
    pub latencies: Latencies,
    /// vCPUs there are.
    pub vcpus: u64,
    /// What went through each virtio device: its name, and counts.
    pub devices: Vec<(&'static str, TrafficCount)>,
}

/// Looks at a machine. `stats` has what does not change.
pub fn look(vcpus: &Vcpus, mut stats: MachineStats) -> Reading {
    stats.exits = vcpus.exits().by_name();
    let devices = vcpus.bus().pci.traffic();
    let devices = devices.iter().map(|traffic| (traffic.device(), traffic.count())).collect();
    let mut reading = Reading { vcpus: vcpus.count(), devices, ..Reading::default() };
    // The report is RAM.
    if let Ok(of_guest) = read_boxed::<Plain<GuestReport>>(vcpus.ram(), REPORT) {
        let of_guest = &of_guest.0;
        report::count(&mut stats, of_guest);
        reading.used_bytes = report::frames_in_bytes(of_guest.frames_used, stats.guest_limit_bytes);
        reading.cached_bytes = report::frames_in_bytes(of_guest.frames_cached, reading.used_bytes);
        reading.classes = report::classes(of_guest);
        reading.latencies = report::latencies(of_guest);
    }
    Reading { stats, ..reading }
}
