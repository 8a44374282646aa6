//! Giving up privileges.
//!
//! What is left is what a file server for one partition needs: to create files of the partition's users, in the
//! volumes that the partition may write. In a user namespace even these are worth no more than the caller's own rights.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

/// How much sooner than its supervisor a worker is killed where the host has no memory left (`oom_score_adj`, of 1000).
const SOONER: i32 = 200;

/// Has the host's kernel, where memory runs out, take a partition before what looks after partitions. Done while there is a `/proc`; where that
/// cannot be, the kernel decides as it would have.
pub(crate) fn volunteer() {
    let file = "/proc/self/oom_score_adj";
    let now = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let _ = now.map(|now| std::fs::write(file, (now + SOONER).min(1000).to_string()));
}

/// Drops all other capabilities for good, from this thread and all that it starts. No process of the same user may look into this one from here
/// on, workers of other partitions among them, and what is in its memory is written nowhere if it crashes.
pub(crate) fn drop_privileges() -> Result<(), Failure> {
    keep_of_privileges(
        CapabilitySet::CHOWN
            | CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::FOWNER
            | CapabilitySet::FSETID
            | CapabilitySet::SETGID
            | CapabilitySet::SETUID,
    )
}

/// The same, with these capabilities left, as far as they are there.
pub(super) fn keep_of_privileges(kept: CapabilitySet) -> Result<(), Failure> {
    let failure =
        |error| Failure::new(Code::Internal, "cannot give up privileges", crate::outcome::reason(error));
    set_no_new_privs(true).map_err(failure)?;
    let held = rustix::thread::capabilities(None).map_err(failure)?;
    let kept = held.permitted & kept;
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )
    .map_err(failure)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(failure)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failure)
}
