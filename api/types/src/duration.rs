//! Spans of time as people type them: `500ms`, `10s`, `1.5m`, `1h`; a number alone is seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::size::split_number;

/// A span of time; nanoseconds, at most 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Nanoseconds.
    pub ns: u64,
}

/// Why a text is not a [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpanError {
    /// Nothing was given.
    #[error("is empty; expected a duration such as 500ms, 10s or 5m")]
    Empty,
    /// It does not start with a number.
    #[error("is not a duration; expected a number and a unit, such as 500ms, 10s or 5m")]
    NotANumber,
    /// The number is followed by something else than a unit.
    #[error("has the unknown unit '{0}'; the units are us, ms, s, m, h and d")]
    Unit(String),
    /// More than 584 years.
    #[error("is too long")]
    TooLong,
    /// No time at all.
    #[error("is no time at all")]
    Zero,
}

impl Span {
    /// As the standard library's type.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_nanos(self.ns)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SpanError::Empty);
        }
        let (number, unit) = split_number(text).ok_or(SpanError::NotANumber)?;
        let scale = match unit.to_ascii_lowercase().as_str() {
            "ns" => 1,
            "us" | "\u{b5}s" => 1_000,
            "ms" => 1_000_000,
            "" | "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(SpanError::Unit(unit.to_owned())),
        };
        match number.times(scale).ok_or(SpanError::TooLong)?.cut {
            0 => Err(SpanError::Zero),
            ns => Ok(Self { ns }),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (86_400_000_000_000, "d"),
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        for (scale, unit) in units {
            if self.ns >= scale && self.ns.is_multiple_of(scale) {
                return write!(out, "{}{unit}", self.ns / scale);
            }
        }
        write!(out, "{}ns", self.ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let cases = [
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("10", 10_000_000_000),
            ("0.5", 500_000_000),
            ("1.5m", 90_000_000_000),
            ("1h", 3_600_000_000_000),
            ("2 d", 172_800_000_000_000),
            ("20us", 20_000),
        ];
        for (text, ns) in cases {
            assert_eq!(text.parse(), Ok(Span { ns }), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", SpanError::Empty),
            ("soon", SpanError::NotANumber),
            ("-5s", SpanError::NotANumber),
            ("0s", SpanError::Zero),
            ("5 parsecs", SpanError::Unit("parsecs".to_owned())),
            ("1h30m", SpanError::Unit("h30m".to_owned())),
            ("999999999h", SpanError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Span>(), Err(error), "{text}");
        }
    }

    #[test]
    fn it_prints_as_it_is_typed() {
        for text in ["500ms", "10s", "90s", "5m", "1h", "3d", "7us", "3ns"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
