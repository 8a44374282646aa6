//! Configuration space and the virtio transport, on the simplest device.

use septum_devices::virtio::entropy::Entropy;
use septum_devices::virtio::{QueueSetup, Setup};

use crate::driver::{
    ACKNOWLEDGE, DRIVER, DRIVER_OK, Driver, FEATURES_OK, NEEDS_RESET, VECTOR_DATA, VERSION_1,
};
use crate::entropy::{TYPE, machine};
use crate::machine::{Machine, WINDOW};
use crate::virtqueue::writable;

#[test]
fn the_bus_shows_its_devices_and_nothing_else() {
    let machine = machine();
    assert_eq!(machine.bus.device_count(), 2);
    assert_eq!(machine.config_read32(0, 0), 0x0008_1b36);
    assert_eq!(machine.config_read32(0, 8), 0x0600_0000);
    assert_eq!(machine.config_read32(1, 0), 0x1044_1af4);
    assert_eq!(machine.config_read32(2, 0), u32::MAX);
    let mut data = [0; 4];
    machine.bus.ecam_read(1 << 20, &mut data);
    assert_eq!(data, [0xff; 4]);
    assert!(!machine.bus.mmio_read(WINDOW.end - 8, &mut data));
    assert!(!machine.bus.mmio_write(WINDOW.start - 8, &data));
}

#[test]
fn legacy_ports_reach_the_same_registers() {
    let machine = machine();
    machine.bus.config_port_write(0xcf8, &(0x8000_0000_u32 | 1 << 11).to_le_bytes());
    let mut data = [0; 4];
    machine.bus.config_port_read(0xcfc, &mut data);
    assert_eq!(u32::from_le_bytes(data), 0x1044_1af4);
    let mut half = [0; 2];
    machine.bus.config_port_read(0xcfe, &mut half);
    assert_eq!(u16::from_le_bytes(half), 0x1044);
    machine.bus.config_port_read(0xcff, &mut half);
    assert_eq!(half, [0xff; 2]);
    machine.bus.config_port_write(0xcf8, &(0x8000_0000_u32 | 1 << 11 | 0x3c).to_le_bytes());
    machine.bus.config_port_write(0xcfc, &[7]);
    assert_eq!(machine.config_read32(1, 0x3c) & 0xff, 7);
}

#[test]
fn a_driver_that_accepts_what_is_not_offered_is_refused() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    for features in [0, VERSION_1 | 1 << 33, VERSION_1 | 1] {
        driver.write8(0x14, 0);
        driver.add_status(ACKNOWLEDGE | DRIVER);
        driver.accept_features(features);
        driver.add_status(FEATURES_OK);
        assert_eq!(driver.status(), ACKNOWLEDGE | DRIVER);
    }
    driver.accept_features(VERSION_1);
    driver.add_status(FEATURES_OK);
    assert_eq!(driver.status() & FEATURES_OK, FEATURES_OK);
}

#[test]
fn status_bits_come_in_order_and_only_reset_clears_them() {
    let machine = machine();
    let driver = Driver::probe(&machine, TYPE);
    driver.write8(0x14, DRIVER_OK);
    assert_eq!(driver.status(), 0);
    driver.write8(0x14, ACKNOWLEDGE | DRIVER);
    driver.write8(0x14, ACKNOWLEDGE);
    assert_eq!(driver.status(), ACKNOWLEDGE | DRIVER);
    driver.write8(0x14, 0);
    assert_eq!(driver.status(), 0);
    assert_eq!(machine.bus.misbehaviour()[0].total(), 2);
}

#[test]
fn queue_registers_keep_to_the_offer() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    assert_eq!(driver.read16(0x12), 1);
    driver.write16(0x16, 1);
    assert_eq!(driver.read16(0x18), 0, "a queue that does not exist has size 0");
    driver.write16(0x16, 0);
    assert_eq!(driver.read16(0x18), 64);
    for size in [0, 3, 128] {
        driver.write16(0x18, size);
        assert_eq!(driver.read16(0x18), 64);
    }
    driver.write16(0x1a, 9);
    assert_eq!(driver.read16(0x1a), 0xffff, "a vector that does not exist");
    driver.write16(0x1a, 1);
    assert_eq!(driver.read16(0x1a), 1);
}

#[test]
fn one_wide_write_sets_neighbouring_registers() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let (descriptors, available, used) = (0x20_0000_u64, 0x20_1000_u64, 0x20_2000_u64);
    machine.write(driver.common + 0x20, &descriptors.to_le_bytes());
    machine.write(driver.common + 0x28, &available.to_le_bytes());
    machine.write(driver.common + 0x30, &used.to_le_bytes());
    // Size 16, vector 1, enable.
    machine.write(driver.common + 0x18, &[16, 0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(driver.read16(0x18), 16);
    assert_eq!(driver.read16(0x1a), 1);
    assert_eq!(driver.read16(0x1c), 1);
    assert_eq!(driver.read32(0x30), 0x20_2000);
    driver.finish();
}

#[test]
fn rings_outside_memory_need_a_reset() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    for register in [0x20, 0x28, 0x30] {
        driver.begin(0);
        driver.queue(0, 8);
        driver.write8(0x14, 0);
        driver.begin(0);
        for (offset, address) in [(0x20, 0x20_0000), (0x28, 0x20_1000), (0x30, 0x20_2000)] {
            driver.write32(offset, if offset == register { 0x8000_0000 } else { address });
        }
        driver.write16(0x1c, 1);
        driver.add_status(DRIVER_OK);
        assert_eq!(driver.status() & NEEDS_RESET, NEEDS_RESET);
    }
    machine.interrupts.wait(VECTOR_DATA, 3);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    driver.finish();
    let buffer = machine.allocate(16);
    assert_eq!(queue.request(&[writable(buffer, 16)]), 16);
}

#[test]
fn a_ring_that_makes_no_sense_stops_the_device_until_reset() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let queue = driver.queue(0, 8);
    driver.finish();
    queue.set_available_index(100);
    queue.force_kick();
    machine.interrupts.wait(VECTOR_DATA, 1);
    assert_eq!(driver.status() & NEEDS_RESET, NEEDS_RESET);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    driver.finish();
    let buffer = machine.allocate(16);
    assert_eq!(queue.request(&[writable(buffer, 16)]), 16);
}

#[test]
fn masked_interrupts_wait() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    driver.finish();
    let buffer = machine.allocate(16);
    let entry = driver.msix_table + 16;
    machine.write(entry + 12, &1_u32.to_le_bytes());
    queue.request(&[writable(buffer, 16)]);
    while machine.read::<8>(driver.msix_pending) == [0; 8] {
        std::thread::yield_now();
    }
    assert_eq!(machine.read::<8>(driver.msix_pending), [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(machine.interrupts.count(Driver::vector_of(0)), 0);
    machine.write(entry + 12, &0_u32.to_le_bytes());
    assert_eq!(machine.interrupts.count(Driver::vector_of(0)), 1);
    driver.set_msix_control(0xc000);
    queue.request(&[writable(buffer, 16)]);
    while machine.read::<8>(driver.msix_pending) == [0; 8] {
        std::thread::yield_now();
    }
    driver.set_msix_control(0x8000);
    assert_eq!(machine.interrupts.count(Driver::vector_of(0)), 2);
}

#[test]
fn doorbells_that_ring_often_are_registered_and_follow_the_bar() {
    let machine = machine();
    let mut before = Driver::probe(&machine, TYPE);
    before.begin(0);
    let mut queue = before.queue(0, 8);
    before.finish();
    let buffer = machine.allocate(16);
    for _ in 0..100 {
        assert_eq!(queue.request(&[writable(buffer, 16)]), 16);
    }
    assert_eq!(machine.kicks.count(), 1);
    machine.config_write(before.device, 0x10, &[0xff; 4]);
    assert_eq!(before.config32(0x10), 0xffff_8004);
    assert_eq!(machine.kicks.count(), 0, "a BAR outside the window is not decoded");
    machine.config_write(before.device, 0x10, &0xd000_0000_u32.to_le_bytes());
    assert_eq!(machine.kicks.count(), 1);
    let mut driver = Driver::probe(&machine, TYPE);
    assert_eq!(driver.common, 0xd000_0000);
    driver.begin(0);
    let mut queue = driver.queue(0, 8);
    driver.finish();
    assert_eq!(queue.request(&[writable(buffer, 16)]), 16);
    assert!(!machine.bus.mmio_write(before.common, &[0]), "the old place is free");
    machine.config_write(driver.device, 0x04, &[0, 0]);
    assert_eq!(machine.kicks.count(), 0);
    assert!(!machine.bus.mmio_write(driver.common, &[0]));
}

#[test]
fn a_device_is_brought_up_without_a_driver() {
    let machine = Machine::new();
    let rings = machine.place(&[0; 4096]);
    let queues = [QueueSetup { index: 0, size: 8, rings: [rings, rings + 128, rings + 256] }];
    let setup = Setup { features: 0, queues: &queues, message: (0xfee0_0000, 0x30) };
    let device = Box::new(Entropy::new(machine.thread.handle()).unwrap());
    let (address, up) = machine.bus.add_ready_virtio(device, &setup).unwrap();
    assert_eq!((address.device(), up.features, up.doorbells.len()), (1, 1 << 32, 1));
    let buffer = machine.place(&[0; 64]);
    let descriptor = [&buffer.to_le_bytes()[..], &64_u32.to_le_bytes(), &[2, 0, 0, 0]].concat();
    machine.store(rings, &descriptor);
    machine.store(rings + 130, &[1, 0]);
    machine.write(up.doorbells[0], &[0, 0]);
    while machine.load(rings + 258, 2) != [1, 0] {
        std::thread::yield_now();
    }
    assert_ne!(machine.load(buffer, 64), [0; 64]);
    let refused = Setup { features: 1 << 20, ..setup };
    let device = Box::new(Entropy::new(machine.thread.handle()).unwrap());
    assert!(machine.bus.add_ready_virtio(device, &refused).is_err(), "a feature that it does not have");
}

#[test]
fn the_window_in_configuration_space_reaches_the_bar() {
    let machine = machine();
    let driver = Driver::probe(&machine, TYPE);
    let at = driver.window_capability;
    let select = |offset: u32, length: u32| {
        machine.config_write(driver.device, at + 4, &[0]);
        machine.config_write(driver.device, at + 8, &offset.to_le_bytes());
        machine.config_write(driver.device, at + 12, &length.to_le_bytes());
    };
    select(0x14, 1);
    machine.config_write(driver.device, at + 16, &[ACKNOWLEDGE]);
    assert_eq!(driver.status(), ACKNOWLEDGE);
    assert_eq!(driver.config32(at + 16) & 0xff, u32::from(ACKNOWLEDGE));
    select(0x12, 2);
    assert_eq!(driver.config32(at + 16) & 0xffff, 1);
    select(0x4000, 4);
    machine.config_write(driver.device, at + 16, &[0; 4]);
    select(0xffff_fffc, 4);
    machine.config_write(driver.device, at + 16, &[0; 4]);
}

#[test]
fn reset_is_complete_when_it_returns() {
    let machine = machine();
    let mut driver = Driver::probe(&machine, TYPE);
    for _ in 0..50 {
        driver.begin(0);
        let mut queue = driver.queue(0, 8);
        driver.finish();
        let buffer = machine.place(&[0; 4096]);
        for _ in 0..8 {
            queue.add(&[writable(buffer, 4096)]);
        }
        queue.kick();
        driver.write8(0x14, 0);
        let after = machine.load(buffer, 4096);
        let used = machine.load(queue.used, 64);
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert_eq!(machine.load(buffer, 4096), after);
        assert_eq!(machine.load(queue.used, 64), used);
    }
}

#[test]
fn the_bus_is_full_at_some_point() {
    let machine = Machine::new();
    for _ in 1..32 {
        machine.bus.add_virtio(Box::new(Entropy::new(machine.thread.handle()).unwrap())).unwrap();
    }
    assert!(machine.bus.add_virtio(Box::new(Entropy::new(machine.thread.handle()).unwrap())).is_err());
    assert_eq!(machine.bus.device_count(), 32);
}
