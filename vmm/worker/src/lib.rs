//! The worker: the one process that a partition lives in.
//!
//! ```text
//!   septum run                                worker (forked)
//!   ──────────                                ────────────────────────────────────────────
//!   supervisor ──── Stop ───────────────────► entry ─► rootfs ─► program ─► machine ─► outcome
//!        ▲                                      │
//!        └───────── Stage, Ended ◄──────────────┘          fds 0, 1, 2: the caller's own
//! ```
//!
//! One with a network has a [`broker`] beside it, forked as well, that makes its connections.
//!
//! Both sides of that socket live in this crate, so that whoever starts partitions (the command line today) only
//! sees [`supervisor::run`]: an order in, the end out.
//!
//! What holds at every moment:
//!
//! * The worker dies with its supervisor (parent-death signal), the partition dies with its worker (its memory and
//!   vCPUs are the worker's), and the supervisor never returns before the worker is gone.
//! * Before the machine is built, the worker has left the host's file system: its root is a small composed tree
//!   ([`rootfs`]) that holds what the partition may see and nothing else, and of its capabilities only those are left
//!   that serving files needs.
//! * Nothing that a guest or a file contains ends the worker by a panic: every failure becomes a
//!   [`Failure`](septum_api_types::failure::Failure) with a reason and an advice.
//!
//! Neighbours: `septum-machine` builds and runs the virtual machine; `septum-api-types` defines what both sides say.
#![warn(missing_docs)]

mod broker;
mod counting;
mod disks;
mod ending;
mod entry;
mod environment;
mod forked;
mod functions;
pub mod huge_pages;
mod jail;
mod judgement;
pub mod keeping;
mod network;
mod outcome;
mod program;
mod protocol;
mod rootfs;
mod stages;
mod streams;
pub mod supervisor;
pub mod terminal;
mod usage;

pub use jail::Landlock;
pub use judgement::judge;
pub use protocol::{End, Ended, Order, Stage, StopCause};
pub use stages::now_ns;

/// What the caller should know if they stand in a home directory, which is not shared whole.
#[must_use]
pub fn unshared_directory(spec: &septum_api_types::spec::PartitionSpec) -> Option<String> {
    rootfs::unshared_directory(spec)
}

pub use streams::standard_streams_open;
