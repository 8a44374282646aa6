//! A request of a block device (virtio 1.2 section 5.2.6).
//!
//! ```text
//! readable: type u32, reserved u32, sector u64 | data to write, or ranges { sector u64, sectors u32, flags u32 }
//! writable: data read | status u8
//!
//!   chain ──parse──► Request ──at_once──► answer                     the host has it in memory, or it is no transfer
//!                       ├──wait─────────► answer                     whoever serves waits for the disk
//!                       └──begin (Batch)─► … ──ended──► answer       many at once
//! ```
//!
//! A chain that has no room for a status is no request. Any other gets one, whatever is in it.

use std::io;

use septum_abi::block::{HEADER, LONG, RANGE, SECTOR, UNMAP, kind, status};
use septum_host_io::{Batch, Buffers, Done, Memory, Operation};
use vm_memory::{Bytes as _, GuestAddress, GuestMemory as _};

use super::config::{MOST_DISCARDED, MOST_RANGES, MOST_ZEROED};
use super::disk::Disk;
use super::ranges::Ranges;
use crate::virtio::chain::ChainError;
use crate::virtio::ring::Chain;

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
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

/// What a request is about.
#[derive(Debug)]
enum Work {
    Read {
        offset: u64,
        buffers: Buffers,
    },
    Write {
        offset: u64,
        buffers: Buffers,
    },
    Flush,
    /// To discard, or to zero.
    Change {
        is_discard: bool,
        ranges: Vec<[u8; RANGE]>,
    },
    /// Under way; of a read, where it goes on.
    Begun(Option<u64>),
    /// Nothing is left to do.
    Answered(Result<(), Refusal>),
}

/// A request that was understood, and is to be answered exactly once.
#[derive(Debug)]
pub(super) struct Request {
    /// Of its chain.
    pub(super) head: u16,
    work: Work,
    memory: Memory,
    /// Where the status goes; checked.
    place: GuestAddress,
    /// Bytes of its chain up to the status that the device writes.
    room: usize,
    /// Bytes of them that were written if it is done.
    written: usize,
}

impl Request {
    /// What `chain` asks of `disk`.
    pub(super) fn parse(disk: &Disk, chain: Chain, memory: Memory) -> Result<Self, ChainError> {
        let head = chain.head_index();
        let (mut readable, mut writable) = Ranges::of(chain)?;
        let place = writable.take_last()?;
        if !memory.check_range(place, 1) {
            return Err(ChainError::Outside);
        }
        let mut header = [0; HEADER];
        readable.read_front(&memory, &mut header)?;
        let [kind, _, low, high] = words(header);
        let sector = u64::from(high) << 32 | u64::from(low);
        let (room, mut written) = (writable.len(), 0);
        let work = match kind {
            kind::IN => {
                let buffers = writable.buffers(&memory)?;
                written = room;
                transfer(disk, sector, &buffers).map(|offset| Work::Read { offset, buffers })
            }
            kind::OUT => {
                let buffers = readable.buffers(&memory)?;
                let offset = transfer(disk, sector, &buffers).and_then(|offset| {
                    check_writable(disk)?;
                    Ok(offset)
                });
                offset.map(|offset| Work::Write { offset, buffers })
            }
            kind::FLUSH => Ok(Work::Flush),
            kind::GET_ID => {
                let identity = disk.identity();
                written = room.min(identity.len());
                writable.write(&memory, &identity[..written])?;
                Ok(Work::Answered(Ok(())))
            }
            kind::DISCARD | kind::WRITE_ZEROES => changes(disk, &memory, readable)?
                .map(|ranges| Work::Change { is_discard: kind == kind::DISCARD, ranges }),
            _ => Err(Refusal::Unsupported),
        };
        let work = work.unwrap_or_else(|refusal| Work::Answered(Err(refusal)));
        Ok(Self { head, work, memory, place, room, written })
    }

    /// Where a read goes that is so long that two may copy it.
    pub(super) fn long_read(&self) -> Option<(&Buffers, u64)> {
        match &self.work {
            Work::Read { offset, buffers } if buffers.len() >= LONG => Some((buffers, *offset)),
            _ => None,
        }
    }

    /// The first `count` bytes of a read are there. True if that was all.
    pub(super) fn advance(&mut self, count: usize) -> bool {
        let Work::Read { offset, buffers } = &mut self.work else { return false };
        buffers.advance(count);
        *offset += count as u64;
        if buffers.is_empty() {
            self.work = Work::Answered(Ok(()));
        }
        self.is_done()
    }

    /// Does what can be done without waiting for a disk. True if that was all.
    pub(super) fn at_once(&mut self, disk: &Disk) -> bool {
        let Work::Read { offset, buffers } = &self.work else {
            return matches!(self.work, Work::Answered(_));
        };
        match septum_host_io::read_now(disk.file(), buffers, *offset) {
            // The end, which should not be there: whoever waits finds it.
            Ok(None | Some(0)) if !buffers.is_empty() => false,
            Ok(count) => self.advance(count.unwrap_or(0)),
            // Whoever waits is told why.
            Err(_) => false,
        }
    }

    /// Does it, however long it takes.
    pub(super) fn wait(&mut self, disk: &Disk, is_write_through: bool) {
        let result = match std::mem::replace(&mut self.work, Work::Answered(Ok(()))) {
            Work::Read { offset, buffers } => transfer_all(buffers, offset, |buffers, offset| {
                septum_host_io::read(disk.file(), buffers, offset)
            }),
            Work::Write { offset, buffers } => transfer_all(buffers, offset, |buffers, offset| {
                septum_host_io::write(disk.file(), buffers, offset)
            })
            .and_then(|()| through(disk, is_write_through)),
            Work::Flush => disk.flush().map_err(Refusal::from),
            Work::Change { is_discard, ranges } => ranges
                .iter()
                .try_for_each(|range| change(disk, *range, is_discard))
                .and_then(|()| through(disk, is_write_through)),
            Work::Begun(_) => Err(Refusal::Error),
            Work::Answered(result) => result,
        };
        self.work = Work::Answered(result);
    }

    /// Puts it under way. What cannot be comes back.
    pub(super) fn begin(mut self, disk: &Disk, batch: &mut Batch<Self>) -> Result<(), Self> {
        let operation = match std::mem::replace(&mut self.work, Work::Begun(None)) {
            Work::Read { offset, buffers } => {
                self.work = Work::Begun(Some(offset));
                Operation::Read(buffers, offset)
            }
            Work::Flush => Operation::Sync,
            other => {
                self.work = other;
                return Err(self);
            }
        };
        batch.push(disk.file(), operation, self).map_err(|(operation, mut request)| {
            request.work = match operation {
                Operation::Read(buffers, offset) => Work::Read { offset, buffers },
                Operation::Sync => Work::Flush,
            };
            request
        })
    }

    /// It was under way, and the host has said this. It may not be done: then what is left is to begin again.
    pub(super) fn ended(done: Done<Self>) -> Self {
        let Done { tag: mut request, buffers, result } = done;
        let is_to_go_on = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
        };
        request.work = match (request.work, buffers, result) {
            (Work::Begun(Some(offset)), Some(mut buffers), Ok(count)) if count > 0 => {
                buffers.advance(count);
                if buffers.is_empty() {
                    Work::Answered(Ok(()))
                } else {
                    Work::Read { offset: offset + count as u64, buffers }
                }
            }
            // The file has become shorter.
            (Work::Begun(Some(_)), _, Ok(_)) => Work::Answered(Err(Refusal::Error)),
            (Work::Begun(Some(offset)), Some(buffers), Err(error)) if is_to_go_on(&error) => {
                Work::Read { offset, buffers }
            }
            (Work::Begun(None), _, Err(error)) if is_to_go_on(&error) => Work::Flush,
            (_, _, result) => Work::Answered(result.map(drop).map_err(Refusal::from)),
        };
        request
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.work, Work::Answered(_))
    }

    /// Writes the status; returns how many bytes of the chain were written. Of what was not done at all that is an error.
    pub(super) fn answer(self) -> Result<u32, ChainError> {
        let result = match self.work {
            Work::Answered(result) => result,
            _ => Err(Refusal::Error),
        };
        let code = result.map_or_else(Refusal::status, |()| status::OK);
        self.memory.write_obj(code, self.place).map_err(|_| ChainError::Outside)?;
        // Of a read that failed the status is all that counts, but its place is behind the data.
        let used = if result.is_ok() { self.written } else { self.room };
        u32::try_from(used + 1).map_err(|_| ChainError::TooLarge)
    }
}

fn words(bytes: [u8; 16]) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}

/// Where `len` bytes from `sector` on begin, if they are whole sectors of the disk.
fn range(disk: &Disk, sector: u64, len: u64) -> Result<u64, Refusal> {
    let end = sector.checked_add(len / SECTOR).ok_or(Refusal::Error)?;
    if !len.is_multiple_of(SECTOR) || end > disk.sectors() {
        return Err(Refusal::Error);
    }
    Ok(sector * SECTOR)
}

fn transfer(disk: &Disk, sector: u64, buffers: &Buffers) -> Result<u64, Refusal> {
    range(disk, sector, buffers.len() as u64)
}

fn check_writable(disk: &Disk) -> Result<(), Refusal> {
    if disk.is_read_only() { Err(Refusal::Error) } else { Ok(()) }
}

fn through(disk: &Disk, is_write_through: bool) -> Result<(), Refusal> {
    if is_write_through {
        disk.flush()?;
    }
    Ok(())
}

fn transfer_all(
    mut buffers: Buffers,
    mut offset: u64,
    mut step: impl FnMut(&Buffers, u64) -> io::Result<usize>,
) -> Result<(), Refusal> {
    while !buffers.is_empty() {
        match step(&buffers, offset) {
            // The file has become shorter, or does not grow.
            Ok(0) => return Err(Refusal::Error),
            Ok(count) => {
                buffers.advance(count);
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The ranges that a request to discard or to zero names.
fn changes(
    disk: &Disk,
    memory: &Memory,
    mut readable: Ranges,
) -> Result<Result<Vec<[u8; RANGE]>, Refusal>, ChainError> {
    let len = readable.len();
    if disk.is_read_only() || len == 0 || !len.is_multiple_of(RANGE) || len / RANGE > MOST_RANGES as usize {
        return Ok(Err(Refusal::Error));
    }
    let mut ranges = vec![[0; RANGE]; len / RANGE];
    for range in &mut ranges {
        readable.read_front(memory, range)?;
    }
    Ok(Ok(ranges))
}

fn change(disk: &Disk, bytes: [u8; RANGE], is_discard: bool) -> Result<(), Refusal> {
    let [low, high, sectors, flags] = words(bytes);
    let allowed = if is_discard { 0 } else { UNMAP };
    if flags & !allowed != 0 {
        return Err(Refusal::Unsupported);
    }
    if sectors > if is_discard { MOST_DISCARDED } else { MOST_ZEROED } {
        return Err(Refusal::Error);
    }
    let len = u64::from(sectors) * SECTOR;
    let offset = range(disk, u64::from(high) << 32 | u64::from(low), len)?;
    match len {
        0 => {}
        _ if is_discard => disk.discard(offset, len)?,
        _ => disk.zero(offset, len, flags & UNMAP != 0)?,
    }
    Ok(())
}
