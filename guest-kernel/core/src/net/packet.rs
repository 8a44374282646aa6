//! A message that stays whole on its way.

use super::address::Address;
use super::memory::Budget;
use super::passing::{Credentials, Passed};
use crate::io::{Destination, Source};
use alloc::vec::Vec;
use core::net::IpAddr;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;

/// Bytes up to which a message is kept in the kernel's heap.
const SMALL: usize = 1024;
/// What a message counts besides its bytes, so that empty ones are not free.
const OVERHEAD: usize = 256;

#[derive(Debug)]
enum Bytes {
    Small(Vec<u8>),
    Large(Vec<Frame>),
}

/// What the headers of an Internet protocol say of a message, as far as a program can ask for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers {
    /// Hop limit, or time to live.
    pub hops: u8,
    /// Traffic class, or type of service.
    pub class: u8,
    /// To whom it was sent.
    pub to: Option<IpAddr>,
}

/// A message.
#[derive(Debug)]
pub struct Packet {
    bytes: Bytes,
    len: usize,
    /// Whose it is.
    pub from: Address,
    /// Who sent it.
    pub credentials: Credentials,
    /// Files that go with it.
    pub files: Option<Passed>,
    /// What the headers of an Internet protocol would say.
    pub headers: Headers,
    _budget: Option<Budget>,
}

impl Packet {
    /// All of `source` as a message.
    pub fn new(source: &mut dyn Source) -> Result<Self, Errno> {
        let len = source.remaining();
        let (bytes, budget) = if len <= SMALL {
            let mut bytes = alloc::vec![0; len];
            if source.take(&mut bytes)? < len {
                return Err(Errno::EFAULT);
            }
            (Bytes::Small(bytes), None)
        } else {
            let count = len.div_ceil(PAGE_SIZE);
            let budget = Budget::take(count as u64)?;
            let mut frames = Vec::with_capacity(count);
            for start in (0..len).step_by(PAGE_SIZE) {
                let frame = Frame::uninit().ok_or(Errno::ENOBUFS)?;
                let wanted = (len - start).min(PAGE_SIZE);
                let mut done = 0;
                while done < wanted {
                    match source.take_to_frame(&frame, done, wanted - done)? {
                        0 => return Err(Errno::EFAULT),
                        len => done += len,
                    }
                }
                frames.push(frame);
            }
            (Bytes::Large(frames), Some(budget))
        };
        Ok(Self {
            bytes,
            len,
            from: Address::Unspecified,
            credentials: Credentials::default(),
            files: None,
            headers: Headers::default(),
            _budget: budget,
        })
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it counts against the size of a queue.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.len + OVERHEAD
    }

    /// Copies as much as fits; says how much.
    pub fn copy(&self, to: &mut dyn Destination) -> Result<usize, Errno> {
        let most = self.len.min(to.remaining());
        let mut total = 0;
        match &self.bytes {
            Bytes::Small(bytes) if most > 0 => total = to.put(&bytes[..most])?,
            Bytes::Small(_) => {}
            Bytes::Large(frames) => {
                while total < most {
                    let Some(frame) = frames.get(total / PAGE_SIZE) else { break };
                    let offset = total % PAGE_SIZE;
                    let len = (most - total).min(PAGE_SIZE - offset);
                    match to.put_frame(frame, offset, len)? {
                        0 => break,
                        len => total += len,
                    }
                }
            }
        }
        if total < most { Err(Errno::EFAULT) } else { Ok(total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{KernelDestination, KernelSource};

    #[test]
    fn messages_of_all_sizes_come_out_as_they_went_in() {
        for len in [0, 1, SMALL, SMALL + 1, PAGE_SIZE, PAGE_SIZE * 3 + 7] {
            let bytes: Vec<u8> = (0..=250u8).cycle().take(len).collect();
            let packet = Packet::new(&mut KernelSource(&bytes)).unwrap();
            let mut out = alloc::vec![0; len];
            assert_eq!(packet.copy(&mut KernelDestination(&mut out)), Ok(len));
            assert_eq!(out, bytes);
            let mut part = alloc::vec![0; len / 2];
            assert_eq!(packet.copy(&mut KernelDestination(&mut part)), Ok(len / 2));
        }
    }
}
