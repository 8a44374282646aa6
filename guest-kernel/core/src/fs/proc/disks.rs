//! Disks in `/sys`: what `lsblk`, `mkfs` and libraries read there.
//!
//! ```text
//! /sys/devices/virtual/block/vda/ ─┬─ dev  size  ro  uevent …
//!                                  ├─ queue/  sizes of blocks, what the disk can do
//!                                  └─ subsystem ──► /sys/class/block
//! /sys/block/vda  /sys/class/block/vda  /sys/dev/block/254:0   lead there
//! ```
//!
//! There are no partitions on them, and nobody counts their transfers.

use super::hardware::{line, part};
use super::system::{Body, Item, Names, OfDisk, Way, directory, file};
use crate::fs::block::{self, Facts};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The directories of all disks.
pub(super) const ALL: Item = Item { name: b"", body: Body::Disks(Names::Device, OfDisk::Files(FILES)) };

/// Links to them in that directory.
pub(super) const fn links(names: Names, below: &'static [u8]) -> Item {
    Item { name: b"", body: Body::Disks(names, OfDisk::LinkBelow(below)) }
}

const FILES: &[Item] = &[
    part(b"dev", |_, way| {
        let [major, minor] = numbers(way);
        line(format!("{major}:{minor}"))
    }),
    part(b"uevent", |_, way| {
        let [major, minor] = numbers(way);
        let name = name(way);
        line(format!("MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE=disk"))
    }),
    part(b"size", |_, way| number(facts(way).bytes / 512)),
    part(b"ro", |_, way| number(facts(way).is_read_only.into())),
    file(b"removable", |_| b"0\n".to_vec()),
    file(b"hidden", |_| b"0\n".to_vec()),
    file(b"range", |_| b"1\n".to_vec()),
    file(b"ext_range", |_| b"1\n".to_vec()),
    file(b"alignment_offset", |_| b"0\n".to_vec()),
    file(b"discard_alignment", |_| b"0\n".to_vec()),
    directory(b"holders", &[]),
    directory(b"slaves", &[]),
    directory(b"queue", QUEUE),
    Item { name: b"subsystem", body: Body::Link(|_| b"../../../../class/block".to_vec()) },
];

const QUEUE: &[Item] = &[
    part(b"logical_block_size", |_, way| number(facts(way).logical.into())),
    part(b"hw_sector_size", |_, way| number(facts(way).logical.into())),
    part(b"physical_block_size", |_, way| number(facts(way).physical.into())),
    part(b"minimum_io_size", |_, way| number(facts(way).physical.into())),
    file(b"optimal_io_size", |_| b"0\n".to_vec()),
    part(b"discard_granularity", |_, way| number(facts(way).physical.into())),
    file(b"discard_max_bytes", |_| b"2147483136\n".to_vec()),
    file(b"write_zeroes_max_bytes", |_| b"2147483136\n".to_vec()),
    file(b"max_sectors_kb", |_| b"1024\n".to_vec()),
    file(b"rotational", |_| b"0\n".to_vec()),
    file(b"add_random", |_| b"0\n".to_vec()),
    file(b"read_ahead_kb", |_| b"0\n".to_vec()),
    file(b"scheduler", |_| b"[none]\n".to_vec()),
    file(b"write_cache", |_| b"write back\n".to_vec()),
    file(b"zoned", |_| b"none\n".to_vec()),
    file(b"dax", |_| b"0\n".to_vec()),
];

/// The disk that a way leads through.
pub(super) fn index(way: Way) -> u8 {
    u8::try_from(way[0]).unwrap_or(u8::MAX)
}

/// Of one that cannot be brought up: nothing.
fn facts(way: Way) -> Facts {
    block::disk(index(way)).map(|disk| disk.facts()).unwrap_or_default()
}

fn numbers(way: Way) -> [u64; 2] {
    let (_, number) = block::name(index(way));
    [number >> 8, number & 0xff]
}

fn name(way: Way) -> String {
    String::from_utf8_lossy(&block::name(index(way)).0).into_owned()
}

fn number(value: u64) -> Vec<u8> {
    line(format!("{value}"))
}
