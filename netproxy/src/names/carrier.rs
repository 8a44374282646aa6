//! Questions that come by TCP: each behind two bytes that say its length (RFC 1035 section 4.2.2).

use std::io;

use septum_devices::virtio::vsock::{FromGuest, ToGuest};

/// What the guest may have sent and not been answered.
const MOST_BYTES: usize = 256 << 10;

/// A connection to the nameserver.
#[derive(Debug, Default)]
pub struct Carrier {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    under_way: usize,
    is_finished: bool,
}

impl Carrier {
    /// Takes what the guest sends; returns how much.
    ///
    /// # Errors
    /// It sends far more than it listens.
    pub fn take(&mut self, from: &mut FromGuest<'_, '_>) -> io::Result<usize> {
        if self.incoming.len() + self.outgoing.len() > MOST_BYTES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let start = self.incoming.len();
        self.incoming.resize(start + from.len(), 0);
        let len = from.copy_to(self.incoming.get_mut(start..).unwrap_or_default())?;
        self.incoming.truncate(start + len);
        Ok(len)
    }

    /// The next whole question.
    pub fn next_question(&mut self) -> Option<Vec<u8>> {
        let len = usize::from(u16::from_be_bytes(*self.incoming.first_chunk()?));
        let question = self.incoming.get(2..2 + len)?.to_vec();
        self.incoming.drain(..2 + len);
        self.under_way += 1;
        Some(question)
    }

    /// An answer for the guest.
    pub fn answer(&mut self, message: &[u8]) {
        self.under_way = self.under_way.saturating_sub(1);
        let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
        self.outgoing.extend_from_slice(&len.to_be_bytes());
        self.outgoing.extend_from_slice(message.get(..usize::from(len)).unwrap_or_default());
    }

    /// The guest asks nothing more.
    pub fn finish(&mut self) {
        self.is_finished = true;
    }

    /// Gives the guest what there is; nothing at the end.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing yet.
    pub fn give(&mut self, to: &mut ToGuest<'_, '_>) -> io::Result<usize> {
        if self.outgoing.is_empty() {
            let is_over = self.is_finished && self.under_way == 0;
            return if is_over { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let len = to.put(&self.outgoing)?;
        self.outgoing.drain(..len);
        Ok(len)
    }
}
