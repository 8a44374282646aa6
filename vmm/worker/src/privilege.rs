//! Which privilege mode a partition gets.
//!
//! `single` and `ring0` are taken at their word; `auto` is decided here.

use septum_abi::boot::Privilege;
use septum_api_types::privilege::PrivilegeChoice;

/// What `auto` means.
const AUTO: Privilege = Privilege::Ring0;

/// The mode for this choice on this host.
pub(crate) fn choose(choice: PrivilegeChoice) -> Privilege {
    match choice {
        PrivilegeChoice::Auto => AUTO,
        PrivilegeChoice::Ring0 => Privilege::Ring0,
        PrivilegeChoice::Single => Privilege::Single,
    }
}
