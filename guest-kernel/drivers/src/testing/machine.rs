//! The machine: a bus, memory, and when devices run.

use super::device::{FakeDevice, Model};
use super::memory::Memory;
use crate::platform::Machine;
use septum_abi::layout::{ECAM_BASE, ECAM_SIZE, PCI_WINDOW};
use septum_guest_hal::dma::Region;
use septum_guest_hal::frame::Frame;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const BAR_SIZE: u64 = 0x8000;

pub struct FakeMachine {
    devices: Mutex<Vec<FakeDevice>>,
    memory: Mutex<Memory>,
    /// Devices serve a queue at once when it is notified; otherwise when the driver waits.
    pub is_prompt: AtomicBool,
}

impl FakeMachine {
    pub fn new(models: Vec<Box<dyn Model>>) -> Self {
        let place = |index: usize| PCI_WINDOW.start + BAR_SIZE * (index as u64 + 1);
        let devices =
            models.into_iter().enumerate().map(|(index, model)| FakeDevice::new(model, place(index)));
        Self {
            devices: Mutex::new(devices.collect()),
            memory: Mutex::default(),
            is_prompt: AtomicBool::new(true),
        }
    }

    /// The boot page's bitmap.
    pub fn pci_devices(&self) -> u32 {
        ((1 << self.devices.lock().unwrap().len()) - 1) << 1
    }

    /// Looks at device `index` (at 00:index+1.0), and at memory.
    pub fn with_device<T>(&self, index: usize, look: impl FnOnce(&mut FakeDevice, &Memory) -> T) -> T {
        look(&mut self.devices.lock().unwrap()[index], &self.memory.lock().unwrap())
    }

    /// Looks at the model of device `index`.
    pub fn with_model<M: 'static, T>(&self, index: usize, look: impl FnOnce(&mut M) -> T) -> T {
        self.with_device(index, |device, _| look(device.model.as_any().downcast_mut().unwrap()))
    }

    /// Register accesses so far.
    pub fn accesses(&self) -> usize {
        self.devices.lock().unwrap().iter().map(|device| device.accesses).sum()
    }

    fn at<T>(&self, address: u64, access: impl FnOnce(&mut FakeDevice, &Memory, Place) -> T) -> Option<T> {
        let mut devices = self.devices.lock().unwrap();
        let (index, place) = if (ECAM_BASE..ECAM_BASE + ECAM_SIZE).contains(&address) {
            ((address - ECAM_BASE) >> 15, Place::Config(usize::try_from(address & 0xfff).unwrap()))
        } else {
            let offset = address.checked_sub(PCI_WINDOW.start)?;
            (offset / BAR_SIZE, Place::Bar(offset % BAR_SIZE))
        };
        let device = devices.get_mut(usize::try_from(index).unwrap().checked_sub(1)?)?;
        device.accesses += 1;
        Some(access(device, &self.memory.lock().unwrap(), place))
    }
}

enum Place {
    Config(usize),
    Bar(u64),
}

impl Machine for FakeMachine {
    fn read(&self, address: u64, width: usize) -> u64 {
        let value = self.at(address, |device, _, place| match place {
            Place::Config(offset) => {
                let mut bytes = [0; 8];
                bytes[..width].copy_from_slice(&device.config[offset..offset + width]);
                u64::from_le_bytes(bytes)
            }
            Place::Bar(offset) => device.read(offset),
        });
        value.unwrap_or(u64::MAX >> (64 - 8 * width))
    }

    fn write(&self, address: u64, width: usize, value: u64) {
        self.at(address, |device, memory, place| match place {
            Place::Config(offset) => {
                device.config[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            Place::Bar(offset) => {
                let notified = device.write(offset, width, value);
                if let Some(queue) = notified
                    && self.is_prompt.load(Ordering::Relaxed)
                {
                    device.serve(queue, memory);
                }
            }
        });
    }

    fn share_frame(&self, frame: Frame) {
        self.memory.lock().unwrap().add_frame(frame);
    }

    fn share_region(&self, region: Arc<Region>) {
        self.memory.lock().unwrap().add_region(region);
    }

    fn run(&self) -> bool {
        let mut devices = self.devices.lock().unwrap();
        let memory = self.memory.lock().unwrap();
        let mut has_run = false;
        for device in devices.iter_mut() {
            for queue in 0..u16::try_from(device.queues.len()).unwrap() {
                has_run |= device.serve(queue, &memory);
            }
        }
        has_run
    }
}
