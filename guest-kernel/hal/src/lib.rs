//! The hardware abstraction layer: the only part of the guest kernel that may be unsafe or privileged.
//!
//! Above it everything is safe Rust that does not know which privilege mode the kernel runs in:
//!
//! * [`frame`]: physical memory, as reference-counted frames;
//! * [`paging`]: page tables of a program;
//! * [`cache`], [`features`]: what the CPU says of itself;
//! * [`vcpu`]: which vCPU this is, and starting others; [`park`]: halting one until it is wanted;
//! * [`user`]: running a program until it needs the kernel, and copying its memory; [`trampoline`]: system calls that jump;
//! * `interrupt`: lines that devices signal, and halting until one does;
//! * `mmio`: device registers;
//! * [`sync`]: locks; [`clock`]: time;
//! * `service`: what the host wants of a kernel that runs;
//! * `boot`: what the host said; [`report`]: what it is told.
//!
//! Compiled for a host (tests), physical memory is an array and there is neither a program nor a device.
#![cfg_attr(target_os = "none", no_std)]
#![allow(unsafe_code, reason = "this crate is where the guest kernel's unsafe code lives")]
#![allow(clippy::cast_possible_truncation, reason = "x86-64 only: usize and u64 are the same")]

extern crate alloc;

pub mod address;
#[cfg(target_os = "none")]
pub mod boot;
pub mod cache;
pub mod clock;
#[cfg(target_os = "none")]
pub mod cpu;
pub mod device_memory;
pub mod dma;
pub mod features;
pub mod float;
pub mod frame;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
pub mod interrupt;
#[cfg(target_os = "none")]
mod local;
#[cfg(target_os = "none")]
pub mod mmio;
pub mod paging;
#[cfg(target_os = "none")]
mod panic;
pub mod park;
pub mod report;
pub mod service;
mod shootdown;
#[cfg(target_os = "none")]
mod single;
pub mod sync;
pub mod trampoline;
#[cfg(target_os = "none")]
mod trap;
pub mod user;
mod user_copy;
pub mod vcpu;
pub mod word;
