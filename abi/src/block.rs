//! Block devices (virtio 1.2 section 5.2): what host and guest both say of them.
//!
//! ```text
//! request, readable   type u32, reserved u32, sector u64 | data to write, or ranges { sector u64, sectors u32, flags u32 }
//! request, writable   data read | status u8
//! ```

/// Bytes of a sector: what everything is counted in.
pub const SECTOR: u64 = 512;
/// Bytes of a request's header.
pub const HEADER: usize = 16;
/// Bytes of a range to discard or to zero.
pub const RANGE: usize = 16;
/// Flag of a range to zero: it may become a hole.
pub const UNMAP: u32 = 1;
/// Bytes from which on the driver may ring for a read although the device looks: the vCPU that asks helps to copy then.
pub const LONG: usize = 256 << 10;
/// Most pieces of data in a request, besides its header and its status.
pub const MOST_SEGMENTS: u16 = 254;
/// Block devices that a partition may have: each takes a place on the bus.
pub const MOST: usize = 16;

/// Feature bits.
pub mod feature {
    /// VIRTIO_BLK_F_SEG_MAX
    pub const SEG_MAX: u64 = 1 << 2;
    /// VIRTIO_BLK_F_RO
    pub const RO: u64 = 1 << 5;
    /// VIRTIO_BLK_F_BLK_SIZE
    pub const BLK_SIZE: u64 = 1 << 6;
    /// VIRTIO_BLK_F_FLUSH
    pub const FLUSH: u64 = 1 << 9;
    /// VIRTIO_BLK_F_TOPOLOGY
    pub const TOPOLOGY: u64 = 1 << 10;
    /// VIRTIO_BLK_F_CONFIG_WCE
    pub const CONFIG_WCE: u64 = 1 << 11;
    /// VIRTIO_BLK_F_DISCARD
    pub const DISCARD: u64 = 1 << 13;
    /// VIRTIO_BLK_F_WRITE_ZEROES
    pub const WRITE_ZEROES: u64 = 1 << 14;
}

/// Types of requests.
pub mod kind {
    /// VIRTIO_BLK_T_IN
    pub const IN: u32 = 0;
    /// VIRTIO_BLK_T_OUT
    pub const OUT: u32 = 1;
    /// VIRTIO_BLK_T_FLUSH
    pub const FLUSH: u32 = 4;
    /// VIRTIO_BLK_T_GET_ID
    pub const GET_ID: u32 = 8;
    /// VIRTIO_BLK_T_DISCARD
    pub const DISCARD: u32 = 11;
    /// VIRTIO_BLK_T_WRITE_ZEROES
    pub const WRITE_ZEROES: u32 = 13;
}

/// Results of requests.
pub mod status {
    /// VIRTIO_BLK_S_OK
    pub const OK: u8 = 0;
    /// VIRTIO_BLK_S_IOERR
    pub const IO_ERROR: u8 = 1;
    /// VIRTIO_BLK_S_UNSUPP
    pub const UNSUPPORTED: u8 = 2;
    /// The host's file system has no room for it. The specification knows no such status; drivers take those that they do
    /// not know for an error of the disk.
    pub const NO_SPACE: u8 = 0x80;
}

/// Where things are in the configuration space.
///
/// ```text
/// +0  capacity, sectors u64    +8  size_max u32    +12 seg_max u32    +16 geometry u32    +20 blk_size u32
/// +24 blocks a physical block (exponent) u8, alignment u8, min_io_size u16, opt_io_size u32 (blocks)
/// +32 writeback u8    +34 num_queues u16    +36 max_discard_sectors u32, max_discard_seg u32, alignment (sectors) u32
/// +48 max_write_zeroes_sectors u32, max_write_zeroes_seg u32, may_unmap u8
/// ```
pub mod config {
    /// Sectors.
    pub const CAPACITY: usize = 0;
    /// Most pieces of data.
    pub const SEG_MAX: usize = 12;
    /// Bytes of a logical block.
    pub const BLOCK_SIZE: usize = 20;
    /// Logical blocks a physical one, as a power of two.
    pub const PHYSICAL_EXPONENT: usize = 24;
    /// Smallest sensible transfer, blocks.
    pub const MIN_IO: usize = 26;
    /// Whether writes are cached.
    pub const WRITEBACK: usize = 32;
    /// Queues.
    pub const QUEUES: usize = 34;
    /// Sectors in a range to discard.
    pub const MOST_DISCARDED: usize = 36;
    /// Ranges to discard.
    pub const DISCARD_RANGES: usize = 40;
    /// Sectors that a range to discard should be aligned to.
    pub const DISCARD_ALIGNMENT: usize = 44;
    /// Sectors in a range to zero.
    pub const MOST_ZEROED: usize = 48;
    /// Ranges to zero.
    pub const ZERO_RANGES: usize = 52;
    /// Whether zeroing may make holes.
    pub const MAY_UNMAP: usize = 56;
    /// Bytes of all.
    pub const LEN: usize = 60;
}
