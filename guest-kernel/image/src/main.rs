//! The guest kernel's image: hal, core and drivers put together.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod kernel;
#[cfg(target_os = "none")]
mod mounts;
#[cfg(target_os = "none")]
mod service;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is the guest kernel; it is built for x86_64-unknown-none and runs inside a partition");
}
