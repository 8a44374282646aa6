//! What holds a worker that somebody has taken over.
//!
//! ```text
//!   fork ─► root of its own ─► privileges dropped ─► machine built ─► filters ─► the guest runs
//!           (rootfs)           (privileges)                           (filter)
//! ```
//!
//! Each thread may make the system calls that its [role](Role) needs; which those are is one table ([`policy`]). A call that is in
//! none of its groups ends the worker with SIGSYS, and the supervisor says which call it was ([`report`]).
//!
//! What holds from the moment when the guest runs:
//!
//! * Every thread has a filter, and every thread that is started later has that of the one that started it. None can be taken off.
//! * No memory can be made executable, no program executed, no process started, no other process touched.
//! * Threads share their memory: who has taken over one of them may make another do something. What the worker can do is therefore what
//!   all its roles together can; a narrow role makes it harder, not impossible
//!   ([0044](../../../docs/decisions/0044-a-filter-for-each-thread.md)).
//!
//! Neighbours: `entry` calls this in the order above; `septum-machine` calls [`Filters::confine`] on each of its threads.

use rustix::thread::CapabilitySet;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;

mod bpf;
mod filter;
mod landlock;
mod policy;
mod privileges;
pub(crate) mod report;

pub(crate) use filter::Filters;
pub use landlock::Landlock;
pub(crate) use landlock::{Left, Terminals, restrict};
pub(crate) use privileges::{drop_privileges, volunteer};

/// Leaves the calling process, which has one thread, the host's network and nothing else.
///
/// # Errors
/// The host lacks something, and may not.
pub(crate) fn confine_broker(jail: JailChoice) -> Result<(), Failure> {
    privileges::keep_of_privileges(CapabilitySet::empty())?;
    landlock::restrict_to_network(jail)?;
    filter::confine_broker(jail)
}

#[cfg(test)]
use {report::Forbidden, septum_machine::Role};

#[cfg(test)]
mod tests;
