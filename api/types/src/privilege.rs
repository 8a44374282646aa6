//! Where the guest kernel runs, as a person asks for it: `auto`, `ring0` or `single`.
//!
//! What a partition really got is told by its statistics; how `auto` decides is the worker's business, because only
//! it knows the host.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A wish for a privilege mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivilegeChoice {
    /// What suits this host.
    #[default]
    Auto,
    /// The kernel in ring 0, walled off from the program.
    Ring0,
    /// Kernel and program both in ring 3.
    Single,
}

/// A text is not a [`PrivilegeChoice`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("is not a privilege mode; expected auto, ring0 or single")]
pub struct PrivilegeError;

impl PrivilegeChoice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Ring0, Self::Single];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ring0 => "ring0",
            Self::Single => "single",
        }
    }
}

impl FromStr for PrivilegeChoice {
    type Err = PrivilegeError;

    fn from_str(text: &str) -> Result<Self, PrivilegeError> {
        Self::ALL.into_iter().find(|choice| choice.name() == text).ok_or(PrivilegeError)
    }
}

impl fmt::Display for PrivilegeChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_typed_printed_and_sent() {
        for choice in PrivilegeChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            assert_eq!(serde_json::to_string(&choice).unwrap(), format!("\"{choice}\""));
        }
        assert_eq!("ring1".parse::<PrivilegeChoice>(), Err(PrivilegeError));
        assert_eq!("".parse::<PrivilegeChoice>(), Err(PrivilegeError));
    }
}
