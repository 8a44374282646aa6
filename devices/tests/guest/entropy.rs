//! The entropy device, and with it everything that all devices share.

use septum_devices::virtio::entropy::Entropy;

use crate::driver::{Driver, EVENT_INDEX, INDIRECT_DESCRIPTORS};
use crate::machine::{HIGH_RAM, Machine};
use crate::virtqueue::{INDIRECT, readable, writable};

pub const TYPE: u32 = 4;

fn machine_with_entropy(machine: Machine) -> Machine {
    machine.bus.add_virtio(Box::new(Entropy::new(machine.thread.handle()).unwrap())).unwrap();
    machine
}

pub fn machine() -> Machine {
    machine_with_entropy(Machine::new())
}

#[test]
fn buffers_come_back_filled_and_with_an_interrupt() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    driver.finish();
    for round in 1..=20 {
        let buffer = machine.place(&[0; 64]);
        assert_eq!(queue.request(&[writable(buffer, 64)]), 64);
        assert_ne!(machine.load(buffer, 64), [0; 64]);
        machine.interrupts.wait(Driver::vector_of(0), round);
    }
    assert_eq!(machine.bus.misbehaviour()[0].total(), 0);
}

#[test]
fn event_index_and_indirect_descriptors_work() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(EVENT_INDEX | INDIRECT_DESCRIPTORS);
    let mut queue = driver.queue(0, 4);
    driver.finish();
    for _ in 0..100 {
        let buffer = machine.place(&[0; 64]);
        assert_eq!(queue.request(&[writable(buffer, 10), writable(HIGH_RAM.start, 20)]), 30);
    }
    let buffer = machine.allocate(64);
    let mut table = buffer.to_le_bytes().to_vec();
    table.extend(64_u32.to_le_bytes());
    table.extend(2_u32.to_le_bytes());
    let table = machine.place(&table);
    queue.write_descriptor(0, table, 16, INDIRECT, 0);
    queue.make_available(0);
    queue.kick();
    assert_eq!(queue.wait_used(), (0, 64));
    assert_ne!(machine.load(buffer, 64), [0; 64]);
}

#[test]
fn doorbells_work_without_registration() {
    let machine = machine_with_entropy(Machine::without_doorbells());
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    driver.finish();
    let buffer = machine.allocate(16);
    assert_eq!(queue.request(&[writable(buffer, 16)]), 16);
}

#[test]
fn a_driver_that_polls_is_not_interrupted() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    queue.set_interrupt_suppression(true);
    driver.finish();
    let buffer = machine.allocate(16);
    queue.request(&[writable(buffer, 16)]);
    queue.set_interrupt_suppression(false);
    queue.request(&[writable(buffer, 16)]);
    machine.interrupts.wait(Driver::vector_of(0), 1);
    assert_eq!(machine.interrupts.count(Driver::vector_of(0)), 1);
}

#[test]
fn buffers_outside_memory_and_without_room_come_back_empty() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    driver.finish();
    let buffer = machine.allocate(16);
    let broken = [
        writable(0x8000_0000, 16),
        writable(u64::MAX - 4, 16),
        writable(HIGH_RAM.end - 4, 8),
        readable(buffer, 16),
        writable(buffer, 0),
    ];
    for (count, range) in (1..).zip(broken) {
        assert_eq!(queue.request(&[range]), 0);
        assert_eq!(machine.bus.misbehaviour()[0].total(), count);
    }
    assert_eq!(queue.request(&[writable(buffer, 16)]), 16);
}
