//! A machine without vCPUs: guest memory, a bus, recorded interrupts and doorbells.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use septum_devices::core::{DeviceThread, GuestMemory, GuestRegions, HostServices, KickRegistrar, MsiSender};
use septum_devices::pci::PciBus;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};
use vmm_sys_util::eventfd::EventFd;

pub const WINDOW: std::ops::Range<u64> = 0xc000_0000..0xe000_0000;
pub const LOW_RAM: u64 = 16 << 20;
pub const HIGH_RAM: std::ops::Range<u64> = 0x1_0000_0000..0x1_0010_0000;

/// How long a test waits for a device thread.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct Interrupts {
    seen: Mutex<Vec<(u64, u32)>>,
    changed: Condvar,
}

impl Interrupts {
    pub fn count(&self, data: u32) -> usize {
        self.seen.lock().unwrap().iter().filter(|(_, seen)| *seen == data).count()
    }

    /// Waits until interrupts with `data` came `times` times.
    pub fn wait(&self, data: u32, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock().unwrap();
        while seen.iter().filter(|(_, seen)| *seen == data).count() < times {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "interrupt {data:#x} did not come {times} times: {seen:x?}");
            seen = self.changed.wait_timeout(seen, left).unwrap().0;
        }
    }
}

impl MsiSender for Interrupts {
    fn signal(&self, address: u64, data: u32) -> io::Result<()> {
        self.seen.lock().unwrap().push((address, data));
        self.changed.notify_all();
        Ok(())
    }
}

#[derive(Default)]
pub struct Kicks {
    registered: Mutex<HashMap<u64, EventFd>>,
    is_refusing: bool,
}

impl Kicks {
    pub fn count(&self) -> usize {
        self.registered.lock().unwrap().len()
    }

    fn ring(&self, address: u64) -> bool {
        self.registered.lock().unwrap().get(&address).map(|event| event.write(1).unwrap()).is_some()
    }
}

impl KickRegistrar for Kicks {
    fn register(&self, fd: &EventFd, address: u64) -> io::Result<()> {
        if self.is_refusing {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let before = self.registered.lock().unwrap().insert(address, fd.try_clone()?);
        assert!(before.is_none(), "doorbell {address:#x} registered twice");
        Ok(())
    }

    fn unregister(&self, _fd: &EventFd, address: u64) -> io::Result<()> {
        self.registered.lock().unwrap().remove(&address).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }
}

pub struct Machine {
    pub bus: PciBus,
    pub memory: GuestMemory,
    pub interrupts: Arc<Interrupts>,
    pub kicks: Arc<Kicks>,
    pub thread: DeviceThread,
    free: Cell<u64>,
}

impl Machine {
    pub fn new() -> Self {
        Self::with_kicks(Kicks::default())
    }

    /// A machine that has no ioeventfds.
    pub fn without_doorbells() -> Self {
        Self::with_kicks(Kicks { is_refusing: true, ..Kicks::default() })
    }

    fn with_kicks(kicks: Kicks) -> Self {
        let high = usize::try_from(HIGH_RAM.end - HIGH_RAM.start).unwrap();
        let regions = GuestRegions::from_ranges(&[
            (GuestAddress(0), usize::try_from(LOW_RAM).unwrap()),
            (GuestAddress(HIGH_RAM.start), high),
        ])
        .unwrap();
        let memory = GuestMemory::new(regions);
        let (interrupts, kicks) = (Arc::new(Interrupts::default()), Arc::new(kicks));
        let services = HostServices { memory: memory.clone(), msi: interrupts.clone(), kicks: kicks.clone() };
        let thread = DeviceThread::spawn("test-devices").unwrap();
        Self {
            bus: PciBus::new(services, WINDOW),
            memory,
            interrupts,
            kicks,
            thread,
            free: Cell::new(0x10_0000),
        }
    }

    /// Guest memory for `size` bytes, on a page of its own.
    pub fn allocate(&self, size: usize) -> u64 {
        let start = self.free.get();
        self.free.set((start + size as u64).next_multiple_of(4096));
        assert!(self.free.get() <= LOW_RAM, "test out of guest memory");
        start
    }

    /// Guest memory holding `bytes`.
    pub fn place(&self, bytes: &[u8]) -> u64 {
        let address = self.allocate(bytes.len());
        self.memory.memory().write_slice(bytes, GuestAddress(address)).unwrap();
        address
    }

    pub fn store(&self, address: u64, bytes: &[u8]) {
        self.memory.memory().write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub fn load(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory.memory().read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    /// A guest write to a device.
    pub fn write(&self, address: u64, data: &[u8]) {
        if !self.kicks.ring(address) {
            assert!(self.bus.mmio_write(address, data), "nobody owns {address:#x}");
        }
    }

    pub fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut data = [0; N];
        assert!(self.bus.mmio_read(address, &mut data), "nobody owns {address:#x}");
        data
    }

    pub fn config_read32(&self, device: u8, register: u64) -> u32 {
        let mut data = [0; 4];
        self.bus.ecam_read(u64::from(device) << 15 | register, &mut data);
        u32::from_le_bytes(data)
    }

    pub fn config_write(&self, device: u8, register: u64, data: &[u8]) {
        self.bus.ecam_write(u64::from(device) << 15 | register, data);
    }
}
