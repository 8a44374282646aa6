//! What a runner in `tests/suites/` (`cpython.py`, `numpy.py`) writes about each test, and the comparison of two runs.
//!
//! ```text
//!   start test.test_os.FileTests.test_access
//!   passed test.test_os.FileTests.test_access
//!   done
//! ```

use std::collections::BTreeMap;
use std::fmt;

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    Error,
    Skipped,
    /// It began, and the program or its time ended.
    Ended,
    /// It did not even begin.
    Missing,
}

impl Verdict {
    const WORDS: [(Self, &'static str); 6] = [
        (Self::Passed, "passed"),
        (Self::Failed, "failed"),
        (Self::Error, "error"),
        (Self::Skipped, "skipped"),
        (Self::Ended, "ended"),
        (Self::Missing, "missing"),
    ];

    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(verdict, _)| *verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(verdict, _)| verdict == self).map_or("", |(_, word)| word);
        formatter.write_str(word)
    }
}

/// A test that passes natively and ended otherwise in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub test: String,
    pub verdict: Verdict,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} {}", self.verdict, self.test)
    }
}

/// The tests of one run, by their names.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    tests: BTreeMap<String, Verdict>,
    pub is_complete: bool,
}

impl Verdicts {
    /// Reads what the runner has written so far.
    pub fn parse(text: &str) -> Self {
        let mut verdicts = Self::default();
        for line in text.lines() {
            let (word, test) = line.split_once(' ').unwrap_or((line, ""));
            if word == "done" {
                verdicts.is_complete = true;
            } else if word == "start" {
                verdicts.tests.entry(test.to_owned()).or_insert(Verdict::Ended);
            } else if let Some(verdict) = Verdict::from_word(word) {
                verdicts.say(test, verdict);
            }
        }
        verdicts
    }

    /// Several verdicts may reach one test (subtests, its clean-up): the worst stays.
    fn say(&mut self, test: &str, verdict: Verdict) {
        let entry = self.tests.entry(test.to_owned()).or_insert(verdict);
        if matches!(entry, Verdict::Passed | Verdict::Ended) {
            *entry = verdict;
        }
    }

    pub fn count(&self, wanted: Verdict) -> usize {
        self.tests.values().filter(|verdict| **verdict == wanted).count()
    }

    pub fn len(&self) -> usize {
        self.tests.len()
    }

    fn verdict(&self, test: &str) -> Verdict {
        self.tests.get(test).copied().unwrap_or(Verdict::Missing)
    }

    /// What passed here and not there.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let passed = self.tests.iter().filter(|(_, verdict)| **verdict == Verdict::Passed);
        let differences =
            passed.map(|(test, _)| Difference { test: test.clone(), verdict: other.verdict(test) });
        differences.filter(|difference| difference.verdict != Verdict::Passed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_stays() {
        let verdicts = Verdicts::parse("start a\nfailed a\npassed a\nstart b\nskipped b\ndone 0\n");
        assert_eq!((verdicts.verdict("a"), verdicts.verdict("b")), (Verdict::Failed, Verdict::Skipped));
        assert!(verdicts.is_complete);
    }

    #[test]
    fn what_ended_a_run_and_what_came_after_it_is_different() {
        let native = Verdicts::parse(
            "start a\npassed a\nstart b\npassed b\nstart c\npassed c\nstart d\nfailed d\ndone\n",
        );
        let partition = Verdicts::parse("start a\npassed a\nstart b\n");
        let differences: Vec<String> =
            native.differences(&partition).iter().map(ToString::to_string).collect();
        assert_eq!(differences, ["ended b", "missing c"]);
        assert!(!partition.is_complete);
    }
}
