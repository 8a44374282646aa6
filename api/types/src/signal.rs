//! Signals as people name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names of signals 1 to 31, without `SIG` (signal(7), x86-64).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The first and the last real-time signal, as the C library counts them.
const REAL_TIME: (i32, i32) = (34, 64);

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Signal(i32);

impl Signal {
    /// Asks a program to end.
    pub const TERM: Self = Self(15);
    /// Kills it.
    pub const KILL: Self = Self(9);

    /// The number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for Signal {
    type Error = &'static str;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        if (1..=REAL_TIME.1).contains(&number) { Ok(Self(number)) } else { Err("is not a signal") }
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

impl FromStr for Signal {
    type Err = String;

    /// `TERM`, `SIGTERM`, `15`, `RTMIN+1`, `RTMAX-1`; in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let offset = |rest: &str, sign: &str| match rest {
            "" => Some(0),
            _ => rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from),
        };
        let real_time = |number: i32| (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number);
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            offset(rest, "+").and_then(|offset| real_time(REAL_TIME.0 + offset))
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            offset(rest, "-").and_then(|offset| real_time(REAL_TIME.1 - offset))
        } else if name == "POLL" {
            Some(29)
        } else if let Some(index) = NAMES.iter().position(|known| *known == name) {
            i32::try_from(index + 1).ok()
        } else {
            upper.parse().ok()
        };
        number.and_then(|number| Self::try_from(number).ok()).ok_or_else(|| {
            format!("'{text}' is not a signal; expected a name such as TERM, or a number from 1 to 64")
        })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = usize::try_from(self.0 - 1).ok().and_then(|index| NAMES.get(index));
        match name {
            Some(name) => write!(out, "SIG{name}"),
            None if self.0 < REAL_TIME.0 => write!(out, "{}", self.0),
            None => write!(out, "SIGRTMIN+{}", self.0 - REAL_TIME.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let number = |text: &str| text.parse::<Signal>().map(Signal::number).ok();
        for (text, expected) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("15", 15),
            ("usr1", 10),
            ("SIGSYS", 31),
            ("POLL", 29),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "SIG", "0", "65", "-9", "TERMINATE", "RTMIN-1", "RTMIN+31", "RTMAX+1", "SIG 9", "9x"]
        {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn they_are_told_by_name() {
        for number in 1..=64 {
            let signal = Signal::try_from(number).unwrap();
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
        assert!(
            serde_json::from_str::<Signal>("0").is_err() && serde_json::from_str::<Signal>("65").is_err()
        );
    }
}
