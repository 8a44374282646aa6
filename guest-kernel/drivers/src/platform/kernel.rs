//! In the kernel: the real thing.

use alloc::vec::Vec;
pub use septum_guest_hal::cpu::timestamp;
pub use septum_guest_hal::dma::Region;
use septum_guest_hal::frame::Frame;
pub use septum_guest_hal::interrupt::Line;
pub use septum_guest_hal::mmio::Registers;

pub use septum_guest_hal::park::{look_when_interrupted, unpark};

/// Waits until `condition`, which is given the number to be woken by, gives something, halting in between. A device interrupts, or
/// somebody [unparks](unpark) it.
pub fn wait_by_name<T>(condition: impl FnMut(u32) -> Option<T>) -> T {
    septum_guest_hal::interrupt::wait_by_name(condition)
}

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
