//! 00:00.0: the host bridge. It has an identity and nothing else; guests look for it to know that there is a bus.

use std::sync::Mutex;

use super::config::{ConfigSpace, Identity};
use super::function::PciFunction;
use crate::core::lock;

/// A generic PCI Express host bridge: the identity that guests know without quirks.
const IDENTITY: Identity = Identity {
    vendor: 0x1b36,
    device: 0x0008,
    revision: 0,
    class: 0x06_00_00,
    subsystem_vendor: 0x1af4,
    subsystem: 0x1100,
};

pub(super) struct HostBridge {
    config: Mutex<ConfigSpace>,
}

impl HostBridge {
    pub(super) fn new() -> Self {
        Self { config: Mutex::new(ConfigSpace::new(&IDENTITY)) }
    }
}

impl PciFunction for HostBridge {
    fn config_read(&self, register: usize, data: &mut [u8]) {
        lock(&self.config).read(register, data);
    }

    fn config_write(&self, register: usize, data: &[u8]) {
        lock(&self.config).write(register, data);
    }

    fn claim(&self, _address: u64) -> Option<(usize, u64)> {
        None
    }

    fn memory_read(&self, _bar: usize, _offset: u64, _data: &mut [u8]) {}

    fn memory_write(&self, _bar: usize, _offset: u64, _data: &[u8]) {}
}
