//! How much of the jail a partition's worker must have, as a person asks for it: `on` or `degraded`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What becomes of a start on a host that lacks a part of the jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JailChoice {
    /// It is refused.
    #[default]
    On,
    /// The worker does without what the host lacks.
    Degraded,
}

/// A text is not a [`JailChoice`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("is not a kind of jail; expected on or degraded")]
pub struct JailError;

impl JailChoice {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::On, Self::Degraded];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Degraded => "degraded",
        }
    }
}

impl FromStr for JailChoice {
    type Err = JailError;

    fn from_str(text: &str) -> Result<Self, JailError> {
        Self::ALL.into_iter().find(|choice| choice.name() == text).ok_or(JailError)
    }
}

impl fmt::Display for JailChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_cannot_be_left_out() {
        for choice in JailChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("off".parse::<JailChoice>(), Err(JailError));
    }
}
