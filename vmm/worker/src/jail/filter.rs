//! The policy as filters of the kernel's, compiled for each worker and put on its threads.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_machine::Role;

use super::policy::{When, groups_of};
use super::report;
use crate::outcome::without_number;

const ARCHITECTURE: TargetArch = TargetArch::x86_64;

/// The filters of this worker.
#[derive(Clone)]
pub(crate) struct Filters {
    of_roles: Arc<[(Role, BpfProgram)]>,
}

impl Filters {
    /// Compiles those of these roles for the calling process, makes it ready to tell what they forbid, and puts on the calling thread
    /// what all threads have that it starts from here on: `clone3` is answered with ENOSYS, because its flags are where no filter can
    /// see them. The C library then calls `clone`.
    ///
    /// # Errors
    /// The host has no filters, or the policy is none.
    pub(crate) fn new(roles: &[Role]) -> Result<Self, Failure> {
        let wrong = |error: BackendError| {
            Failure::new(Code::Internal, "cannot make the system-call filters", error.to_string())
        };
        let process = std::process::id();
        let compile = |role: Role| Ok((role, program(role, process)?));
        let of_roles = roles.iter().map(|&role| compile(role)).collect::<Result<_, _>>().map_err(wrong)?;
        let of_all = refusing_clone3().map_err(wrong)?;
        report::listen().and_then(|()| apply_filter(&of_all).map_err(to_io)).map_err(|error| {
            Failure::new(Code::Host, "cannot filter the worker's system calls", without_number(&error))
                .hint("this needs a kernel with CONFIG_SECCOMP_FILTER, as those of all distributions are")
        })?;
        Ok(Self { of_roles })
    }

    /// Puts the filter of `role` on the calling thread, and on all that it starts from here on; for good. A thread without its filter
    /// must not run, so what cannot be done ends the process; it could be done to another thread a moment ago.
    pub(crate) fn confine(&self, role: Role) {
        let program = self.of_roles.iter().find(|(of, _)| *of == role);
        if program.is_none_or(|(_, program)| apply_filter(program).is_err()) {
            std::process::abort();
        }
    }
}

fn to_io(error: seccompiler::Error) -> io::Error {
    match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// What the thread of a role may do. Anything else raises SIGSYS, and a second time kills.
fn program(role: Role, process: u32) -> Result<BpfProgram, BackendError> {
    let mut rules = BTreeMap::new();
    rules.insert(libc::SYS_clone3, Vec::new());
    for &(number, when) in groups_of(role).iter().copied().flatten() {
        rules.insert(number, rules_of(when, process)?);
    }
    SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, ARCHITECTURE)?.try_into()
}

fn refusing_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let refusal = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, ARCHITECTURE)?.try_into()
}

/// Any of these; none at all means always.
fn rules_of(when: When, process: u32) -> Result<Vec<SeccompRule>, BackendError> {
    alternatives(when, process)?.into_iter().map(SeccompRule::new).collect()
}

/// Conditions of which all of one row must hold.
fn alternatives(when: When, process: u32) -> Result<Vec<Vec<SeccompCondition>>, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let one = |argument, length, operator, value| {
        Ok(vec![SeccompCondition::new(argument, length, operator, value)?])
    };
    match when {
        When::Always => Ok(Vec::new()),
        When::In(argument, values) => {
            values.iter().map(|&value| one(argument, Dword, SeccompCmpOp::Eq, value.into())).collect()
        }
        When::Masked(argument, mask, values) => {
            let masked = SeccompCmpOp::MaskedEq(mask.into());
            values.iter().map(|&value| one(argument, Dword, masked.clone(), value.into())).collect()
        }
        When::Without(argument, bits) => Ok(vec![one(argument, Qword, SeccompCmpOp::MaskedEq(bits), 0)?]),
        When::OwnProcess(argument) => Ok(vec![one(argument, Dword, SeccompCmpOp::Eq, process.into())?]),
    }
}
