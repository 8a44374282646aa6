//! The life of the kernel: get the machine ready, find the devices, mount, start the program, run it.
#![allow(unsafe_code, reason = "the entry point has a fixed symbol name")]

use septum_guest_hal::report::{self, End};

septum_guest_hal::entry!(main);

fn main() -> ! {
    septum_guest_hal::log_line!("hello from the kernel");
    report::end(End::Exited(42))
}
