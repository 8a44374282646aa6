//! The machine: one partition's memory, vCPUs and devices, from boot to its end.
//!
//! ```text
//! core ──► image (guest kernel ELF) ──┐
//!          boot (tables, boot page) ──┼─► Machine ──run──► vcpus ══► run_loop ──► bus ──► devices
//!          cpu (registers, CPUID) ────┘                                 │
//!          outcome ◄── report (what the guest said) ◄───────────────────┘
//! ```
#![forbid(unsafe_code)]

mod boot;
mod bus;
mod commands;
mod core;
mod cpu;
mod devices;
mod exits;
mod functions;
mod guest;
mod image;
mod linux;
mod machine;
mod mailbox;
mod outcome;
mod profile;
mod reading;
mod ready;
mod report;
mod run_loop;
mod service;
mod spec;
mod symbols;
mod tables;
mod thread_name;
mod vcpu_thread;
mod vcpus;

pub use core::{Core, CoreSpec};
pub use linux::{LinuxCore, LinuxError, LinuxMachine, LinuxResources, LinuxSpec};
pub use machine::{Machine, MachineError};
pub use mailbox::{Look, Request, Requests};
pub use outcome::{End, Latencies, Latency, MachineStats, Outcome, PanicReport, StartError, StopReason};
pub use reading::Reading;
pub use septum_memory::{GuestImage, HUGE_PAGE, OwnFile, Pages};
pub use service::{Listener, NewSession, Notice, SessionEnd, Wish, encode_program};
pub use spec::{
    BlockFile, Confine, MachineResources, MachineSpec, MountSpec, Network, PrivilegeChoice, Role, WhenCrowded,
};
