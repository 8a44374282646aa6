//! Which privilege mode a partition gets.
//!
//! `auto` is ring 0 wherever the processor has one for guests, and ring 3 where the host's KVM would emulate it: tried out in
//! a virtual machine of a few instructions, which takes a millisecond or two. What a person asks for is taken at its word
//! if it can be.

use septum_abi::boot::Privilege;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::privilege::PrivilegeChoice;
use septum_hypervisor::{Kvm, stays_in_ring3};

use crate::outcome;

/// The mode for this choice on this host.
///
/// # Errors
/// KVM refused the trial, or single-privilege mode is asked for where it cannot be.
pub(crate) fn choose(choice: PrivilegeChoice, kvm: &Kvm) -> Result<Privilege, Failure> {
    if choice == PrivilegeChoice::Ring0 {
        return Ok(Privilege::Ring0);
    }
    let is_possible = stays_in_ring3(kvm).map_err(outcome::kvm_failure)?;
    match (is_possible, choice) {
        (true, _) => Ok(Privilege::Single),
        (false, PrivilegeChoice::Single) => Err(Failure::new(
            Code::Usage,
            "the guest kernel cannot run in single-privilege mode",
            "on this host a system call leaves ring 3: the processor itself has a ring 0 for guests",
        )),
        (false, _) => Ok(Privilege::Ring0),
    }
}
