//! The entropy device (virtio 1.2 section 5.4): random bytes of the host.

use super::queue::{Queue, Segment};
use super::transport::{Transport, TransportError};
use crate::platform::Region;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// The entropy device.
pub struct Entropy {
    queue: Queue,
    page: Mutex<Region>,
}

impl Entropy {
    /// Brings the device up.
    pub fn start(transport: &Transport) -> Result<Self, TransportError> {
        transport.negotiate(0, 0)?;
        let queue = transport.queue(0, 2)?;
        let page = Mutex::new(Region::allocate(PAGE_SIZE).ok_or(TransportError::Resources)?);
        transport.start();
        Ok(Self { queue, page })
    }

    /// Fills `bytes` with random bytes of the host.
    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), Errno> {
        let page = self.page.lock();
        for chunk in bytes.chunks_mut(PAGE_SIZE) {
            let mut filled = 0;
            while filled < chunk.len() {
                let len = u32::try_from(chunk.len() - filled).map_err(|_| Errno::EIO)?;
                let token = self.queue.submit_blocking(&[], &[Segment { address: page.address(), len }])?;
                let len = usize::try_from(self.queue.wait(token)?).map_err(|_| Errno::EIO)?;
                let Some(part) = chunk.get_mut(filled..filled + len).filter(|part| !part.is_empty()) else {
                    return Err(Errno::EIO);
                };
                page.read(0, part);
                filled += len;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, Answer, Model};
    use septum_abi::layout::ECAM_BASE;
    use septum_abi::linux::Errno;

    /// Counts instead of throwing dice, and stops short.
    struct Counter(u8);

    impl Model for Counter {
        fn device_type(&self) -> u16 {
            4
        }
        fn features(&self) -> u64 {
            0
        }
        fn queue_sizes(&self) -> Vec<u16> {
            vec![8]
        }
        fn request(&mut self, _queue: u16, _output: &[u8], capacity: usize) -> Answer {
            let bytes = (0..capacity.min(100)).map(|_| {
                self.0 = self.0.wrapping_add(1);
                self.0
            });
            Answer::Reply(bytes.collect())
        }
        fn as_any(&mut self) -> &mut dyn std::any::Any {
            self
        }
    }

    #[test]
    fn bytes_are_asked_for_until_there_are_enough() {
        let machine = testing::machine(vec![Box::new(Counter(0))]);
        let devices = crate::discover(&[], ECAM_BASE, (machine.pci_devices(), 0), |kind, error| {
            panic!("{kind}: {error:?}")
        });
        assert!(machine.accesses() == 0, "not brought up before it is needed");
        let entropy = devices.entropy().unwrap().unwrap();
        let mut bytes = [0; 250];
        assert_eq!(entropy.fill(&mut bytes), Ok(()));
        assert!((1..=250).eq(bytes));
        assert_eq!(entropy.fill(&mut []), Ok(()));
    }

    #[test]
    fn a_source_that_has_run_dry_is_an_error() {
        struct Dry;
        impl Model for Dry {
            fn device_type(&self) -> u16 {
                4
            }
            fn features(&self) -> u64 {
                0
            }
            fn queue_sizes(&self) -> Vec<u16> {
                vec![1]
            }
            fn request(&mut self, _queue: u16, _output: &[u8], _capacity: usize) -> Answer {
                Answer::Reply(Vec::new())
            }
            fn as_any(&mut self) -> &mut dyn std::any::Any {
                self
            }
        }
        let machine = testing::machine(vec![Box::new(Dry)]);
        let devices = crate::discover(&[], ECAM_BASE, (machine.pci_devices(), 0), |_, _| {});
        let entropy = devices.entropy().unwrap().unwrap();
        assert_eq!(entropy.fill(&mut [0; 3]), Err(Errno::EIO));
    }
}
