//! The contract between the host and the guest kernel.
//!
//! Everything that both sides must agree on lives here, once: where things are in guest memory
//! ([`layout`]), the page the guest kernel is entered with ([`boot`]), the program it has to start
//! ([`config`]), what it reports back ([`report`], [`counters`]), the clock that the vDSO reads ([`clock`]), the messages of
//! the console's control port ([`control`]), what the host wants of a kernel that runs ([`service`]), how sockets leave the partition ([`net`], [`vsock`]) and the Linux numbers that the guest kernel speaks ([`linux`]).
//!
//! The host treats every value that it reads from guest memory as hostile, whatever its type here says.
//! Structures are `repr(C)`, little endian, and made of integers only, so that any bit pattern is valid.
#![no_std]
#![forbid(unsafe_code)]

pub mod block;
pub mod boot;
pub mod clock;
pub mod config;
pub mod control;
pub mod counters;
pub mod layout;
pub mod linux;
pub mod net;
pub mod ram;
pub mod ready;
pub mod report;
pub mod service;
pub mod vsock;

/// Version of this contract. The worker refuses a guest kernel built for another one.
pub const VERSION: u32 = 17;
