//! Random guests: registers, rings and requests filled with noise must not stop or crash the host.
//!
//! The seeds are fixed, so a failure can be repeated. Whatever the noise did, a reset makes every device work again.

use std::time::Instant;

use septum_devices::core::Fault;
use septum_devices::virtio::balloon::Balloon;
use septum_devices::virtio::block::Block;
use septum_devices::virtio::console::{Console, ConsolePorts};
use septum_devices::virtio::entropy::Entropy;
use septum_devices::virtio::fs::{FileSystem, FsConfig};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use crate::console::Messages;
use crate::driver::Driver;
use crate::machine::{HIGH_RAM, LOW_RAM, Machine, PATIENCE, WINDOW};
use crate::virtqueue::{INDIRECT, NEXT, Virtqueue, WRITE, writable};

/// A small deterministic generator (xorshift64*).
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A value that is likely to matter: small, a power of two, all ones, or anything.
    pub fn value(&mut self) -> u64 {
        match self.below(5) {
            0 => self.below(16),
            1 => 1 << self.below(64),
            2 => u64::MAX,
            3 => WINDOW.start + self.below(0x2_0000),
            _ => self.next(),
        }
    }

    fn address(&mut self) -> u64 {
        match self.below(6) {
            0 => self.below(LOW_RAM),
            1 => HIGH_RAM.start + self.below(0x10_0000),
            2 => LOW_RAM - self.below(64),
            3 => self.next(),
            4 => u64::MAX - self.below(4096),
            _ => 0x10_0000 + self.below(0x1000),
        }
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

struct Victim {
    machine: Machine,
    _root: tempfile::TempDir,
}

fn victim() -> Victim {
    let machine = Machine::new();
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("file"), "content").unwrap();
    let sink = || Some(std::fs::File::options().write(true).open("/dev/null").unwrap().into());
    let ports = ConsolePorts {
        log: sink(),
        stdin: Some(std::fs::File::open("/dev/zero").unwrap().into()),
        stdout: sink(),
        stderr: sink(),
    };
    let thread = machine.thread.handle();
    let control = std::sync::Arc::new(Messages::default());
    machine.bus.add_virtio(Box::new(Console::new(ports, control, thread.clone()).unwrap())).unwrap();
    machine.bus.add_virtio(Box::new(Entropy::new(thread.clone()).unwrap())).unwrap();
    let config = FsConfig::new(root.path());
    machine.bus.add_virtio(Box::new(FileSystem::new(config, thread.clone()).unwrap())).unwrap();
    let ram = crate::balloon::Ram::new(&machine);
    machine.bus.add_virtio(Box::new(Balloon::new(ram, thread.clone()).unwrap())).unwrap();
    let (disk, _) = crate::block::disk(false);
    machine.bus.add_virtio(Box::new(Block::new(disk, thread))).unwrap();
    Victim { machine, _root: root }
}

impl Victim {
    /// Brings the entropy device up from whatever state and uses it.
    fn assert_works(&self) {
        let machine = &self.machine;
        // The noise may have moved anything: put the BARs back, as firmware would.
        for device in 1..6_u8 {
            let base = WINDOW.start + 0x8000 * u64::from(device - 1);
            machine.config_write(device, 0x04, &[0, 0]);
            machine.config_write(device, 0x10, &base.to_le_bytes());
        }
        for device in 1..6 {
            machine.config_write(device, 0x04, &[6, 0]);
        }
        let mut driver = Driver::probe(machine, 4);
        driver.begin(0);
        // Below what the noise may write to.
        let mut queue = driver.queue_at(0, 8, 0x1000);
        driver.finish();
        machine.memory.memory().write_slice(&[0; 64], GuestAddress(0x8000)).unwrap();
        assert_eq!(queue.request(&[writable(0x8000, 64)]), 64);
        assert_ne!(machine.load(0x8000, 64), [0; 64]);
        driver.write8(0x14, 0);
        assert!(machine.thread.is_running());
    }
}

#[test]
fn random_register_accesses_leave_the_bus_in_working_order() {
    let victim = victim();
    let machine = &victim.machine;
    for seed in 1..=8 {
        let mut noise = Noise(seed);
        for _ in 0..4000 {
            let data = noise.value().to_le_bytes();
            let length = noise.pick(&[1, 2, 4, 8]);
            let data = &data[..length];
            let mut read = [0; 8];
            match noise.below(6) {
                0 => machine.bus.ecam_write(noise.below(5) << 15 | noise.below(0x100), data),
                1 => machine.bus.ecam_write(noise.next(), data),
                2 => {
                    let at = WINDOW.start + noise.below(3) * 0x8000;
                    let offset = match noise.below(3) {
                        0 => noise.below(0x40),
                        1 => noise.below(6) << 12 | noise.below(0x100),
                        _ => noise.below(0x8000),
                    };
                    machine.bus.mmio_write(at + offset, data);
                    machine.bus.mmio_read(at + offset, &mut read[..length]);
                }
                3 => {
                    machine.bus.mmio_write(noise.next(), data);
                    machine.bus.mmio_read(noise.next(), &mut read[..length]);
                }
                4 => {
                    let port = 0xcf8 + noise.below(8) as u16;
                    machine.bus.config_port_write(port, data);
                    machine.bus.config_port_read(port, &mut read[..length]);
                }
                _ => machine.bus.ecam_read(noise.below(5) << 15 | noise.below(0x1000), &mut read[..length]),
            }
        }
        victim.assert_works();
    }
    assert!(machine.bus.misbehaviour().iter().map(|device| device.total()).sum::<u64>() > 100);
}

/// Fills the descriptor table, the available ring and some buffers with plausible nonsense.
fn scribble(noise: &mut Noise, queue: &mut Virtqueue<'_>, machine: &Machine) {
    for index in 0..queue.size {
        let flags = noise.pick(&[0, NEXT, WRITE, NEXT | WRITE, INDIRECT, INDIRECT | NEXT, 0xffff]);
        let length = noise.pick(&[0, 1, 8, 16, 40, 64, 4096, 0x10_0000, u32::MAX]);
        let next = noise.below(u64::from(queue.size) + 2) as u16;
        let address = noise.address();
        queue.write_descriptor(index, address, length, flags, next);
        if flags & INDIRECT != 0 || noise.below(2) == 0 {
            let mut words = Vec::new();
            for _ in 0..8 {
                // A request header of FUSE or of a disk, or a descriptor of an indirect table.
                let word = if noise.below(2) == 0 { noise.below(60) << 32 | 64 } else { noise.value() };
                words.extend(word.to_le_bytes());
            }
            let _ = machine.memory.memory().write_slice(&words, GuestAddress(address));
        }
    }
    for _ in 0..=noise.below(u64::from(queue.size)) {
        queue.make_available(noise.below(u64::from(queue.size)) as u16);
    }
    if noise.below(20) == 0 {
        queue.set_available_index(noise.next() as u16);
    }
}

#[test]
fn random_rings_are_survived_by_every_device() {
    let victim = victim();
    let machine = &victim.machine;
    for seed in 100..130 {
        let mut noise = Noise(seed);
        for device_type in [2, 3, 4, 5, 26] {
            let mut driver = Driver::probe(machine, device_type);
            driver.begin(noise.next() & (1 << 29 | 1 << 28 | 2));
            let count = driver.read16(0x12);
            let mut queues: Vec<_> = (0..count)
                .filter(|number| driver.queue_exists(*number))
                // The rings lie where the noise writes too.
                .map(|number| driver.queue_at(number, 16, 0x10_0000 + 0x3000 * u64::from(number)))
                .collect();
            driver.finish();
            for _ in 0..20 {
                let index = noise.below(queues.len() as u64) as usize;
                scribble(&mut noise, &mut queues[index], machine);
                queues[index].force_kick();
                if noise.below(4) == 0 {
                    std::thread::yield_now();
                }
            }
            let start = Instant::now();
            driver.write8(0x14, 0);
            assert!(start.elapsed() < PATIENCE, "reset took {:?}", start.elapsed());
            assert_eq!(driver.status(), 0);
        }
        victim.assert_works();
    }
    let chains: u64 = machine.bus.misbehaviour().iter().map(|device| device.of(Fault::Chain)).sum();
    assert!(chains > 100, "{chains}");
}

#[test]
fn random_addresses_of_rings_are_survived() {
    let victim = victim();
    let machine = &victim.machine;
    let mut noise = Noise(7);
    for _ in 0..300 {
        let mut driver = Driver::probe(machine, 4);
        driver.begin(noise.next() & 1 << 29);
        driver.write16(0x18, noise.pick(&[1, 2, 64, 3]));
        for offset in [0x20, 0x28, 0x30] {
            let address = noise.address() & !noise.pick(&[0, 1, 3, 15]);
            machine.write(driver.common + offset, &address.to_le_bytes());
        }
        driver.write16(0x1c, 1);
        driver.add_status(4);
        machine.write(driver.notify, &[0, 0]);
    }
    victim.assert_works();
}
