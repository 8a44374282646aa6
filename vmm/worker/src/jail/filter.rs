//! The policy as filters of the kernel's, made for each worker and put on its threads.
#![allow(unsafe_code, reason = "the system call that takes a filter")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use libc::sock_filter as Instruction;
use rustix::thread::set_no_new_privs;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;
use septum_machine::Role;

use super::bpf::{self, Verdict};
use super::policy::{BROKER, Call, When, groups_of};
use super::report;
use crate::outcome::without_number;

type Program = Vec<Instruction>;

/// The filters of this worker.
#[derive(Clone)]
pub(crate) struct Filters {
    /// `None` on a host that has no filters, and need not have them.
    of_roles: Option<Arc<[(Role, Program)]>>,
}

impl Filters {
    /// Makes those of these roles for the calling process, and makes that ready to tell what they forbid.
    ///
    /// # Errors
    /// The host has no filters.
    pub(crate) fn new(roles: &[Role], jail: JailChoice) -> Result<Self, Failure> {
        if let Err(error) = is_possible().and_then(|()| report::listen()) {
            if jail == JailChoice::Degraded {
                return Ok(Self { of_roles: None });
            }
            let failure =
                Failure::new(Code::Host, "cannot filter the worker's system calls", without_number(&error));
            return Err(failure.hint(
                "this needs a kernel with CONFIG_SECCOMP_FILTER, as those of all distributions are; --jail degraded goes on without",
            ));
        }
        let process = std::process::id();
        let of_role = |&role| (role, program(groups_of(role), process));
        Ok(Self { of_roles: Some(roles.iter().map(of_role).collect()) })
    }

    /// Puts the filter of `role` on the calling thread, and on all that it starts from here on; for good. A thread without its filter
    /// must not run, so what cannot be done ends the process; it could be done to another thread a moment ago.
    pub(crate) fn confine(&self, role: Role) {
        let Some(of_roles) = &self.of_roles else { return };
        let program = of_roles.iter().find(|(of, _)| *of == role);
        if program.is_none_or(|(_, program)| apply(program).is_err()) {
            std::process::abort();
        }
    }
}

/// Puts the broker's filter on the calling thread, the only one of its process.
///
/// # Errors
/// The host has no filters, and should.
pub(super) fn confine_broker(jail: JailChoice) -> Result<(), Failure> {
    // It makes none for roles, and makes ready to tell.
    let filters = Filters::new(&[], jail)?;
    if filters.of_roles.is_none() {
        return Ok(());
    }
    apply(&program(BROKER, std::process::id())).map_err(|error| {
        Failure::new(Code::Host, "cannot filter the broker's system calls", without_number(&error))
    })
}

/// Whether the host's kernel takes filters that raise SIGSYS.
fn is_possible() -> io::Result<()> {
    let action = libc::SECCOMP_RET_TRAP;
    seccomp(libc::SECCOMP_GET_ACTION_AVAIL, (&raw const action).cast())
}

/// Puts a filter on the calling thread.
fn apply(program: &[Instruction]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // Without it, only who has CAP_SYS_ADMIN may filter.
    set_no_new_privs(true)?;
    seccomp(libc::SECCOMP_SET_MODE_FILTER, (&raw const program).cast())
}

fn seccomp(operation: libc::c_uint, argument: *const libc::c_void) -> io::Result<()> {
    // SAFETY:
    // 1. `argument` is what the operation takes: a number, or a program, both of which outlive the call and are only read.
    // 2. A program that is none is refused.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, argument) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a thread with these groups of calls may do. Anything else raises SIGSYS, and a second time kills. `clone3` is answered with ENOSYS, because its
/// flags are where no filter can see them: the C library then calls `clone`.
fn program(groups: &[&[Call]], process: u32) -> Vec<Instruction> {
    let known = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let verdict = |when| if let When::Always = when { Verdict::Allow } else { Verdict::Only(when) };
    let calls = groups.iter().copied().flatten();
    let mut verdicts: BTreeMap<u32, Verdict> =
        calls.map(|&(number, when)| (known(number), verdict(when))).collect();
    verdicts.insert(known(libc::SYS_clone3), Verdict::Error(ENOSYS));
    bpf::program(&verdicts, process)
}

const ENOSYS: u16 = 38;
