//! In the kernel: the real thing.

use alloc::vec::Vec;
pub use septum_guest_hal::cpu::timestamp;
pub use septum_guest_hal::dma::Region;
use septum_guest_hal::frame::Frame;
pub use septum_guest_hal::interrupt::Line;
pub use septum_guest_hal::mmio::Registers;

/// A frame with unspecified contents; `None` if memory ran out.
pub fn new_frame() -> Option<Frame> {
    Frame::uninit()
}

/// A frame of zeros; `None` if memory ran out.
pub fn zeroed_frame() -> Option<Frame> {
    Frame::zeroed()
}

/// Up to `count` frames with unspecified contents, appended to `frames`.
pub fn new_frames(count: usize, frames: &mut Vec<Frame>) {
    Frame::uninit_many(count, frames);
}
