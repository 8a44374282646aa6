//! Devices that are up before the guest runs.
//!
//! Bringing a virtio device up over PCI takes some forty register accesses, each an exit. The host does it instead, through the
//! same registers, and tells the guest in the boot page what it would otherwise have chosen and learnt itself: where the
//! rings are, which doorbell rings for which queue, which interrupt vector the device signals.
//!
//! The rings lie in [`READY_RINGS`](crate::layout::READY_RINGS), each queue on pages of its own, laid out as
//! [`RingLayout`] says. They are empty and zero. All queues of a device signal one vector to the first vCPU.

/// Interrupt vector of the first ready device; the others follow.
pub const FIRST_VECTOR: u32 = 48;
/// Ready devices there may be.
pub const DEVICES: usize = 2;
/// Queues of a ready device that are set up, at most.
pub const QUEUES: usize = 4;

/// A virtqueue that its device uses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadyQueue {
    /// Its number.
    pub index: u16,
    /// Its descriptors, a power of two; 0 if there is no queue.
    pub size: u16,
    /// Zero.
    pub reserved: u32,
    /// Guest-physical address of its rings.
    pub rings: u64,
    /// Guest-physical address of its doorbell: two bytes, to be written with its number.
    pub doorbell: u64,
}

/// A device that is up: DRIVER_OK is set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadyDevice {
    /// Virtio device type (virtio 1.2 chapter 5); 0 if there is no device.
    pub kind: u32,
    /// Its PCI device number.
    pub number: u32,
    /// The features that were agreed on.
    pub features: u64,
    /// The queues that are set up.
    pub queues: [ReadyQueue; QUEUES],
}

/// What the guest's drivers want of a kind of device.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Virtio device type.
    pub kind: u16,
    /// Features besides VIRTIO_F_VERSION_1.
    pub features: u64,
    /// Number and size of each queue.
    pub queues: &'static [(u16, u16)],
}

/// The devices that every partition uses at once: the console without its control queues, whose ports are fixed (see
/// [`port`](crate::control::port)), and the file system.
pub const WISHES: [Wish; DEVICES] = [
    // VIRTIO_CONSOLE_F_MULTIPORT; receive of port 1, transmit of ports 2 and 3, receive of port 4.
    Wish { kind: 3, features: 1 << 1, queues: &[(4, 32), (7, 64), (9, 64), (10, 2)] },
    // The queue of urgent requests, and that of all others.
    Wish { kind: 26, features: 0, queues: &[(0, 8), (1, 128)] },
];

/// Where the parts of a split virtqueue are in its region (virtio 1.2 section 2.7).
///
/// ```text
/// +0          descriptor table   size x 16
/// +available  available ring     flags u16, index u16, size x head u16, used_event u16
/// +used       used ring          flags u16, index u16, size x { head u32, length u32 }, avail_event u16     4 modulo 8
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RingLayout {
    /// Offset of the available ring.
    pub available: usize,
    /// Offset of the used ring.
    pub used: usize,
    /// Bytes of everything.
    pub len: usize,
}

impl RingLayout {
    /// For a queue of `size` descriptors.
    #[must_use]
    pub const fn of(size: u16) -> Self {
        let size = size as usize;
        let available = 16 * size;
        // So that the elements of the used ring are aligned to their size.
        let used = (available + 6 + 2 * size).next_multiple_of(8) + 4;
        Self { available, used, len: used + 6 + 8 * size }
    }
}
