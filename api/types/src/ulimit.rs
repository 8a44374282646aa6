//! A limit on what a process may use, as people type it: `NAME=SOFT[:HARD]`, with Docker's names.
//!
//! The kernel of a partition keeps some of them; the others are what a program is told when it asks. [`Resource::is_enforced`] says
//! which are which.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is limited. The numbers are Linux's (RLIMIT_…, asm-generic/resource.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
pub enum Resource {
    /// Seconds of processor time.
    Cpu = 0,
    /// Bytes of the largest file.
    Fsize = 1,
    /// Bytes of data.
    Data = 2,
    /// Bytes of the first thread's stack.
    Stack = 3,
    /// Bytes of a core dump.
    Core = 4,
    /// Bytes of resident memory.
    Rss = 5,
    /// Processes and threads of the user.
    Nproc = 6,
    /// Open files.
    Nofile = 7,
    /// Bytes that are locked in memory.
    Memlock = 8,
    /// File locks.
    Locks = 10,
    /// Signals that wait.
    Sigpending = 11,
    /// Bytes in message queues.
    Msgqueue = 12,
    /// The highest nice value, as 20 less it.
    Nice = 13,
    /// The highest real-time priority.
    Rtprio = 14,
    /// Microseconds of real-time work without a pause.
    Rttime = 15,
}

impl Resource {
    /// All of them, in the order of their names.
    pub const ALL: [(&'static str, Self); 15] = [
        ("core", Self::Core),
        ("cpu", Self::Cpu),
        ("data", Self::Data),
        ("fsize", Self::Fsize),
        ("locks", Self::Locks),
        ("memlock", Self::Memlock),
        ("msgqueue", Self::Msgqueue),
        ("nice", Self::Nice),
        ("nofile", Self::Nofile),
        ("nproc", Self::Nproc),
        ("rss", Self::Rss),
        ("rtprio", Self::Rtprio),
        ("rttime", Self::Rttime),
        ("sigpending", Self::Sigpending),
        ("stack", Self::Stack),
    ];

    /// Docker's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, resource)| *resource == self).map_or("", |(name, _)| name)
    }

    /// Whether the partition's kernel keeps it, rather than only tell it to programs that ask.
    #[must_use]
    pub fn is_enforced(self) -> bool {
        matches!(self, Self::Cpu | Self::Data | Self::Stack | Self::Nofile | Self::Memlock | Self::Rtprio)
    }

    /// The most that it can be set to, if there is such a thing (`fs.nr_open`).
    fn most(self) -> u64 {
        if self == Self::Nofile { 1 << 20 } else { u64::MAX }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Of what.
    pub resource: Resource,
    /// What counts; `u64::MAX` is no limit.
    pub soft: u64,
    /// What the program itself may raise it to.
    pub hard: u64,
}

/// Why a text is not a [`Ulimit`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UlimitError {
    /// Nothing is given.
    #[error("has no value; expected NAME=SOFT[:HARD], such as nofile=1024:2048")]
    NoValue,
    /// Not a resource.
    #[error("names no limit; expected one of {}", names())]
    Name,
    /// Not a number.
    #[error("is not a number, or -1 for no limit; expected NAME=SOFT[:HARD], such as nofile=1024:2048")]
    Number,
    /// The wrong way round.
    #[error("has a soft limit above the hard one")]
    SoftAboveHard,
    /// More than there can be.
    #[error("is above the most that there can be, which is {0}")]
    TooHigh(u64),
}

fn names() -> String {
    Resource::ALL.map(|(name, _)| name).join(", ")
}

impl FromStr for Ulimit {
    type Err = UlimitError;

    fn from_str(text: &str) -> Result<Self, UlimitError> {
        let (name, value) = text.split_once('=').ok_or(UlimitError::NoValue)?;
        let found = Resource::ALL.iter().find(|(known, _)| *known == name);
        let (_, resource) = *found.ok_or(UlimitError::Name)?;
        let (soft, hard) = value.split_once(':').unwrap_or((value, value));
        let (soft, hard) = (limit(soft)?, limit(hard)?);
        if soft > hard {
            return Err(UlimitError::SoftAboveHard);
        }
        if hard > resource.most() {
            return Err(UlimitError::TooHigh(resource.most()));
        }
        Ok(Self { resource, soft, hard })
    }
}

fn limit(text: &str) -> Result<u64, UlimitError> {
    match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        _ => text.parse().map_err(|_| UlimitError::Number),
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |limit: u64| if limit == u64::MAX { "-1".to_owned() } else { limit.to_string() };
        write!(out, "{}={}:{}", self.resource.name(), text(self.soft), text(self.hard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let cases = [
            ("nofile=64", Resource::Nofile, 64, 64, "nofile=64:64"),
            ("cpu=1:2", Resource::Cpu, 1, 2, "cpu=1:2"),
            ("stack=8388608:-1", Resource::Stack, 8 << 20, u64::MAX, "stack=8388608:-1"),
            ("core=unlimited", Resource::Core, u64::MAX, u64::MAX, "core=-1:-1"),
        ];
        for (text, resource, soft, hard, shown) in cases {
            let limit: Ulimit = text.parse().unwrap();
            assert_eq!(limit, Ulimit { resource, soft, hard }, "{text}");
            assert_eq!(limit.to_string(), shown);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("nofile", UlimitError::NoValue),
            ("files=1", UlimitError::Name),
            ("nofile=", UlimitError::Number),
            ("nofile=-2", UlimitError::Number),
            ("nofile=1:x", UlimitError::Number),
            ("nofile=2:1", UlimitError::SoftAboveHard),
            ("nofile=-1", UlimitError::TooHigh(1 << 20)),
            ("nofile=1:1048577", UlimitError::TooHigh(1 << 20)),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Ulimit>(), Err(error), "{text}");
        }
    }

    #[test]
    fn names_are_in_order_and_numbers_are_linuxs() {
        assert!(Resource::ALL.is_sorted_by_key(|(name, _)| *name));
        assert_eq!((Resource::Nofile as u32, Resource::Rttime as u32, Resource::Locks as u32), (7, 15, 10));
    }
}
