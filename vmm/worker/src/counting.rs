//! Telling the supervisor what is counted, while the partition runs.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use septum_api_types::v1::stats::{Connections, Counters, DeviceUse, Latency};
use septum_machine::{Look, Reading};
use septum_netproxy::Connections as Counted;

use crate::protocol::{Count, FromWorker, send};

/// What it takes to tell.
pub(crate) struct Counting {
    pub(crate) socket: Arc<UnixStream>,
    /// If there is a network.
    pub(crate) connections: Option<Arc<Counted>>,
}

impl Counting {
    /// A look at the machine, of which the supervisor hears.
    pub(crate) fn look(&self) -> Look {
        let (socket, connections) = (Arc::clone(&self.socket), self.connections.clone());
        Look(Box::new(move |reading| {
            let count = count(reading, connections.as_deref());
            // If the supervisor is gone, this process is about to be killed.
            let _ = send(&socket, &FromWorker::Counted(Box::new(count)));
        }))
    }
}

fn count(reading: Reading, connections: Option<&Counted>) -> Count {
    let owned = |counts: BTreeMap<&'static str, u64>| {
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    };
    let latency = reading.latencies.into_iter().map(|(class, latency)| {
        (class.to_owned(), Latency { counts: latency.counts.to_vec(), sum_ns: latency.sum_ns })
    });
    let kinds: Vec<&str> = reading.devices.iter().map(|(name, _)| kind_of(name)).collect();
    let devices = reading.devices.iter().enumerate().map(|(at, (name, traffic))| DeviceUse {
        name: numbered(&kinds, at, kind_of(name)),
        requests: traffic.requests,
        read_bytes: traffic.to_guest_bytes,
        written_bytes: traffic.from_guest_bytes,
    });
    let connections = connections.map(|connections| {
        let (opened, open) = connections.count();
        Connections { opened, open }
    });
    let stats = reading.stats;
    Count {
        used_bytes: reading.used_bytes,
        cached_bytes: reading.cached_bytes,
        peak_bytes: stats.guest_peak_bytes,
        counters: Counters {
            vcpus: reading.vcpus,
            syscalls: owned(reading.classes),
            syscalls_by_name: stats.syscalls,
            syscalls_missing: stats.syscalls_missing,
            syscall_latency: latency.collect(),
            page_faults: stats.page_faults,
            interrupts: stats.interrupts,
            halts: stats.halts,
            exits: owned(stats.exits),
            devices: devices.collect(),
            connections,
        },
    }
}

/// `virtio-fs` is `fs`.
fn kind_of(name: &str) -> &str {
    name.strip_prefix("virtio-").unwrap_or(name)
}

/// The name of the device at `at`, with its number if there are several like it.
fn numbered(names: &[&str], at: usize, name: &str) -> String {
    let is_same = |other: &&&str| **other == name;
    if names.iter().filter(is_same).count() < 2 {
        return name.to_owned();
    }
    format!("{name}/{}", names.iter().take(at).filter(is_same).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_of_which_there_are_several_have_numbers() {
        let names = ["console", "block", "fs", "block"];
        let shown: Vec<String> =
            names.iter().enumerate().map(|(at, name)| numbered(&names, at, name)).collect();
        assert_eq!(shown, ["console", "block/0", "fs", "block/1"]);
    }

    #[test]
    fn both_sides_mean_the_same_limits() {
        let of_guest = septum_abi::counters::LATENCY_LIMITS_NS.map(|ns| ns / 1000);
        assert_eq!(of_guest, septum_api_types::v1::stats::LATENCY_LIMITS_US);
    }
}
