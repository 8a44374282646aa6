//! What a chain names: memory to read from, and memory to write to, each as if it were one piece.

use septum_host_io::{Buffers, Memory};
use vm_memory::{Bytes as _, GuestAddress};

use crate::virtio::chain::{ChainError, MAX_DESCRIPTORS};
use crate::virtio::ring::Chain;

/// Guest-physical ranges in their order, not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(GuestAddress, usize)>);

impl Ranges {
    /// The device-readable and the device-writable ones of a chain.
    pub(super) fn of(chain: Chain) -> Result<(Self, Self), ChainError> {
        let (mut readable, mut writable) = (Self::default(), Self::default());
        for (count, descriptor) in chain.enumerate() {
            if count == MAX_DESCRIPTORS {
                return Err(ChainError::TooManyDescriptors);
            }
            let ranges = if descriptor.is_write_only() { &mut writable } else { &mut readable };
            // 32 bits of length fit.
            let len = usize::try_from(descriptor.len()).map_err(|_| ChainError::TooLarge)?;
            if len > 0 {
                ranges.0.push((descriptor.addr(), len));
            }
        }
        Ok((readable, writable))
    }

    /// Bytes: at most as many descriptors as a chain may have, of 32 bits each.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|&(_, len)| len).sum()
    }

    /// Takes the first `count` bytes off.
    pub(super) fn take_front(&mut self, count: usize) -> Result<Self, ChainError> {
        let (mut front, mut left) = (Vec::new(), count);
        let mut used = 0;
        for (start, len) in &mut self.0 {
            if left == 0 {
                break;
            }
            let piece = left.min(*len);
            front.push((*start, piece));
            left -= piece;
            if piece == *len {
                used += 1;
            } else {
                let next = start.0.checked_add(piece as u64).ok_or(ChainError::Outside)?;
                (*start, *len) = (GuestAddress(next), *len - piece);
            }
        }
        self.0.drain(..used);
        if left > 0 { Err(ChainError::TooShort) } else { Ok(Self(front)) }
    }

    /// Takes the last byte off.
    pub(super) fn take_last(&mut self) -> Result<GuestAddress, ChainError> {
        let (start, len) = self.0.last_mut().ok_or(ChainError::TooShort)?;
        *len -= 1;
        let last = start.0.checked_add(*len as u64).ok_or(ChainError::Outside)?;
        if *len == 0 {
            self.0.pop();
        }
        Ok(GuestAddress(last))
    }

    /// Copies bytes out of the front, and takes them off.
    pub(super) fn read_front(&mut self, memory: &Memory, to: &mut [u8]) -> Result<(), ChainError> {
        let mut at = 0;
        for (start, len) in self.take_front(to.len())?.0 {
            let target = to.get_mut(at..at + len).ok_or(ChainError::TooShort)?;
            memory.read_slice(target, start).map_err(|_| ChainError::Outside)?;
            at += len;
        }
        Ok(())
    }

    /// Copies bytes into the front.
    pub(super) fn write(&self, memory: &Memory, from: &[u8]) -> Result<(), ChainError> {
        let mut from = from;
        for &(start, len) in &self.0 {
            let (piece, rest) = from.split_at(len.min(from.len()));
            memory.write_slice(piece, start).map_err(|_| ChainError::Outside)?;
            from = rest;
        }
        Ok(())
    }

    /// As the host's kernel takes them.
    pub(super) fn buffers(&self, memory: &Memory) -> Result<Buffers, ChainError> {
        Buffers::new(memory.clone(), &self.0).ok_or(ChainError::Outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges() -> Ranges {
        Ranges(vec![(GuestAddress(100), 10), (GuestAddress(200), 5)])
    }

    #[test]
    fn bytes_are_taken_from_both_ends() {
        let mut left = ranges();
        assert_eq!(left.take_last().unwrap(), GuestAddress(204));
        assert_eq!(left.take_front(12).unwrap().0, [(GuestAddress(100), 10), (GuestAddress(200), 2)]);
        assert_eq!(left.0, [(GuestAddress(202), 2)]);
        assert_eq!(left.take_last().unwrap(), GuestAddress(203));
        assert_eq!(left.take_last().unwrap(), GuestAddress(202));
        assert_eq!(left.take_last(), Err(ChainError::TooShort));
        assert_eq!(ranges().take_front(16).unwrap_err(), ChainError::TooShort);
        assert_eq!(ranges().take_front(0).unwrap().len(), 0);
    }

    #[test]
    fn addresses_do_not_wrap() {
        let mut end = Ranges(vec![(GuestAddress(u64::MAX - 1), 4)]);
        assert_eq!(end.take_last(), Err(ChainError::Outside));
        let mut end = Ranges(vec![(GuestAddress(u64::MAX - 1), 4)]);
        assert_eq!(end.take_front(3).unwrap_err(), ChainError::Outside);
    }
}
