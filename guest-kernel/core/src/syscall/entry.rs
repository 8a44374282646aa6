//! One line of the system-call table.

use septum_abi::linux::Errno;

/// Answers a system call: its six arguments as the registers have them, to its result. An adapter that narrows the
/// arguments to their types and calls a `sys_…` function.
pub type Handler<C> = fn(&C, [u64; 6]) -> Result<usize, Errno>;

/// How much of a system call there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As Linux, within what the notes say.
    Full,
    /// Some flags or cases are missing; the notes say which.
    Partial,
    /// Accepted, and without effect.
    Accepted,
    /// Always the error that the notes name.
    Refused,
}

/// A system call: its number, what answers it, and what `docs/syscalls.md` says of it.
pub struct Entry<C> {
    /// Number, as in [`septum_abi::linux::syscall`].
    pub number: usize,
    /// What answers.
    pub handler: Handler<C>,
    /// How much of it there is.
    pub support: Support,
    /// Supported flags and known differences, for the documentation.
    pub notes: &'static str,
}
