//! Amounts of memory as people type them: `512M`, `4G`, `1.5G`, `65536`.
//!
//! ```text
//! SIZE   = NUMBER [ UNIT ]
//! NUMBER = digits [ "." digits ]
//! UNIT   = "B" | ( "K" | "M" | "G" | "T" ) [ "iB" | "B" ]      any case; always powers of 1024
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount of memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Size(pub u64);

/// Why a text is not a [`Size`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SizeError {
    /// Nothing was given.
    #[error("is empty; expected a size such as 512M or 4G")]
    Empty,
    /// It does not start with a number.
    #[error("is not a size; expected a number and a unit, such as 512M or 4G")]
    NotANumber,
    /// The number is followed by something else than a unit.
    #[error("has the unknown unit '{0}'; the units are K, M, G and T")]
    Unit(String),
    /// More than 2^64 - 1 bytes.
    #[error("is more than 16 exbibytes")]
    TooLarge,
    /// A fraction of a byte.
    #[error("is not a whole number of bytes")]
    NotWhole,
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SizeError::Empty);
        }
        let (number, unit) = split_number(text).ok_or(SizeError::NotANumber)?;
        let scale: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(SizeError::Unit(unit.to_owned())),
        };
        let scaled = number.times(scale).ok_or(SizeError::TooLarge)?;
        scaled.whole.map(Self).ok_or(SizeError::NotWhole)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(out, "{}{unit}", self.0 >> shift);
            }
        }
        write!(out, "{}", self.0)
    }
}

/// A decimal number `digits × 10^-places`, kept exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: u128,
    places: u32,
}

/// A product of a [`Decimal`] and a unit.
pub(crate) struct Scaled {
    /// The product, if it is a whole number.
    pub(crate) whole: Option<u64>,
    /// The product, cut.
    pub(crate) cut: u64,
}

impl Decimal {
    /// The product, or `None` if it exceeds 64 bits.
    pub(crate) fn times(self, scale: u64) -> Option<Scaled> {
        let product = self.digits.checked_mul(u128::from(scale))?;
        let divisor = 10_u128.pow(self.places);
        let cut = u64::try_from(product / divisor).ok()?;
        Some(Scaled { whole: product.is_multiple_of(divisor).then_some(cut), cut })
    }
}

/// Splits `1.5G` into 1.5 and `G`; `None` if it does not start with a number. A number of more than 18 digits
/// after the point is no number: nobody means it.
pub(crate) fn split_number(text: &str) -> Option<(Decimal, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    if whole.len() > 20 || fraction.len() > 18 {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((Decimal { digits, places: u32::try_from(fraction.len()).ok()? }, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let cases = [
            ("512M", 512 << 20),
            ("512m", 512 << 20),
            ("4G", 4 << 30),
            ("4GiB", 4 << 30),
            ("4 gb", 4 << 30),
            ("1.5G", 3 << 29),
            ("0.5K", 512),
            ("2T", 2 << 40),
            ("65536", 65536),
            ("0", 0),
            ("100B", 100),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", SizeError::Empty),
            ("lots", SizeError::NotANumber),
            ("-1G", SizeError::NotANumber),
            (".5G", SizeError::NotANumber),
            ("1.G", SizeError::NotANumber),
            ("1.2.3G", SizeError::NotANumber),
            ("5Q", SizeError::Unit("Q".to_owned())),
            ("5Gx", SizeError::Unit("Gx".to_owned())),
            ("18446744073709551616", SizeError::TooLarge),
            ("99999999T", SizeError::TooLarge),
            ("1.0001K", SizeError::NotWhole),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Size>(), Err(error), "{text}");
        }
    }

    #[test]
    fn it_prints_as_it_is_typed() {
        for text in ["0", "1", "1023", "1K", "512M", "1536M", "4G", "3T"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
