//! A machine for tests: memory, a PCI bus, and virtio devices that work on the rings as a host would.
//!
//! ```text
//! driver ── platform::host ── FakeMachine ── FakeDevice (PCI and transport registers, rings) ── Model (what the device does)
//! ```

mod device;
mod fuse_host;
mod machine;
mod memory;

pub use device::{Answer, Model};
pub use fuse_host::FuseHost;
pub use machine::FakeMachine;

use crate::pci;
use crate::virtio::transport::Transport;
use septum_abi::layout::{ECAM_BASE, PAGE_SIZE};
use septum_abi::linux::Errno;
use septum_guest_core::io::{Destination, Pinned, Source};
use septum_guest_hal::frame::Frame;
use std::sync::Arc;

/// The transport to the first device of the machine, as drivers get it for devices that are not ready.
pub fn transport(machine: &FakeMachine) -> Transport {
    let function = pci::functions(ECAM_BASE, machine.pci_devices()).next().unwrap();
    Transport::probe(&function).unwrap()
}

/// A program's memory: frames that can be pinned, from `start` on, with `position` moving to `end`.
pub struct ProgramMemory {
    pub frames: Vec<Frame>,
    pub position: usize,
    pub end: usize,
}

impl ProgramMemory {
    /// `len` bytes that begin `start` bytes into the first page.
    pub fn new(start: usize, len: usize) -> Self {
        let count = (start + len).div_ceil(PAGE_SIZE);
        let frames = (0..count).map(|_| crate::platform::zeroed_frame().unwrap()).collect();
        Self { frames, position: start, end: start + len }
    }

    /// Memory that holds `bytes`.
    pub fn holding(start: usize, bytes: &[u8]) -> Self {
        let mut memory = Self::new(start, bytes.len());
        Destination::put(&mut memory, bytes).unwrap();
        memory.position = start;
        memory
    }

    /// The bytes from `start` to the current position.
    pub fn filled(&self, start: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.position - start];
        let mut at = start;
        while at < self.position {
            let len = (PAGE_SIZE - at % PAGE_SIZE).min(self.position - at);
            self.frames[at / PAGE_SIZE].read(at % PAGE_SIZE, &mut bytes[at - start..][..len]);
            at += len;
        }
        bytes
    }

    fn left(&self) -> usize {
        self.end - self.position
    }

    fn pieces(&self, max: usize, pieces: &mut Vec<Pinned>) -> usize {
        let end = self.end.min(self.position + max);
        let mut at = self.position;
        while at < end {
            let len = (PAGE_SIZE - at % PAGE_SIZE).min(end - at);
            pieces.push(Pinned {
                frame: self.frames[at / PAGE_SIZE].clone(),
                offset: at % PAGE_SIZE,
                len,
                pin: None,
            });
            at += len;
        }
        end - self.position
    }
}

impl Destination for ProgramMemory {
    fn remaining(&self) -> usize {
        self.left()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.left());
        let mut done = 0;
        while done < len {
            let part = (PAGE_SIZE - self.position % PAGE_SIZE).min(len - done);
            let frame = &self.frames[self.position / PAGE_SIZE];
            frame.write(self.position % PAGE_SIZE, &bytes[done..done + part]);
            self.position += part;
            done += part;
        }
        Ok(len)
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let mut bytes = vec![0; len];
        frame.read(offset, &mut bytes);
        self.put(&bytes)
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        Some(Ok(self.pieces(max, pieces)))
    }

    fn advance(&mut self, len: usize) {
        self.position += len;
    }
}

impl Source for ProgramMemory {
    fn remaining(&self) -> usize {
        self.left()
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.left());
        let end = std::mem::replace(&mut self.end, self.position + len);
        let start = std::mem::replace(&mut self.position, self.end);
        bytes[..len].copy_from_slice(&self.filled(start));
        self.end = end;
        Ok(len)
    }

    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let mut bytes = vec![0; len];
        let len = self.take(&mut bytes)?;
        frame.write(offset, &bytes[..len]);
        Ok(len)
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        Some(Ok(self.pieces(max, pieces)))
    }

    fn advance(&mut self, len: usize) {
        self.position += len;
    }
}

/// A machine with these devices at 00:1.0 and on, entered by this thread.
pub fn machine(models: Vec<Box<dyn Model>>) -> Arc<FakeMachine> {
    let machine = Arc::new(FakeMachine::new(models));
    crate::platform::enter(Arc::<FakeMachine>::clone(&machine));
    machine
}
