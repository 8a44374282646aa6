//! A guest asks a disk for anything.
//!
//! ```text
//! input   [features] then [kind][sector][flags][length, 2] [contents …]   again and again
//! ```

use std::io::Write as _;

use septum_devices::virtio::block::{Block, Disk};

use super::device;
use crate::bytes::Bytes;
use crate::driver::INDIRECT_DESCRIPTORS;
use crate::machine::Machine;
use crate::virtqueue::{readable, writable};

const TYPE: u32 = 2;
const SECTORS: usize = 64;
const REQUESTS: u32 = 32;
const ROOM: usize = 16384;

pub(super) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[1; SECTORS * 512]).unwrap();
    let disk = Disk::new(file.try_clone().unwrap(), bytes.byte() & 1 == 1, b"fuzz").unwrap();
    let machine = Machine::new();
    machine.bus.add_virtio(Box::new(Block::new(disk, machine.thread.handle()))).unwrap();
    let (driver, mut queues) = device::started(&machine, TYPE, !INDIRECT_DESCRIPTORS, &[(0, 16)]);
    let (header, data, status) = (machine.allocate(16), machine.allocate(ROOM), machine.allocate(1));
    for _ in 0..REQUESTS {
        if bytes.is_empty() {
            break;
        }
        let (kind, sector, flags) = (bytes.byte(), bytes.byte(), bytes.byte());
        let kind = if flags & 1 == 0 { u32::from(kind) } else { bytes.word() };
        let sector = if flags & 2 == 0 { u64::from(sector) } else { bytes.long() };
        let length = usize::from(bytes.half()) % (ROOM + 1);
        machine.store(header, &[kind.to_le_bytes(), [0; 4]].concat());
        machine.store(header + 8, &sector.to_le_bytes());
        let mut ranges =
            vec![readable(header, if flags & 4 == 0 { 16 } else { usize::from(bytes.byte()) % 17 })];
        if flags & 8 == 0 {
            let contents = bytes.take(length);
            machine.store(data, contents);
            ranges.push(readable(data, contents.len()));
        } else {
            ranges.push(writable(data, length));
        }
        if flags & 16 == 0 {
            ranges.push(writable(status, 1));
        }
        ranges.retain(|range| range.length > 0);
        if ranges.is_empty() || !device::ask(&driver, &mut queues[0], &ranges) {
            break;
        }
    }
    assert!(machine.thread.is_running(), "the device's thread died");
    assert_eq!(file.metadata().unwrap().len(), SECTORS as u64 * 512, "the disk has another size");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let range = [3_u64.to_le_bytes().to_vec(), 2_u32.to_le_bytes().to_vec(), vec![0; 4]].concat();
    let some = |kind, flags, length: u16, contents: &[u8]| {
        [&[kind, 3, flags][..], &length.to_le_bytes(), contents].concat()
    };
    let write = some(1, 0, 512, &[9; 512]);
    let rest = [
        some(0, 8, 1024, &[]),
        some(4, 8, 0, &[]),
        some(8, 8, 20, &[]),
        some(11, 0, 16, &range),
        some(13, 0, 16, &range),
    ];
    vec![[vec![0], write.clone(), rest.concat()].concat(), [vec![1], write, rest[0].clone()].concat()]
}
