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
