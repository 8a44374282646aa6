//! What a block device offers, and its configuration space (virtio 1.2 section 5.2.4).

use septum_abi::block::feature::{BLK_SIZE, CONFIG_WCE, DISCARD, FLUSH, RO, SEG_MAX, TOPOLOGY, WRITE_ZEROES};
use septum_abi::block::{MOST_SEGMENTS, SECTOR, config as at};

use super::disk::Disk;
use crate::core::index;

/// Ranges in a request to discard or to zero.
pub(super) const MOST_RANGES: u32 = 16;
/// Sectors in a range to discard.
pub(super) const MOST_DISCARDED: u32 = u32::MAX / 512;
/// Sectors in a range to zero, which may have to be written.
pub(super) const MOST_ZEROED: u32 = (64 << 20) / 512;

pub(super) fn features(disk: &Disk) -> u64 {
    let always = SEG_MAX | BLK_SIZE | FLUSH | TOPOLOGY | CONFIG_WCE;
    always | if disk.is_read_only() { RO } else { DISCARD | WRITE_ZEROES }
}

/// The configuration space.
pub(super) struct Config {
    bytes: [u8; at::LEN],
    may_choose: bool,
}

impl Config {
    pub(super) fn of(disk: &Disk) -> Self {
        let mut bytes = [0; at::LEN];
        let mut put = |start: usize, value: &[u8]| bytes[start..start + value.len()].copy_from_slice(value);
        let blocks = disk.blocks();
        let in_sectors = |bytes: u32| bytes / 512;
        put(at::CAPACITY, &disk.sectors().to_le_bytes());
        put(at::SEG_MAX, &u32::from(MOST_SEGMENTS).to_le_bytes());
        put(at::BLOCK_SIZE, &blocks.logical.to_le_bytes());
        put(
            at::PHYSICAL_EXPONENT,
            &[u8::try_from((blocks.physical / blocks.logical).trailing_zeros()).unwrap_or(0), 0],
        );
        put(at::MIN_IO, &u16::try_from(blocks.physical / blocks.logical).unwrap_or(1).to_le_bytes());
        put(at::WRITEBACK, &[1]);
        put(at::QUEUES, &1_u16.to_le_bytes());
        put(at::MOST_DISCARDED, &MOST_DISCARDED.to_le_bytes());
        put(at::DISCARD_RANGES, &MOST_RANGES.to_le_bytes());
        put(at::DISCARD_ALIGNMENT, &in_sectors(blocks.physical).to_le_bytes());
        put(at::MOST_ZEROED, &MOST_ZEROED.to_le_bytes());
        put(at::ZERO_RANGES, &MOST_RANGES.to_le_bytes());
        put(at::MAY_UNMAP, &[1]);
        Self { bytes, may_choose: false }
    }

    pub(super) fn bytes(&self) -> [u8; at::LEN] {
        self.bytes
    }

    /// The driver has agreed. One that cannot flush gets every write to the disk at once.
    pub(super) fn start(&mut self, can_flush: bool, may_choose: bool) {
        self.bytes[at::WRITEBACK] = u8::from(can_flush);
        self.may_choose = may_choose;
    }

    /// Only the cache's mode can be written.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        if let ([mode @ (0 | 1)], true) = (data, self.may_choose && index(offset) == at::WRITEBACK) {
            self.bytes[at::WRITEBACK] = *mode;
        }
    }

    /// Whether what is written may stay in the host's cache until a flush.
    pub(super) fn is_write_back(&self) -> bool {
        self.bytes[at::WRITEBACK] != 0
    }
}

const _: () = assert!(SECTOR == 512);
