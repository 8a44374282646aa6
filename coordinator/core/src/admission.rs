//! Which partitions may start now, and what the others wait for. Pure: it sees all partitions, and what the host gives them.
//!
//! Each partition that lives has its whole memory, its processors and one place of the host's [`Capacity`], however little of it it uses.
//! Those that are [`Pending`](PartitionState::Pending) come in this order:
//!
//! 1. the higher [`Priority`];
//! 2. of one priority, those of the owner who has the smallest share of the host: of memory, processors or places, whichever is the most;
//! 3. of one owner, who has waited longest.
//!
//! Nobody overtakes the first in this order: what ends makes room for that one until it fits, so a large partition is not kept waiting by
//! small ones. Only one that would not fit on an empty host is passed by; it stays, as the next coordinator may be given more.

use std::collections::{BTreeMap, VecDeque};

use septum_api_types::size::Size;
use septum_api_types::spec::DEFAULT_MEMORY_BYTES;
use septum_api_types::v1::{CreatePartition, PartitionState, Priority, Waiting};

use crate::machine::Partition;

/// What the host gives to partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// RAM, in bytes.
    pub memory_bytes: u64,
    /// Processors of partitions, which share those of the host.
    pub cpus: u64,
    /// Partitions that live at once.
    pub partitions: u64,
}

/// What one partition, or several, have of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// RAM, in bytes.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: u64,
    /// Partitions.
    pub partitions: u64,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Who starts, in this order.
    pub starts: Vec<String>,
    /// Who waits, and for what.
    pub waits: BTreeMap<String, Waiting>,
}

impl Load {
    /// What one needs that is to be started.
    #[must_use]
    pub fn wanted(create: &CreatePartition) -> Self {
        let memory = create.memory.as_deref().and_then(|text| text.parse().ok());
        Self {
            memory_bytes: memory.map_or(DEFAULT_MEMORY_BYTES, |Size(bytes)| bytes),
            cpus: create.cpus.unwrap_or(1).into(),
            partitions: 1,
        }
    }

    /// What one has: by its supervisor's word, if there is one.
    fn of(partition: &Partition) -> Self {
        match (&partition.record, &partition.create) {
            (Some(record), _) => {
                Self { memory_bytes: record.memory_bytes, cpus: record.cpus.into(), partitions: 1 }
            }
            (None, Some(create)) => Self::wanted(create),
            (None, None) => Self { partitions: 1, ..Self::default() },
        }
    }

    fn add(&mut self, other: Self) {
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.cpus = self.cpus.saturating_add(other.cpus);
        self.partitions = self.partitions.saturating_add(other.partitions);
    }

    /// What is missing for one more.
    #[must_use]
    pub fn lacks(mut self, more: Self, capacity: &Capacity) -> Option<Waiting> {
        self.add(more);
        if self.memory_bytes > capacity.memory_bytes {
            Some(Waiting::Memory)
        } else if self.cpus > capacity.cpus {
            Some(Waiting::Cpus)
        } else if self.partitions > capacity.partitions {
            Some(Waiting::Places)
        } else {
            None
        }
    }

    /// The largest of its shares, in millionths.
    fn share(&self, capacity: &Capacity) -> u128 {
        let part = |have: u64, all: u64| u128::from(have) * 1_000_000 / u128::from(all.max(1));
        part(self.memory_bytes, capacity.memory_bytes)
            .max(part(self.cpus, capacity.cpus))
            .max(part(self.partitions, capacity.partitions))
    }
}

/// What all that live have together. Those that wait have nothing.
pub fn used<'a>(all: impl Iterator<Item = &'a Partition>) -> Load {
    let mut used = Load::default();
    all.filter(|it| has_place(it)).for_each(|it| used.add(Load::of(it)));
    used
}

fn has_place(partition: &Partition) -> bool {
    partition.state.is_live() && !matches!(partition.state, PartitionState::Pending { .. })
}

/// Who starts, and what the others wait for.
pub fn plan<'a>(capacity: &Capacity, all: impl Iterator<Item = &'a Partition>) -> Plan {
    let (mut plan, mut used) = (Plan::default(), Load::default());
    let mut owners: BTreeMap<&str, Load> = BTreeMap::new();
    let mut waiting = Vec::new();
    for partition in all {
        match partition.state {
            PartitionState::Pending { since_ms, .. } => waiting.push((since_ms, &partition.id, partition)),
            _ if has_place(partition) => {
                used.add(Load::of(partition));
                owners.entry(&partition.owner).or_default().add(Load::of(partition));
            }
            _ => {}
        }
    }
    waiting.sort_by_key(|(since_ms, id, _)| (*since_ms, *id));
    let mut queues: BTreeMap<(Priority, &str), VecDeque<&Partition>> = BTreeMap::new();
    for (_, id, partition) in waiting {
        match Load::default().lacks(Load::of(partition), capacity) {
            Some(_) => drop(plan.waits.insert(id.clone(), Waiting::LargerHost)),
            None => queues.entry((partition.priority(), &partition.owner)).or_default().push_back(partition),
        }
    }
    let share = |owners: &BTreeMap<&str, Load>, owner| owners.get(owner).map_or(0, |it| it.share(capacity));
    while let Some(key) = queues
        .keys()
        .copied()
        .min_by_key(|&(priority, owner)| (std::cmp::Reverse(priority), share(&owners, owner)))
    {
        let Some(first) = queues.get_mut(&key).and_then(VecDeque::pop_front) else {
            queues.remove(&key);
            continue;
        };
        let load = Load::of(first);
        if let Some(lack) = used.lacks(load, capacity) {
            plan.waits.insert(first.id.clone(), lack);
            break;
        }
        used.add(load);
        owners.entry(key.1).or_default().add(load);
        plan.starts.push(first.id.clone());
    }
    let rest = queues.into_values().flatten();
    plan.waits.extend(rest.map(|partition| (partition.id.clone(), Waiting::Turn)));
    plan
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
