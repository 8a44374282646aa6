//! The balloon: what a guest reports as free is taken back, and nothing else.

use std::io;
use std::sync::{Arc, Mutex};

use septum_devices::core::GuestMemory;
use septum_devices::virtio::balloon::{Balloon, MemoryReclaimer};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemory as _};

use crate::driver::{Driver, INDIRECT_DESCRIPTORS};
use crate::machine::{HIGH_RAM, LOW_RAM, Machine};
use crate::virtqueue::{Range, readable, writable};

const TYPE: u32 = 5;
const PAGE_REPORTING: u64 = 1 << 5;
const PAGE: u64 = 4096;

/// Guest memory that is taken back by writing zeros, and what was taken.
pub struct Ram {
    memory: GuestMemory,
    taken: Mutex<Vec<(u64, u64)>>,
}

impl Ram {
    pub fn new(machine: &Machine) -> Arc<Self> {
        Arc::new(Self { memory: machine.memory.clone(), taken: Mutex::default() })
    }

    fn taken(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

impl MemoryReclaimer for Ram {
    fn reclaim(&self, start: u64, len: u64) -> io::Result<()> {
        let guard = self.memory.memory();
        let size = usize::try_from(len).unwrap();
        let is_whole = len > 0 && start.is_multiple_of(PAGE) && len.is_multiple_of(PAGE);
        if !is_whole || !guard.check_range(GuestAddress(start), size) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The host has a bad day on this page.
        if start == 0xbad000 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        guard.write_slice(&vec![0; size], GuestAddress(start)).unwrap();
        self.taken.lock().unwrap().push((start, len));
        Ok(())
    }
}

fn machine() -> (Machine, Arc<Ram>) {
    let machine = Machine::new();
    let ram = Ram::new(&machine);
    let balloon = Balloon::new(ram.clone(), machine.thread.handle()).unwrap();
    machine.bus.add_virtio(Box::new(balloon)).unwrap();
    (machine, ram)
}

fn pages(address: u64, count: u64) -> Range {
    writable(address, usize::try_from(count * PAGE).unwrap())
}

#[test]
fn reported_memory_is_zero_when_it_comes_back() {
    let (machine, ram) = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(PAGE_REPORTING | INDIRECT_DESCRIPTORS);
    let mut queue = driver.queue(4, 32);
    driver.finish();
    let content = vec![7; 4 * 4096];
    let free = machine.place(&content);
    assert_eq!(queue.request(&[pages(free, 2), pages(HIGH_RAM.start, 1)]), 3 * 4096);
    machine.interrupts.wait(Driver::vector_of(4), 1);
    assert_eq!(ram.taken(), [(free, 2 * PAGE), (HIGH_RAM.start, PAGE)]);
    assert_eq!(machine.load(free, 4 * 4096), [&[0; 2 * 4096][..], &content[2 * 4096..]].concat());
    assert_eq!(machine.bus.misbehaviour()[0].total(), 0);
}

#[test]
fn ranges_that_are_not_free_pages_are_refused_and_claimed_to_hold_nothing() {
    let (machine, ram) = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(PAGE_REPORTING);
    let mut queue = driver.queue(4, 32);
    driver.finish();
    let page = machine.place(&[7; 4096]);
    let broken = [
        writable(page + 1, 4096),
        writable(page, 4095),
        writable(page, 0),
        writable(0x8000_0000, 4096),
        pages(LOW_RAM - PAGE, 2),
        writable(u64::MAX - 4095, 4096),
        readable(page, 4096),
    ];
    for (count, range) in (1..).zip(broken) {
        assert_eq!(queue.request(&[range]), 0);
        assert_eq!(machine.bus.misbehaviour()[0].total(), count);
        assert_eq!(ram.taken(), []);
    }
    assert_eq!(machine.load(page, 4096), [7; 4096]);
    // The host's own failure is no fault of the guest, and claims nothing either.
    assert_eq!(queue.request(&[pages(0xbad000, 1)]), 0);
    assert_eq!(machine.bus.misbehaviour()[0].total(), 7);
    assert_eq!(queue.request(&[pages(page, 1)]), 4096);
}

#[test]
fn inflated_pages_are_taken_and_deflated_ones_are_not() {
    let (machine, ram) = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let (mut inflate, mut deflate) = (driver.queue(0, 16), driver.queue(1, 16));
    driver.finish();
    assert_eq!(machine.read::<8>(driver.config), [0; 8], "no pages are wanted");
    machine.write(driver.config + 4, &3_u32.to_le_bytes());
    assert_eq!(machine.read::<4>(driver.config + 4), 3_u32.to_le_bytes());

    let free = machine.allocate(3 * 4096) / PAGE;
    let list = |numbers: &[u64]| -> Vec<u8> {
        numbers.iter().flat_map(|number| u32::try_from(*number).unwrap().to_le_bytes()).collect()
    };
    let mut send = |numbers: &[u8]| inflate.request(&[readable(machine.place(numbers), numbers.len())]);
    send(&list(&[free, free + 1, free + 2, 5, 4]));
    assert_eq!(ram.taken(), [(free * PAGE, 3 * PAGE), (5 * PAGE, PAGE), (4 * PAGE, PAGE)]);
    send(&list(&[LOW_RAM / PAGE, 4]));
    send(&list(&[u64::from(u32::MAX)]));
    send(&[1, 2, 3]);
    send(&[0; 8192]);
    assert_eq!(machine.bus.misbehaviour()[0].total(), 4);
    assert_eq!(ram.taken(), []);
    let numbers = list(&[free]);
    deflate.request(&[readable(machine.place(&numbers), numbers.len())]);
    assert_eq!((machine.bus.misbehaviour()[0].total(), ram.taken()), (4, vec![]));
}

#[test]
fn queues_that_are_not_offered_do_not_exist() {
    let (machine, _) = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(PAGE_REPORTING);
    for number in [2, 3, 5] {
        assert!(!driver.queue_exists(number));
        // To enable one anyway is misbehaviour without effect.
        driver.write16(0x1c, 1);
        assert_eq!(driver.read16(0x1c), 0);
    }
    assert!(machine.bus.misbehaviour()[0].total() >= 2);
}
