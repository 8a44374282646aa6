//! Virtio devices (virtio 1.2): the PCI transport, split queues, and a driver for each kind of device.
//!
//! A driver asks the [`transport`] for its [`queue`]s, shares memory with the device through them, and waits. The
//! device is the host's, and the host is trusted with the partition's life but not with its memory safety: whatever
//! it writes into a ring is checked, and nonsense is EIO.

pub mod balloon;
pub mod block;
pub mod console;
pub mod entropy;
pub mod fs;
pub mod queue;
pub mod ready;
pub mod segment;
pub mod transport;
pub mod vsock;
