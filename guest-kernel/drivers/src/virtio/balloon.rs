//! The memory balloon (virtio 1.2 section 5.5), of which only free page reporting is used: the host takes the memory of free
//! blocks back.
//!
//! Most programs never free enough for it, so the device is brought up by the first report. A buffer of the reporting queue is
//! as long as the free memory it names; the host says how much of it is zero now. A host that leaves that open (the
//! specification allows it) has not done what the frame allocator needs, and the blocks count as kept.

use super::queue::{Queue, Segment};
use super::segment;
use super::transport::{Transport, TransportError, device_type};
use crate::OnBus;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_core::memory::discard::{BATCH, FreeReporter};
use septum_guest_hal::frame::large::{LARGE_PAGE, Reported};
use septum_guest_hal::sync::Once;

/// VIRTIO_BALLOON_F_PAGE_REPORTING
const PAGE_REPORTING: u64 = 1 << 5;
/// The reporting queue.
const REPORTING: u16 = 4;
/// Its descriptors: enough for blocks that are all apart.
const SIZE: u16 = 32;
const _: () = assert!(BATCH <= SIZE as usize);

/// The balloon.
pub struct Balloon {
    on_bus: OnBus,
    /// The reporting queue, once the device is up; `None` if it cannot be used.
    queue: Once<Option<Queue>>,
}

impl Balloon {
    /// The balloon that is found there, if there is one, when there is something to report.
    #[must_use]
    pub fn new(on_bus: OnBus) -> Self {
        Self { on_bus, queue: Once::new() }
    }

    fn bring_up(&self) -> Result<Queue, TransportError> {
        let function = self.on_bus.find(device_type::BALLOON).ok_or(TransportError::Structure)?;
        let transport = Transport::probe(&function)?;
        transport.negotiate(0, PAGE_REPORTING)?;
        let queue = transport.queue(REPORTING, SIZE)?;
        transport.start();
        Ok(queue)
    }
}

impl FreeReporter for Balloon {
    fn report(&self, blocks: &[Reported]) -> Result<(), Errno> {
        let queue = self.queue.call_once(|| self.bring_up().ok()).as_ref().ok_or(Errno::ENODEV)?;
        let mut addresses: Vec<_> = blocks.iter().map(Reported::address).collect();
        addresses.sort_unstable();
        let mut segments = Vec::with_capacity(addresses.len());
        for address in addresses {
            let len = u32::try_from(LARGE_PAGE).map_err(|_| Errno::EINVAL)?;
            segment::append(&mut segments, 0, Segment { address, len });
        }
        let token = queue.submit_blocking(&[], &segments)?;
        let written = u64::from(queue.wait(token)?);
        if written == blocks.len() as u64 * LARGE_PAGE { Ok(()) } else { Err(Errno::EIO) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Answer, Model};
    use septum_abi::layout::ECAM_BASE;
    use septum_guest_hal::frame::large::LargeFrame;
    use std::vec;

    /// Remembers what it was told.
    struct Host {
        is_kind: bool,
        reports: Vec<(u16, usize)>,
        segments: usize,
    }

    impl Model for Host {
        fn device_type(&self) -> u16 {
            5
        }
        fn features(&self) -> u64 {
            PAGE_REPORTING
        }
        fn queue_sizes(&self) -> Vec<u16> {
            vec![16, 16, 0, 0, 32]
        }
        fn saw_segments(&mut self, _queue: u16, _readable: usize, writable: usize) {
            self.segments = writable;
        }
        fn request(&mut self, queue: u16, _output: &[u8], capacity: usize) -> Answer {
            self.reports.push((queue, capacity));
            Answer::Claim(if self.is_kind { capacity } else { 0 })
        }
        fn as_any(&mut self) -> &mut dyn std::any::Any {
            self
        }
    }

    fn report(is_kind: bool) -> (Result<(), Errno>, Vec<(u16, usize)>) {
        let host = Host { is_kind, reports: Vec::new(), segments: 0 };
        let machine = testing::machine(vec![Box::new(host)]);
        let devices = crate::discover(&[], ECAM_BASE, (machine.pci_devices(), 0), |kind, error| {
            panic!("{kind}: {error:?}")
        });
        assert!(machine.accesses() < 2, "not brought up before it is needed");
        // Other tests of this process take memory and give it back: free blocks may be gone again.
        let blocks = loop {
            drop([LargeFrame::zeroed().unwrap(), LargeFrame::zeroed().unwrap()]);
            if let (Some(one), Some(other)) = (Reported::take(0), Reported::take(0)) {
                break [one, other];
            }
        };
        let result = devices.balloon().report(&blocks);
        if result.is_ok() {
            blocks.into_iter().for_each(Reported::discarded);
        }
        (result, machine.with_model(0, |host: &mut Host| core::mem::take(&mut host.reports)))
    }

    #[test]
    fn free_blocks_are_reported_and_only_what_the_host_says_is_zero_is_clean() {
        let both = usize::try_from(2 * LARGE_PAGE).unwrap();
        assert_eq!(report(true), (Ok(()), vec![(REPORTING, both)]));
        assert_eq!(report(false), (Err(Errno::EIO), vec![(REPORTING, both)]));
    }
}
