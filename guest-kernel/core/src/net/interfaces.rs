//! The network interface that there is: `lo`, with 127.0.0.1 and ::1.

/// Name.
pub const NAME: &[u8] = b"lo";
/// Number.
pub const INDEX: u32 = 1;
/// IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_LOWER_UP
pub const FLAGS: u32 = 1 | 8 | 0x40 | 0x1_0000;
/// Largest packet.
pub const MTU: u32 = 65_536;
/// ARPHRD_LOOPBACK
pub const HARDWARE: u16 = 772;
/// Length of the queue.
pub const QUEUE: u32 = 1000;
