//! The bus: who is there, and who owns an address.
//!
//! Functions are added before the guest runs (or hot-plugged later) and never removed. Looking one up takes a shared
//! lock for the time of cloning a pointer; the access itself runs under the function's own locks only, so vCPUs that
//! talk to different devices do not meet.
//!
//! BARs are allocated upwards in the machine's window, aligned to their size. A BAR that the guest moved out of the
//! window is not decoded: nothing else on the bus may be shadowed by a device.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use thiserror::Error;

use super::address::PciAddress;
use super::function::PciFunction;
use super::host_bridge::HostBridge;
use crate::core::{HostServices, Misbehaviour, Traffic, lock};
use crate::virtio::{Setup, Up, VirtioDevice, VirtioPciFunction};

/// A device could not be added.
#[derive(Debug, Error)]
pub enum PciError {
    /// All 32 device numbers are taken.
    #[error("the PCI bus is full")]
    BusFull,
    /// No room for another BAR.
    #[error("no room for a BAR of {size:#x} bytes in the PCI memory window")]
    WindowFull {
        /// What was asked for.
        size: u64,
    },
    /// The device asks for more than its registers can describe.
    #[error("the device does not fit its registers")]
    TooLarge,
    /// The device does not do what its driver wants.
    #[error("the device does not agree to its setup")]
    Setup,
    /// The device could not be set up on the host.
    #[error("cannot set up the device")]
    Host(#[from] std::io::Error),
}

/// PCI bus 0 of a partition.
pub struct PciBus {
    services: HostServices,
    window: Range<u64>,
    /// First address of the window that no BAR uses.
    free: Mutex<u64>,
    /// Where large BARs are, above all memory.
    high_window: Range<u64>,
    high_free: Mutex<u64>,
    functions: RwLock<Vec<Arc<dyn PciFunction>>>,
    misbehaviour: Mutex<Vec<Arc<Misbehaviour>>>,
    traffic: Mutex<Vec<Arc<Traffic>>>,
    /// What the guest wrote to port 0xcf8.
    selected: AtomicU32,
}

impl PciBus {
    /// A bus with its host bridge, whose BARs lie in `mmio_window` (guest-physical addresses).
    #[must_use]
    pub fn new(services: HostServices, mmio_window: Range<u64>) -> Self {
        Self {
            services,
            free: Mutex::new(mmio_window.start),
            window: mmio_window,
            high_window: 0..0,
            high_free: Mutex::new(0),
            functions: RwLock::new(vec![Arc::new(HostBridge::new())]),
            misbehaviour: Mutex::new(Vec::new()),
            traffic: Mutex::new(Vec::new()),
            selected: AtomicU32::new(0),
        }
    }

    /// Has another window, for BARs with addresses of 64 bits.
    #[must_use]
    pub fn with_high_window(mut self, window: Range<u64>) -> Self {
        self.high_free = Mutex::new(window.start);
        self.high_window = window;
        self
    }

    /// Adds a virtio device behind the PCI transport, with its BAR assigned and its doorbells registered.
    ///
    /// # Errors
    /// The bus or the window is full, or the device could not be set up on the host.
    pub fn add_virtio(&self, device: Box<dyn VirtioDevice>) -> Result<PciAddress, PciError> {
        self.add_function(Arc::new(self.virtio(device)?))
    }

    fn virtio(&self, device: Box<dyn VirtioDevice>) -> Result<VirtioPciFunction, PciError> {
        let function = VirtioPciFunction::new(device, &self.services, self.window.clone(), |size| {
            self.allocate(size).ok_or(PciError::WindowFull { size })
        })?;
        lock(&self.misbehaviour).push(function.misbehaviour());
        lock(&self.traffic).push(function.traffic());
        Ok(function)
    }

    /// As [`add_virtio`](Self::add_virtio), and brings the device up.
    ///
    /// # Errors
    /// As there, and if the device does not agree to the setup.
    pub fn add_ready_virtio(
        &self,
        device: Box<dyn VirtioDevice>,
        setup: &Setup<'_>,
    ) -> Result<(PciAddress, Up), PciError> {
        let function = Arc::new(self.virtio(device)?);
        let up = function.bring_up(setup).ok_or(PciError::Setup)?;
        Ok((self.add_function(function)?, up))
    }

    /// Adds any function at the next free device number.
    ///
    /// # Errors
    /// The bus is full.
    pub fn add_function(&self, function: Arc<dyn PciFunction>) -> Result<PciAddress, PciError> {
        let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        let device = u8::try_from(functions.len()).map_err(|_| PciError::BusFull)?;
        let address = PciAddress::new(device).ok_or(PciError::BusFull)?;
        functions.push(function);
        Ok(address)
    }

    /// Takes `size` bytes (a power of two) of the window, aligned to `size`.
    pub fn allocate(&self, size: u64) -> Option<u64> {
        Self::take(&mut lock(&self.free), self.window.end, size)
    }

    /// As [`allocate`](Self::allocate), of the [high window](Self::with_high_window).
    pub fn allocate_high(&self, size: u64) -> Option<u64> {
        Self::take(&mut lock(&self.high_free), self.high_window.end, size)
    }

    fn take(free: &mut u64, window_end: u64, size: u64) -> Option<u64> {
        let start = free.checked_next_multiple_of(size)?;
        let end = start.checked_add(size).filter(|end| *end <= window_end)?;
        *free = end;
        Some(start)
    }

    /// Devices on the bus, host bridge included.
    pub fn device_count(&self) -> usize {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Counters of guest misbehaviour, one entry a device.
    pub fn misbehaviour(&self) -> Vec<Arc<Misbehaviour>> {
        lock(&self.misbehaviour).clone()
    }

    /// What goes through virtio devices, one entry a device, in the order in which they were added.
    pub fn traffic(&self) -> Vec<Arc<Traffic>> {
        lock(&self.traffic).clone()
    }

    /// A guest read at `offset` of the ECAM window.
    pub fn ecam_read(&self, offset: u64, data: &mut [u8]) {
        match PciAddress::from_ecam(offset) {
            Some((address, register)) => self.config_read(address, register, data),
            None => data.fill(0xff),
        }
    }

    /// A guest write at `offset` of the ECAM window.
    pub fn ecam_write(&self, offset: u64, data: &[u8]) {
        if let Some((address, register)) = PciAddress::from_ecam(offset) {
            self.config_write(address, register, data);
        }
    }

    /// A guest read of guest-physical `address`. False if no device owns it; then `data` is all ones, which is also
    /// what the guest should see.
    pub fn mmio_read(&self, address: u64, data: &mut [u8]) -> bool {
        data.fill(0xff);
        let Some((function, bar, offset)) = self.owner(address) else { return false };
        function.memory_read(bar, offset, data);
        true
    }

    /// A guest write to guest-physical `address`. False if no device owns it.
    pub fn mmio_write(&self, address: u64, data: &[u8]) -> bool {
        let Some((function, bar, offset)) = self.owner(address) else { return false };
        function.memory_write(bar, offset, data);
        true
    }

    pub(super) fn config_read(&self, address: PciAddress, register: usize, data: &mut [u8]) {
        match self.function(address) {
            Some(function) => function.config_read(register, data),
            None => data.fill(0xff),
        }
    }

    pub(super) fn config_write(&self, address: PciAddress, register: usize, data: &[u8]) {
        if let Some(function) = self.function(address) {
            function.config_write(register, data);
        }
    }

    pub(super) fn select(&self, value: u32) {
        self.selected.store(value, Ordering::Relaxed);
    }

    pub(super) fn selected(&self) -> u32 {
        self.selected.load(Ordering::Relaxed)
    }

    fn function(&self, address: PciAddress) -> Option<Arc<dyn PciFunction>> {
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.get(usize::from(address.device())).cloned()
    }

    fn owner(&self, address: u64) -> Option<(Arc<dyn PciFunction>, usize, u64)> {
        if !self.window.contains(&address) && !self.high_window.contains(&address) {
            return None;
        }
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.iter().find_map(|function| {
            let (bar, offset) = function.claim(address)?;
            Some((Arc::clone(function), bar, offset))
        })
    }
}
