//! What a block device offers, and its configuration space (virtio 1.2 section 5.2.4).
//!
//! ```text
//! +0  capacity, sectors u64    +8  size_max u32    +12 seg_max u32    +16 geometry u32    +20 blk_size u32
//! +24 blocks a physical block (exponent) u8, alignment u8, min_io_size u16, opt_io_size u32 (blocks)
//! +32 writeback u8    +34 num_queues u16    +36 max_discard_sectors u32, max_discard_seg u32, alignment (sectors) u32
//! +48 max_write_zeroes_sectors u32, max_write_zeroes_seg u32, may_unmap u8
//! ```

use super::disk::{Disk, SECTOR};

const SEG_MAX: u64 = 1 << 2;
const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
/// VIRTIO_BLK_F_FLUSH
pub(super) const FLUSH: u64 = 1 << 9;
const TOPOLOGY: u64 = 1 << 10;
/// VIRTIO_BLK_F_CONFIG_WCE
pub(super) const CONFIG_WCE: u64 = 1 << 11;
const DISCARD: u64 = 1 << 13;
const WRITE_ZEROES: u64 = 1 << 14;

const LEN: usize = 60;
const WRITEBACK: u64 = 32;

/// Pieces of data in a request, besides its header and its status.
const MOST_SEGMENTS: u32 = 254;
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
    bytes: [u8; LEN],
    may_choose: bool,
}

impl Config {
    pub(super) fn of(disk: &Disk) -> Self {
        let mut bytes = [0; LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let blocks = disk.blocks();
        let in_sectors = |bytes: u32| bytes / 512;
        put(0, &disk.sectors().to_le_bytes());
        put(12, &MOST_SEGMENTS.to_le_bytes());
        put(20, &blocks.logical.to_le_bytes());
        put(24, &[u8::try_from((blocks.physical / blocks.logical).trailing_zeros()).unwrap_or(0), 0]);
        put(26, &u16::try_from(blocks.physical / blocks.logical).unwrap_or(1).to_le_bytes());
        put(32, &[1]);
        put(34, &1_u16.to_le_bytes());
        put(36, &MOST_DISCARDED.to_le_bytes());
        put(40, &MOST_RANGES.to_le_bytes());
        put(44, &in_sectors(blocks.physical).to_le_bytes());
        put(48, &MOST_ZEROED.to_le_bytes());
        put(52, &MOST_RANGES.to_le_bytes());
        put(56, &[1]);
        Self { bytes, may_choose: false }
    }

    pub(super) fn bytes(&self) -> [u8; LEN] {
        self.bytes
    }

    /// The driver has agreed. One that cannot flush gets every write to the disk at once.
    pub(super) fn start(&mut self, can_flush: bool, may_choose: bool) {
        self.bytes[32] = u8::from(can_flush);
        self.may_choose = may_choose;
    }

    /// Only the cache's mode can be written.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        if let (WRITEBACK, [mode @ (0 | 1)], true) = (offset, data, self.may_choose) {
            self.bytes[32] = *mode;
        }
    }

    /// Whether what is written may stay in the host's cache until a flush.
    pub(super) fn is_write_back(&self) -> bool {
        self.bytes[32] != 0
    }
}

const _: () = assert!(SECTOR == 512);
