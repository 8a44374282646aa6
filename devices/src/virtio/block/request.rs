//! A request of a block device (virtio 1.2 section 5.2.6).
//!
//! ```text
//! readable: type u32, reserved u32, sector u64 | data to write, or ranges { sector u64, sectors u32, flags u32 }
//! writable: data read | status u8
//! ```
//!
//! A chain that has no room for a status is no request. Any other gets one, whatever is in it.

use std::io::{self, Read as _, Write as _};

use fuse_backend_rs::transport::{Reader, VirtioFsWriter};
use septum_abi::block::{HEADER, RANGE, SECTOR, UNMAP, kind, status};

use super::config::{MOST_DISCARDED, MOST_RANGES, MOST_ZEROED};
use super::disk::Disk;
use crate::virtio::chain::{ChainError, check_length};
use crate::virtio::ring::Chain;

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The disk failed, or the request names what it does not have.
    Error,
    /// There is no such operation.
    Unsupported,
    /// The host has no room.
    NoSpace,
}

impl Refusal {
    fn status(self) -> u8 {
        match self {
            Self::Error => status::IO_ERROR,
            Self::Unsupported => status::UNSUPPORTED,
            Self::NoSpace => status::NO_SPACE,
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Error,
        }
    }
}

/// Serves a request; returns how many bytes were written to the chain.
pub(super) fn serve(disk: &Disk, chain: &Chain, is_write_through: bool) -> Result<u32, ChainError> {
    check_length(chain)?;
    let mut reader =
        Reader::from_descriptor_chain(chain.memory(), chain.clone()).map_err(|_| ChainError::Outside)?;
    let mut writer = VirtioFsWriter::new(chain.memory(), chain.clone()).map_err(|_| ChainError::Outside)?;
    let room = writer.available_bytes().checked_sub(1).ok_or(ChainError::TooShort)?;
    let mut place = writer.split_at(room).map_err(|_| ChainError::TooShort)?;
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).map_err(|_| ChainError::TooShort)?;
    let [kind, _, low, high] = words(header);
    let request = Request { disk, kind, sector: u64::from(high) << 32 | u64::from(low), is_write_through };
    let result = request.perform(&mut reader, &mut writer);
    let code = result.map_or_else(Refusal::status, |()| status::OK);
    // Of a read that failed the status is all that counts, but its place is behind the data.
    place.write_all(&[code]).map_err(|_| ChainError::TooShort)?;
    let used = if result.is_ok() { writer.bytes_written() } else { room };
    u32::try_from(used + 1).map_err(|_| ChainError::TooLarge)
}

fn words(bytes: [u8; 16]) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}

struct Request<'a> {
    disk: &'a Disk,
    kind: u32,
    sector: u64,
    is_write_through: bool,
}

impl Request<'_> {
    fn perform(
        &self,
        reader: &mut Reader<'_, ()>,
        writer: &mut VirtioFsWriter<'_, ()>,
    ) -> Result<(), Refusal> {
        match self.kind {
            kind::IN => self.read(writer),
            kind::OUT => self.write(reader),
            kind::FLUSH => Ok(self.disk.flush()?),
            kind::GET_ID => {
                let len = writer.available_bytes().min(self.disk.identity().len());
                Ok(writer.write_all(&self.disk.identity()[..len])?)
            }
            kind::DISCARD | kind::WRITE_ZEROES => self.change_ranges(reader),
            _ => Err(Refusal::Unsupported),
        }
    }

    fn read(&self, writer: &mut VirtioFsWriter<'_, ()>) -> Result<(), Refusal> {
        let mut left = writer.available_bytes();
        let mut offset = self.range(self.sector, left as u64)?;
        self.disk.with_file(|file| {
            while left > 0 {
                match writer.write_from_at(&mut *file, left, offset) {
                    // The file has become shorter.
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(len) => (left, offset) = (left - len.min(left), offset + len as u64),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    fn write(&self, reader: &mut Reader<'_, ()>) -> Result<(), Refusal> {
        let mut left = reader.available_bytes();
        let mut offset = self.range(self.sector, left as u64)?;
        self.check_writable()?;
        self.disk.with_file(|file| {
            while left > 0 {
                match reader.read_to_at(&mut *file, left, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(len) => (left, offset) = (left - len.min(left), offset + len as u64),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?;
        self.through()
    }

    fn change_ranges(&self, reader: &mut Reader<'_, ()>) -> Result<(), Refusal> {
        self.check_writable()?;
        let len = reader.available_bytes();
        if len == 0 || !len.is_multiple_of(RANGE) {
            return Err(Refusal::Error);
        }
        if len / RANGE > MOST_RANGES as usize {
            return Err(Refusal::Error);
        }
        for _ in 0..len / RANGE {
            let mut range = [0; RANGE];
            reader.read_exact(&mut range)?;
            let [low, high, sectors, flags] = words(range);
            self.change_range(u64::from(high) << 32 | u64::from(low), sectors, flags)?;
        }
        self.through()
    }

    fn change_range(&self, sector: u64, sectors: u32, flags: u32) -> Result<(), Refusal> {
        let is_discard = self.kind == kind::DISCARD;
        let allowed = if is_discard { 0 } else { UNMAP };
        if flags & !allowed != 0 {
            return Err(Refusal::Unsupported);
        }
        if sectors > if is_discard { MOST_DISCARDED } else { MOST_ZEROED } {
            return Err(Refusal::Error);
        }
        let len = u64::from(sectors) * SECTOR;
        let offset = self.range(sector, len)?;
        match len {
            0 => {}
            _ if is_discard => self.disk.discard(offset, len)?,
            _ => self.disk.zero(offset, len, flags & UNMAP != 0)?,
        }
        Ok(())
    }

    fn through(&self) -> Result<(), Refusal> {
        if self.is_write_through {
            self.disk.flush()?;
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), Refusal> {
        if self.disk.is_read_only() { Err(Refusal::Error) } else { Ok(()) }
    }

    /// Where `len` bytes from `sector` on begin, if they are whole sectors of the disk.
    fn range(&self, sector: u64, len: u64) -> Result<u64, Refusal> {
        let end = sector.checked_add(len / SECTOR).ok_or(Refusal::Error)?;
        if !len.is_multiple_of(SECTOR) || end > self.disk.sectors() {
            return Err(Refusal::Error);
        }
        Ok(sector * SECTOR)
    }
}
