//! The block device: requests that a driver makes, and those that only an enemy makes.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use septum_devices::core::Fault;
use septum_devices::virtio::block::{Block, Disk};

use crate::driver::{Driver, EVENT_INDEX};
use crate::machine::{HIGH_RAM, Machine};
use crate::virtqueue::{Range, Virtqueue, readable, writable};

pub const TYPE: u32 = 2;
const SECTORS: u64 = 64;
const RO: u64 = 1 << 5;
const FLUSH: u64 = 1 << 9;

const OK: u8 = 0;
const ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// A disk of `SECTORS` sectors, and its file.
pub fn disk(is_read_only: bool) -> (Disk, File) {
    let mut file = tempfile::tempfile().unwrap();
    for sector in 0..SECTORS {
        file.write_all(&[sector as u8; 512]).unwrap();
    }
    let disk = Disk::new(file.try_clone().unwrap(), is_read_only, b"story").unwrap();
    (disk, file)
}

fn machine(is_read_only: bool) -> (Machine, File) {
    let machine = Machine::new();
    let (disk, file) = disk(is_read_only);
    machine.bus.add_virtio(Box::new(Block::new(disk, machine.thread.handle()))).unwrap();
    (machine, file)
}

fn start(machine: &Machine, features: u64) -> (Driver<'_>, Virtqueue<'_>) {
    let mut driver = Driver::probe(machine, TYPE);
    driver.begin(features);
    let queue = driver.queue(0, 16);
    driver.finish();
    (driver, queue)
}

/// Makes a request and returns its status.
fn ask(machine: &Machine, queue: &mut Virtqueue<'_>, kind: u32, sector: u64, data: &[Range]) -> u8 {
    let mut header = kind.to_le_bytes().to_vec();
    header.extend([0; 4]);
    header.extend(sector.to_le_bytes());
    let header = machine.place(&header);
    let status = machine.place(&[0xee]);
    let mut ranges = vec![readable(header, 16)];
    ranges.extend_from_slice(data);
    ranges.push(writable(status, 1));
    assert!(queue.request(&ranges) >= 1, "the status at least was written");
    machine.load(status, 1)[0]
}

fn range(sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    let mut bytes = sector.to_le_bytes().to_vec();
    bytes.extend(sectors.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes
}

#[test]
fn a_driver_that_rings_only_when_it_is_asked_to_is_asked() {
    let (machine, _file) = machine(false);
    let (_driver, mut queue) = start(&machine, FLUSH | EVENT_INDEX);
    let place = machine.allocate(512);
    for sector in 0..40 {
        assert_eq!(ask(&machine, &mut queue, 0, sector, &[writable(place, 512)]), OK);
        assert_eq!(machine.load(place, 1), [sector as u8]);
    }
}

#[test]
fn sectors_are_read_and_written_where_they_are() {
    let (machine, file) = machine(false);
    let (driver, mut queue) = start(&machine, FLUSH);
    let capacity: [u8; 8] = machine.read(driver.config);
    assert_eq!(u64::from_le_bytes(capacity), SECTORS);
    let (one, two) = (machine.allocate(512), machine.allocate(1024));
    assert_eq!(ask(&machine, &mut queue, 0, 5, &[writable(one, 512), writable(two, 1024)]), OK);
    assert_eq!(machine.load(one, 512), [5; 512]);
    assert_eq!(machine.load(two + 512, 512), [7; 512]);
    let data = machine.place(&[0xaa; 512]);
    assert_eq!(ask(&machine, &mut queue, 1, SECTORS - 1, &[readable(data, 512)]), OK);
    assert_eq!(ask(&machine, &mut queue, 4, 0, &[]), OK);
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, (SECTORS - 1) * 512).unwrap();
    assert_eq!(sector, [0xaa; 512]);
    let name = machine.allocate(20);
    assert_eq!(ask(&machine, &mut queue, 8, 0, &[writable(name, 20)]), OK);
    assert_eq!(&machine.load(name, 6), b"story\0");
    assert_eq!(machine.bus.misbehaviour()[0].total(), 0);
}

#[test]
fn ranges_are_discarded_and_zeroed() {
    let (machine, file) = machine(false);
    let (_driver, mut queue) = start(&machine, FLUSH | 1 << 13 | 1 << 14);
    for (kind, sector, flags) in [(11, 8, 0), (13, 16, 0), (13, 24, 1)] {
        let ranges = machine.place(&[range(sector, 4, flags), range(sector + 6, 1, flags)].concat());
        assert_eq!(ask(&machine, &mut queue, kind, 0, &[readable(ranges, 32)]), OK, "{kind}");
        let mut bytes = [1; 8 * 512];
        file.read_exact_at(&mut bytes, sector * 512).unwrap();
        let is_zero = |from: usize, to: usize| bytes[from * 512..to * 512].iter().all(|&byte| byte == 0);
        assert!(is_zero(0, 4) && is_zero(6, 7), "{kind}");
        assert!(!is_zero(4, 5) && !is_zero(7, 8), "{kind}");
    }
    for (range, expected) in [
        (range(SECTORS, 1, 0), ERROR),
        (range(u64::MAX, 1, 0), ERROR),
        (range(0, u32::MAX, 0), ERROR),
        (range(0, 1, 2), UNSUPPORTED),
        (vec![0; 15], ERROR),
        (Vec::new(), ERROR),
    ] {
        let at = machine.place(&[&range[..], &[0]].concat());
        let data: &[Range] = if range.is_empty() { &[] } else { &[readable(at, range.len())] };
        assert_eq!(ask(&machine, &mut queue, 13, 0, data), expected, "{range:?}");
    }
    let many = machine.place(&[0; 16 * 17]);
    assert_eq!(ask(&machine, &mut queue, 11, 0, &[readable(many, 16 * 17)]), ERROR);
}

#[test]
fn what_the_disk_does_not_have_is_an_error() {
    let (machine, file) = machine(false);
    let (_driver, mut queue) = start(&machine, FLUSH);
    let memory = machine.allocate(4096);
    for (kind, sector, len) in [
        (0, SECTORS, 512),
        (0, SECTORS - 1, 1024),
        (0, u64::MAX, 512),
        (0, u64::MAX / 512, 512),
        (0, 0, 511),
        (0, 0, 513),
    ] {
        assert_eq!(ask(&machine, &mut queue, kind, sector, &[writable(memory, len)]), ERROR, "{sector}");
    }
    assert_eq!(ask(&machine, &mut queue, 1, SECTORS, &[readable(memory, 512)]), ERROR);
    assert_eq!(ask(&machine, &mut queue, 1, 0, &[readable(memory, 100)]), ERROR);
    assert_eq!(ask(&machine, &mut queue, 77, 0, &[]), UNSUPPORTED);
    // Somebody makes the file shorter.
    file.set_len(512).unwrap();
    assert_eq!(ask(&machine, &mut queue, 0, 2, &[writable(memory, 512)]), ERROR);
    assert_eq!(ask(&machine, &mut queue, 0, 0, &[writable(memory, 512)]), OK);
}

#[test]
fn a_read_only_disk_stays_as_it_is() {
    let (machine, file) = machine(true);
    let (driver, mut queue) = start(&machine, FLUSH | RO);
    assert_ne!(driver.offered_features() & RO, 0);
    let data = machine.place(&[0xaa; 512]);
    assert_eq!(ask(&machine, &mut queue, 1, 3, &[readable(data, 512)]), ERROR);
    let ranges = machine.place(&range(3, 1, 0));
    for kind in [11, 13] {
        assert_eq!(ask(&machine, &mut queue, kind, 0, &[readable(ranges, 16)]), ERROR);
    }
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, 3 * 512).unwrap();
    assert_eq!(sector, [3; 512]);
}

#[test]
fn chains_that_are_no_requests_are_counted() {
    let (machine, _file) = machine(false);
    let (_driver, mut queue) = start(&machine, FLUSH);
    let memory = machine.allocate(512);
    for ranges in [
        &[readable(memory, 16)][..],
        &[writable(memory, 1)],
        &[readable(memory, 8), writable(memory, 1)],
        &[readable(memory, 16), writable(HIGH_RAM.end - 1, 512), writable(memory, 1)],
        &[readable(0x8000_0000, 16), writable(memory, 1)],
    ] {
        assert_eq!(queue.request(ranges), 0);
    }
    assert_eq!(machine.bus.misbehaviour()[0].of(Fault::Chain), 5);
    assert_eq!(ask(&machine, &mut queue, 0, 0, &[writable(memory, 512)]), OK);
}

#[test]
fn what_can_be_no_disk_is_refused() {
    let kind = |file: File| Disk::new(file, false, b"").err().unwrap().kind();
    let short = tempfile::tempfile().unwrap();
    short.set_len(511).unwrap();
    assert_eq!(kind(short), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(kind(File::open("/dev/zero").unwrap()), std::io::ErrorKind::InvalidInput);
    assert_eq!(kind(File::open("/").unwrap()), std::io::ErrorKind::InvalidInput);
}
