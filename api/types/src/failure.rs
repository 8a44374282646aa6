//! A failure as a person and a script meet it: what failed, why, what to do next, and the exit status.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exit::Code;

/// Something that kept a partition from running, or ended it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The exit status.
    pub code: Code,
    /// What failed, such as `cannot start 'prog'`.
    pub what: String,
    /// Why, such as `it is a directory`.
    pub why: String,
    /// What to do next.
    pub hint: String,
}

impl Failure {
    /// A failure with the general advice of its code.
    pub fn new(code: Code, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: why.into(), hint: code.advice().to_owned() }
    }

    /// Replaces the advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// `septum: what: why`, then `hint: …` on a line of its own.
impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "septum: {}: {}", self.what, self.why)?;
        if self.hint.is_empty() { Ok(()) } else { write!(out, "\nhint: {}", self.hint) }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_why_and_what_next() {
        let failure = Failure::new(Code::Path, "cannot use volume '/x:/y'", "there is no '/x' on this host");
        assert_eq!(
            failure.clone().hint("create it").to_string(),
            "septum: cannot use volume '/x:/y': there is no '/x' on this host\nhint: create it"
        );
        assert!(failure.to_string().contains("hint: check that the path exists"));
    }
}
