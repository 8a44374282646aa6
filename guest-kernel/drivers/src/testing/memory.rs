//! Guest memory by address: every frame and region that a driver shared.

use septum_abi::layout::PAGE_SIZE;
use septum_guest_hal::dma::Region;
use septum_guest_hal::frame::Frame;
use std::collections::HashMap;
use std::sync::Arc;

/// What devices can reach.
#[derive(Default)]
pub struct Memory {
    frames: HashMap<u64, Frame>,
    regions: Vec<Arc<Region>>,
}

impl Memory {
    pub fn add_frame(&mut self, frame: Frame) {
        self.frames.insert(frame.address().0, frame);
    }

    pub fn add_region(&mut self, region: Arc<Region>) {
        self.regions.push(region);
    }

    fn region(&self, address: u64) -> Option<(&Region, usize)> {
        self.regions.iter().find_map(|region| {
            let offset = usize::try_from(address.checked_sub(region.address().0)?).unwrap();
            (offset < region.len()).then_some((region.as_ref(), offset))
        })
    }

    fn each(address: u64, len: usize, mut visit: impl FnMut(u64, usize, std::ops::Range<usize>)) {
        let mut done = 0;
        while done < len {
            let at = address + done as u64;
            let offset = usize::try_from(at).unwrap() % PAGE_SIZE;
            let part = (PAGE_SIZE - offset).min(len - done);
            visit(at - offset as u64, offset, done..done + part);
            done += part;
        }
    }

    /// Copies out; panics on memory that nobody shared.
    pub fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        Self::each(address, len, |page, offset, range| match self.region(page) {
            Some((region, start)) => region.read(start + offset, &mut bytes[range]),
            None => self.frames.get(&page).expect("not shared with devices").read(offset, &mut bytes[range]),
        });
        bytes
    }

    /// Copies in; panics on memory that nobody shared.
    pub fn write(&self, address: u64, bytes: &[u8]) {
        Self::each(address, bytes.len(), |page, offset, range| match self.region(page) {
            Some((region, start)) => region.write(start + offset, &bytes[range]),
            None => self.frames.get(&page).expect("not shared with devices").write(offset, &bytes[range]),
        });
    }

    pub fn read_u16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.read(address, 2).try_into().unwrap())
    }

    pub fn write_u16(&self, address: u64, value: u16) {
        self.write(address, &value.to_le_bytes());
    }
}
