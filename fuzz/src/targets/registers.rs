//! A guest writes anything anywhere: configuration space, BARs, rings, doorbells.
//!
//! ```text
//! input   [what][length][address …][value, 8]   again and again
//! ```

use std::io;
use std::sync::Arc;

use septum_devices::virtio::balloon::{Balloon, MemoryReclaimer};
use septum_devices::virtio::block::{Block, Disk};
use septum_devices::virtio::entropy::Entropy;
use septum_devices::virtio::fs::{FileSystem, FsConfig};
use septum_devices::virtio::vsock::Vsock;
use vm_memory::{Bytes as _, GuestAddress, GuestAddressSpace as _};

use super::socket_packets::Echo;
use crate::bytes::Bytes;
use crate::driver::Driver;
use crate::machine::{LOW_RAM, Machine, WINDOW};

const ACCESSES: u32 = 200;
/// Virtio device types, in their order on the bus.
const TYPES: [u32; 5] = [4, 26, 5, 2, 19];
/// Where rings are put when the input wants devices that work.
const RINGS: u64 = 0x10_0000;

struct Nowhere;

impl MemoryReclaimer for Nowhere {
    fn reclaim(&self, _start: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

fn machine() -> (Machine, tempfile::TempDir) {
    let machine = Machine::new();
    let root = tempfile::tempdir().unwrap();
    let thread = || machine.thread.handle();
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 * 512).unwrap();
    let disk = Disk::new(file, false, b"fuzz").unwrap();
    machine.bus.add_virtio(Box::new(Entropy::new(thread()).unwrap())).unwrap();
    machine.bus.add_virtio(Box::new(FileSystem::new(FsConfig::new(root.path()), thread()).unwrap())).unwrap();
    machine.bus.add_virtio(Box::new(Balloon::new(Arc::new(Nowhere), thread()).unwrap())).unwrap();
    machine.bus.add_virtio(Box::new(Block::new(disk, thread()))).unwrap();
    machine.bus.add_virtio(Box::new(Vsock::new(Box::new(Echo::new()), thread()).unwrap())).unwrap();
    (machine, root)
}

/// Brings a device up, and puts its rings where the input writes.
fn start(machine: &Machine, kind: u32) {
    let mut driver = Driver::probe(machine, kind);
    driver.begin(u64::MAX);
    for number in 0..driver.read16(0x12) {
        if driver.queue_exists(number) {
            driver.queue_at(number, 16, RINGS + 0x3000 * u64::from(number));
        }
    }
    driver.finish();
}

pub(super) fn run(input: &[u8]) {
    let (machine, _root) = machine();
    let mut bytes = Bytes::new(input);
    let started = bytes.byte();
    for (index, kind) in TYPES.into_iter().enumerate() {
        if started >> index & 1 == 1 {
            start(&machine, kind);
        }
    }
    let mut read = [0; 8];
    for _ in 0..ACCESSES {
        if bytes.is_empty() {
            break;
        }
        let what = bytes.byte();
        let length = [1, 2, 4, 8][usize::from(bytes.byte() % 4)];
        let device = u64::from(what >> 4) % 6;
        match what & 15 {
            0 => {
                machine.bus.ecam_write(device << 15 | u64::from(bytes.byte()), &bytes.array::<8>()[..length])
            }
            1 => machine.bus.ecam_write(bytes.long(), &bytes.array::<8>()[..length]),
            2 | 3 => {
                let at = WINDOW.start + device * 0x8000 + u64::from(bytes.half() % 0x8000);
                machine.bus.mmio_write(at, &bytes.array::<8>()[..length]);
            }
            4 => {
                machine.bus.mmio_write(bytes.long(), &bytes.array::<8>()[..length]);
            }
            5 => {
                let port = 0xcf8 + u16::from(bytes.byte() % 8);
                machine.bus.config_port_write(port, &bytes.array::<8>()[..length]);
                machine.bus.config_port_read(port, &mut read[..length]);
            }
            6 => {
                machine.bus.mmio_read(
                    WINDOW.start + device * 0x8000 + u64::from(bytes.half() % 0x8000),
                    &mut read[..length],
                );
            }
            7 => machine.bus.ecam_read(bytes.long(), &mut read[..length]),
            8 | 9 => {
                // A doorbell.
                let at = WINDOW.start + device * 0x8000;
                for page in 0..8 {
                    machine.bus.mmio_write(at + 0x1000 * page + 4 * u64::from(what & 1), &[what & 1, 0]);
                }
            }
            _ => {
                // Rings, and memory around the ends of it.
                let base = if what & 1 == 0 { RINGS } else { LOW_RAM - 0x800 };
                let at = base + u64::from(bytes.half() % 0x6000);
                let piece = bytes.take(8 * length);
                let _ = machine.memory.memory().write_slice(piece, GuestAddress(at));
            }
        }
    }
    assert!(machine.thread.is_running(), "the devices' thread died");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let descriptor = |address: u64, length: u32, flags: u16, next: u16| {
        [&address.to_le_bytes()[..], &length.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()]
            .concat()
    };
    // Descriptor 0 of queue 0, the available ring, its index, a doorbell of each device.
    let write = |at: u16, piece: &[u8]| {
        // Pieces have 8, 16, 32 or 64 bytes.
        let length = [8, 16, 32, 64].into_iter().position(|length| piece.len() <= length).unwrap() as u8;
        let mut bytes = vec![10, length];
        bytes.extend(at.to_le_bytes());
        bytes.extend(piece);
        bytes.resize(4 + 8 * (1 << length), 0);
        bytes
    };
    let ring =
        [write(0, &descriptor(0x20_0000, 64, 2, 0)), write(0x1004, &[0; 8]), write(0x1002, &[1, 0])].concat();
    let bells: Vec<u8> = (0..5).flat_map(|device| [device << 4 | 8, 0]).collect();
    (0..5)
        .map(|index| [&[1 << index][..], &ring, &bells].concat())
        .chain([vec![31, 0, 3, 4, 1, 2, 3]])
        .collect()
}
