//! The differences that are known, each with its reason: `tests/suites/exceptions.txt`.
//!
//! ```text
//!   [cpython]
//!   test.test_posix.PosixTester.test_sched_rr_get_interval: there is no such call here, because …
//! ```

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

const PATH: &str = "tests/suites/exceptions.txt";

/// The file's contents: reasons by suite and test.
pub struct Exceptions {
    reasons: BTreeMap<(String, String), String>,
}

impl Exceptions {
    /// Reads the file. A line that is no exception is an error: it would explain nothing.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let text =
            fs::read_to_string(workspace.root().join(PATH)).with_context(|| format!("cannot read {PATH}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut reasons = BTreeMap::new();
        let mut suite = None;
        for (index, line) in
            text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        {
            let number = index + 1;
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                suite = Some(name.to_owned());
                continue;
            }
            let suite =
                suite.clone().with_context(|| format!("{PATH}:{number}: a test before the first [suite]"))?;
            match line.split_once(": ") {
                Some((test, reason)) if !reason.trim().is_empty() => {
                    reasons.insert((suite, test.to_owned()), reason.to_owned());
                }
                _ => bail!("{PATH}:{number}: not of the form `TEST: REASON`"),
            }
        }
        Ok(Self { reasons })
    }

    /// Why a test is allowed to differ.
    pub fn reason(&self, suite: &str, test: &str) -> Option<&str> {
        self.reasons.get(&(suite.to_owned(), test.to_owned())).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_belongs_to_one_test_of_one_suite() {
        let exceptions =
            Exceptions::parse("# text\n\n[cpython]\na.b: why: because\n[stress-ng]\ncpu: slow\n").unwrap();
        assert_eq!(exceptions.reason("cpython", "a.b"), Some("why: because"));
        assert_eq!(exceptions.reason("cpython", "cpu"), None);
    }

    #[test]
    fn a_test_without_a_reason_is_refused() {
        for text in ["[cpython]\na.b\n", "[cpython]\na.b: \n", "a.b: before any suite\n"] {
            assert!(Exceptions::parse(text).is_err(), "{text:?}");
        }
    }
}
