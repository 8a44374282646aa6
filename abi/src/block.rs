//! Block devices, beyond what virtio says of them.

/// Of a request: the host's file system has no room for it. The specification knows no such status; drivers take those that they do
/// not know for an error of the disk.
pub const NO_SPACE: u8 = 0x80;
/// Block devices that a partition may have: each takes a place on the bus.
pub const MOST: usize = 16;
