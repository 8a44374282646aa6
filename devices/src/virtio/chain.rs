//! Moving bytes between a descriptor chain and the host, without copies where a host descriptor is involved.
//!
//! A chain is a list of guest memory ranges, some readable by the device and some writable. The readers and writers
//! here check every range against guest memory when they are made; afterwards they only touch checked memory.
//! They are those of the FUSE server's virtio transport, which do vectored I/O directly on guest memory.

use std::io::{Read as _, Write as _};

use fuse_backend_rs::transport::{Reader, VirtioFsWriter};

use super::ring::Chain;

/// Most ranges that one vectored system call takes (`UIO_MAXIOV`); also the largest queue size on offer.
pub(crate) const MAX_DESCRIPTORS: usize = 1024;

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainError {
    /// More descriptors than any queue has entries.
    TooManyDescriptors,
    /// A range outside guest memory.
    Outside,
    /// Fewer bytes than the request needs.
    TooShort,
    /// More bytes than the request can have.
    TooLarge,
}

impl ChainError {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::TooManyDescriptors => "descriptor chain longer than any queue",
            Self::Outside => "descriptor outside guest memory",
            Self::TooShort => "descriptor chain too short for its request",
            Self::TooLarge => "descriptor chain too large for its request",
        }
    }
}

/// Runs `work` on the device-readable bytes of `chain`, from byte `skip` on.
pub(crate) fn with_reader<T>(
    chain: &Chain,
    skip: usize,
    work: impl FnOnce(&mut Reader<'_, ()>) -> T,
) -> Result<T, ChainError> {
    check_length(chain)?;
    let mut skipped =
        Reader::from_descriptor_chain(chain.memory(), chain.clone()).map_err(|_| ChainError::Outside)?;
    let mut reader = skipped.split_at(skip).map_err(|_| ChainError::TooShort)?;
    Ok(work(&mut reader))
}

/// Runs `work` on the device-writable bytes of `chain`.
pub(crate) fn with_writer<T>(
    chain: &Chain,
    work: impl FnOnce(&mut VirtioFsWriter<'_, ()>) -> T,
) -> Result<T, ChainError> {
    check_length(chain)?;
    let mut writer = VirtioFsWriter::new(chain.memory(), chain.clone()).map_err(|_| ChainError::Outside)?;
    Ok(work(&mut writer))
}

/// Copies device-readable bytes of `chain` into `buffer`; returns how many there were, if not more than fit.
pub(crate) fn copy_in(chain: &Chain, buffer: &mut [u8]) -> Result<usize, ChainError> {
    with_reader(chain, 0, |reader| {
        let available = reader.available_bytes();
        let target = buffer.get_mut(..available).ok_or(ChainError::TooLarge)?;
        reader.read_exact(target).map_err(|_| ChainError::TooShort)?;
        Ok(available)
    })?
}

/// Copies `bytes` into the device-writable part of `chain`.
pub(crate) fn copy_out(chain: &Chain, bytes: &[u8]) -> Result<u32, ChainError> {
    with_writer(chain, |writer| {
        if writer.available_bytes() < bytes.len() {
            return Err(ChainError::TooShort);
        }
        writer.write_all(bytes).map_err(|_| ChainError::TooShort)?;
        u32::try_from(bytes.len()).map_err(|_| ChainError::TooLarge)
    })?
}

/// Refuses chains that no queue could hold.
pub(crate) fn check_length(chain: &Chain) -> Result<(), ChainError> {
    if chain.clone().take(MAX_DESCRIPTORS + 1).count() > MAX_DESCRIPTORS {
        return Err(ChainError::TooManyDescriptors);
    }
    Ok(())
}
