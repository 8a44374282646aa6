//! Virtio over PCI (virtio 1.2 section 4.1), modern only.
//!
//! - [`layout`]: where registers are in the BAR; [`capabilities`]: how a driver finds them.
//! - [`common`]: the registers of device bring-up, a pure model.
//! - `doorbells`: queue notifications as events, without a vCPU exit where they are frequent.
//! - `bring_up`: what a driver does with these, done for a guest before it runs.
//! - `function`: the adapter that joins these with a device, its locks and its interrupts.
//!
//! A guest brings a device up with about a dozen accesses and four per queue: the identity and the capabilities are
//! the same for every device of the platform, wide accesses to the common configuration are allowed (see
//! [`common`]), and vectors may be shared between queues.

mod bring_up;
pub mod capabilities;
pub mod common;
mod doorbells;
mod function;
pub mod layout;

pub use bring_up::{QueueSetup, Setup, Up};
pub use function::VirtioPciFunction;
