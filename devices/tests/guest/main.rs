//! Drives every device as a guest does: through configuration space, BARs, rings in guest memory and interrupts.
//!
//! `machine` stands in for the virtual machine, `driver` and `virtqueue` for the guest kernel; both know the virtio
//! specification and nothing of the devices' insides.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod balloon;
mod block;
mod console;
mod driver;
mod entropy;
mod fs;
mod garbage;
mod machine;
mod transport;
mod virtqueue;
mod vsock;
