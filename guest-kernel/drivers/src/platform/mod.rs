//! What the drivers need of the machine: device registers and interrupt lines.
//!
//! In the kernel these are the hardware abstraction layer's own types, with nothing in between. On a host, where
//! the drivers are tested, they lead to a machine that the test supplies. Everything above is the same code.

#[cfg(not(target_os = "none"))]
mod host;
#[cfg(target_os = "none")]
mod kernel;

#[cfg(not(target_os = "none"))]
pub use host::{
    Line, Machine, Region, Registers, enter, look_when_interrupted, new_frame, new_frames, timestamp, unpark,
    wait_by_name, zeroed_frame,
};
#[cfg(target_os = "none")]
pub use kernel::{
    Line, Region, Registers, look_when_interrupted, new_frame, new_frames, timestamp, unpark, wait_by_name,
    zeroed_frame,
};
