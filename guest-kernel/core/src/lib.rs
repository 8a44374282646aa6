//! The guest kernel proper: Linux's system-call interface in safe Rust, for one program in one partition.
//!
//! * [`syscall`]: one table from numbers to handlers, a file per family;
//! * [`process`]: the program: its threads, identity, signals, and how it is started;
//! * [`memory`]: its address space; [`ipc`]: System V's shared memory and semaphores;
//! * [`fs`]: files; sockets are in [`net`]; [`io`]: how bytes move between files and the program;
//! * [`wait`]: sleeping until something happens; [`ring`]: bytes on their way; [`random`]: random numbers.
//!
//! It runs on [`septum_guest_hal`] and is handed its devices as trait objects (`File`, `Inode`) by the image, so that all of
//! it is also compiled and tested on a host.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod fs;
pub mod io;
pub mod ipc;
pub mod memory;
pub mod names;
pub mod net;
pub mod process;
pub mod random;
pub mod ring;
pub mod syscall;
pub mod wait;
