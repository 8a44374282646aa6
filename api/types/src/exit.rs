//! Exit statuses: what `septum run` tells the process that called it.
//!
//! ```text
//! 0..=127      the program's own status (a program may also exit with 128..=255; Septum does not change it)
//! 128 + N      the program was killed by signal N
//! 241..=251    the partition could not run, or did not end by itself: [`Code`]
//! ```
//!
//! A program that itself exits with 241..=251 is told from Septum by the message on standard error, and by
//! `end` in the statistics.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Septum's own exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Code {
    /// The command line is wrong.
    Usage = 241,
    /// This host cannot run partitions.
    Host = 242,
    /// The program could not be started.
    Program = 243,
    /// A volume, root, working directory or output file cannot be used.
    Path = 244,
    /// The partition's memory is too small to start the program.
    Memory = 245,
    /// The time limit passed.
    Timeout = 246,
    /// The worker process died.
    Worker = 247,
    /// The guest kernel panicked.
    Panic = 248,
    /// The guest broke the protocol, or Septum itself failed.
    Internal = 249,
    /// The program was killed because the partition's memory ran out.
    OutOfMemory = 250,
    /// A Linux guest reset its machine: a restart, or a panic with `panic=-1`.
    Restarted = 251,
}

impl Code {
    /// All of them, in numerical order.
    pub const ALL: [Self; 11] = [
        Self::Usage,
        Self::Host,
        Self::Program,
        Self::Path,
        Self::Memory,
        Self::Timeout,
        Self::Worker,
        Self::Panic,
        Self::Internal,
        Self::OutOfMemory,
        Self::Restarted,
    ];

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The name in JSON and documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Host => "host",
            Self::Program => "program",
            Self::Path => "path",
            Self::Memory => "memory",
            Self::Timeout => "timeout",
            Self::Worker => "worker",
            Self::Panic => "panic",
            Self::Internal => "internal",
            Self::OutOfMemory => "out_of_memory",
            Self::Restarted => "restarted",
        }
    }

    /// The one with this number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// What it means, in two or three words, for lists.
    #[must_use]
    pub fn in_short(self) -> &'static str {
        match self {
            Self::Usage => "wrong command line",
            Self::Host => "not on this host",
            Self::Program => "no such program",
            Self::Path => "unusable path",
            Self::Memory => "too little memory",
            Self::Timeout => "time limit",
            Self::Worker => "worker died",
            Self::Panic => "kernel panic",
            Self::Internal => "internal error",
            Self::OutOfMemory => "out of memory",
            Self::Restarted => "guest restarted",
        }
    }

    /// What it means, in one line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Usage => "the command line is wrong",
            Self::Host => "this host cannot run partitions",
            Self::Program => "the program could not be started",
            Self::Path => "a volume, root, working directory or output file cannot be used",
            Self::Memory => "the partition's memory is too small to start the program",
            Self::Timeout => "the time limit passed and the partition was stopped",
            Self::Worker => "the worker process died",
            Self::Panic => "the guest kernel panicked",
            Self::Internal => "the guest broke the protocol, or Septum itself failed",
            Self::OutOfMemory => "the program was killed because the partition's memory ran out",
            Self::Restarted => "the Linux guest restarted, or panicked with panic=-1",
        }
    }

    /// What to do about it, when nothing more specific is known.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Usage => "see 'septum run --help'",
            Self::Host => "run 'septum doctor'",
            Self::Program => "check the program's path, permissions and architecture",
            Self::Path => "check that the path exists and that you may use it",
            Self::Memory | Self::OutOfMemory => "give more with --memory",
            Self::Restarted => {
                "its console tells why; --restart on-failure starts one in the background again"
            }
            Self::Timeout => "give more time with --timeout, or none",
            Self::Worker => "see the kernel's log for the reason (dmesg), then try again",
            Self::Panic => "this is a defect of Septum: report it with the text above",
            Self::Internal => "this is a defect of Septum: report it with the output of -v",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.number())
    }
}

/// The status for a program that a signal killed.
#[must_use]
pub fn of_signal(signal: u32) -> u8 {
    u8::try_from(signal).ok().and_then(|signal| 128_u8.checked_add(signal)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_consecutive_and_names_are_those_of_json() {
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), 241 + index);
            assert_eq!(Code::of_number(code.number()), Some(code));
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.name()));
        }
    }

    #[test]
    fn signals() {
        assert_eq!(of_signal(9), 137);
        assert_eq!(of_signal(64), 192);
        assert_eq!(of_signal(1000), 255);
    }
}
