//! `/sys`: what programs read there to learn how many CPUs, which caches and how much memory they have; and which [`disks`].
//!
//! Every CPU that the program is told of is a core of its own in one package, all memory is one node. Caches are those that the CPU tells
//! (CPUID), the first two levels a core's own. What nobody needs is not there; `/sys/fs/cgroup` is a place where nothing is mounted.

use super::disks;
use super::facts::{Cache, CacheKind, System};
use super::system::{Body, Item, Names, Way, cpu_list, cpu_mask, directory, file};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use septum_guest_hal::frame;

pub(super) const fn part(name: &'static [u8], make: fn(&dyn System, Way) -> Vec<u8>) -> Item {
    Item { name, body: Body::Part(make) }
}

/// What is in `/sys`.
pub static ITEMS: &[Item] = &[
    directory(b"block", &[disks::links(Names::Device, b"../devices/virtual/block/")]),
    directory(b"bus", &[directory(b"pci", &[directory(b"devices", &[])])]),
    directory(
        b"class",
        &[directory(b"block", &[disks::links(Names::Device, b"../../devices/virtual/block/")])],
    ),
    directory(
        b"dev",
        &[directory(b"block", &[disks::links(Names::Number, b"../../devices/virtual/block/")])],
    ),
    directory(
        b"devices",
        &[
            directory(b"system", &[directory(b"cpu", CPU), directory(b"node", NODE)]),
            directory(b"virtual", &[directory(b"block", &[disks::ALL])]),
        ],
    ),
    directory(b"firmware", &[]),
    directory(b"fs", &[directory(b"cgroup", &[])]),
    directory(b"kernel", &[directory(b"mm", MM)]),
    directory(b"module", &[]),
];

const CPU: &[Item] = &[
    file(b"online", all),
    file(b"possible", all),
    file(b"present", all),
    file(b"offline", |_| b"\n".to_vec()),
    file(b"isolated", |_| b"\n".to_vec()),
    file(b"kernel_max", |_| b"8191\n".to_vec()),
    directory(
        b"smt",
        &[file(b"active", |_| b"0\n".to_vec()), file(b"control", |_| b"notsupported\n".to_vec())],
    ),
    Item { name: b"cpu", body: Body::Each(|system| system.cpus(), ONE_CPU) },
];

const ONE_CPU: &[Item] = &[
    directory(b"topology", TOPOLOGY),
    directory(b"cache", &[Item { name: b"index", body: Body::Each(cache_count, CACHE) }]),
];

const TOPOLOGY: &[Item] = &[
    part(b"core_id", own_number),
    file(b"physical_package_id", |_| b"0\n".to_vec()),
    file(b"die_id", |_| b"0\n".to_vec()),
    part(b"cluster_id", own_number),
    part(b"thread_siblings", own_mask),
    part(b"thread_siblings_list", own_number),
    part(b"core_cpus", own_mask),
    part(b"core_cpus_list", own_number),
    file(b"core_siblings", all_mask),
    file(b"core_siblings_list", all),
    file(b"package_cpus", all_mask),
    file(b"package_cpus_list", all),
    file(b"die_cpus", all_mask),
    file(b"die_cpus_list", all),
];

const CACHE: &[Item] = &[
    part(b"level", |system, way| number(cache(system, way).level)),
    part(b"type", |system, way| {
        let kind = match cache(system, way).kind {
            CacheKind::Data => "Data",
            CacheKind::Instruction => "Instruction",
            CacheKind::Unified => "Unified",
        };
        line(kind.into())
    }),
    part(b"id", |system, way| number(if cache(system, way).level < 3 { u32::from(way[0]) } else { 0 })),
    part(b"size", |system, way| line(format!("{}K", cache(system, way).bytes() / 1024))),
    part(b"coherency_line_size", |system, way| number(cache(system, way).line_bytes)),
    part(b"number_of_sets", |system, way| number(cache(system, way).sets)),
    part(b"ways_of_associativity", |system, way| number(cache(system, way).ways)),
    part(b"physical_line_partition", |system, way| number(cache(system, way).partitions)),
    part(b"shared_cpu_list", |system, way| {
        if cache(system, way).level < 3 { own_number(system, way) } else { all(system) }
    }),
    part(b"shared_cpu_map", |system, way| {
        if cache(system, way).level < 3 { own_mask(system, way) } else { all_mask(system) }
    }),
];

const NODE: &[Item] = &[
    file(b"online", |_| b"0\n".to_vec()),
    file(b"possible", |_| b"0\n".to_vec()),
    file(b"has_cpu", |_| b"0\n".to_vec()),
    file(b"has_memory", |_| b"0\n".to_vec()),
    file(b"has_normal_memory", |_| b"0\n".to_vec()),
    directory(
        b"node0",
        &[
            file(b"cpulist", all),
            file(b"cpumap", all_mask),
            file(b"distance", |_| b"10\n".to_vec()),
            file(b"meminfo", |_| node_memory()),
        ],
    ),
];

const MM: &[Item] = &[
    directory(
        b"transparent_hugepage",
        &[
            // The kernel uses 2 MiB pages wherever they fit, unless it is told not to.
            file(b"enabled", |_| b"[always] madvise never\n".to_vec()),
            file(b"defrag", |_| b"always defer defer+madvise madvise [never]\n".to_vec()),
            file(b"shmem_enabled", |_| b"always within_size advise [never] deny force\n".to_vec()),
            file(b"hpage_pmd_size", |_| b"2097152\n".to_vec()),
            file(b"use_zero_page", |_| b"0\n".to_vec()),
        ],
    ),
    directory(
        b"hugepages",
        &[directory(
            b"hugepages-2048kB",
            &[
                file(b"nr_hugepages", |_| b"0\n".to_vec()),
                file(b"free_hugepages", |_| b"0\n".to_vec()),
                file(b"resv_hugepages", |_| b"0\n".to_vec()),
                file(b"surplus_hugepages", |_| b"0\n".to_vec()),
                file(b"nr_overcommit_hugepages", |_| b"0\n".to_vec()),
            ],
        )],
    ),
];

pub(super) fn line(mut text: String) -> Vec<u8> {
    text.push('\n');
    text.into_bytes()
}

fn number(value: u32) -> Vec<u8> {
    line(format!("{value}"))
}

fn all(system: &dyn System) -> Vec<u8> {
    cpu_list(system.cpus()).into_bytes()
}

fn all_mask(system: &dyn System) -> Vec<u8> {
    cpu_mask(system.cpus(), 0, system.cpus()).into_bytes()
}

fn own_number(_: &dyn System, way: Way) -> Vec<u8> {
    number(u32::from(way[0]))
}

fn own_mask(system: &dyn System, way: Way) -> Vec<u8> {
    let own = u32::from(way[0]);
    cpu_mask(system.cpus(), own, own + 1).into_bytes()
}

fn cache_count(system: &dyn System) -> u32 {
    u32::try_from(system.caches().len()).unwrap_or(0)
}

fn cache(system: &dyn System, way: Way) -> Cache {
    system.caches().get(usize::from(way[1])).copied().unwrap_or_default()
}

fn node_memory() -> Vec<u8> {
    let usage = frame::usage();
    let kib = |frames: u64| frames * 4;
    let (total, used) = (kib(usage.total), kib(usage.used));
    let mut text = String::new();
    for (name, value) in [("MemTotal", total), ("MemFree", total.saturating_sub(used)), ("MemUsed", used)] {
        let _ = writeln!(text, "Node 0 {:<15}{value:>8} kB", format!("{name}:"));
    }
    text.into_bytes()
}
