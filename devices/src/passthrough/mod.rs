//! A PCI function of the host as one of the guest's.
//!
//! ```text
//!            configuration space                          BARs                      interrupts
//!   guest ──► registers: a model ──► the function   guest ══► the function    function ══► guest
//!             (nothing else gets through)           (memory slots: no exit)   (events that KVM takes: no exit)
//! ```
//!
//! What the guest finds in configuration space is the model's ([`registers`]): identity and class as they are, BARs at the addresses that
//! this machine gave them, and of the capabilities those that are understood here. Of what the guest writes, bus mastering and
//! interrupts (MSI, MSI-X) reach the function, each through the call that is made for it; everything else stays in the model.
//!
//! BARs stay where they are: the registers can be sized, but moving one only makes it read so. What of a BAR the host does not let this
//! process map (less than a page), and the pages with the table of MSI-X, are reached by exits; the table itself is the model's.
//!
//! The adapter is [`PassedFunction`]; what is behind it, [`HostFunction`] and [`Lines`], the machine implements by VFIO and KVM.

mod function;
mod registers;

pub use function::{HostFunction, Kind, Lines, PassedFunction};
pub use registers::{Bar, Registers, VectorTable, Wanted};

/// BARs of a function.
pub const BARS: usize = 6;
