//! Counting results: a test program's output is shown as it comes and read at the same time.
//!
//! Three kinds of lines matter: libtest's own result line, its line for a failed test, and the line by
//! which a test of ours says that it could not run (libtest would call it passed):
//!
//! ```text
//!   test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
//!   test conformance::hello_static ... FAILED
//!   SKIPPED conformance::hello_static: /dev/kvm: No such file or directory (os error 2)
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process;

/// What takes less time is not told of.
const WORTH_TELLING: Duration = Duration::from_secs(20);

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// It did not run.
    Skipped,
}

/// Sums over any number of test programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Those of the skipped that libtest counted as passed.
    skipped_as_passed: usize,
    failures: Vec<String>,
    /// What failed first and passed then.
    second_tries: Vec<String>,
    verdicts: BTreeMap<String, Verdict>,
    last_status: Option<i32>,
    /// How long each program took.
    times: Vec<(String, Duration)>,
}

impl Tally {
    /// Adds another tally's counts.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skipped_as_passed += other.skipped_as_passed;
        self.failures.extend(other.failures.iter().cloned());
        self.second_tries.extend(other.second_tries.iter().cloned());
        self.verdicts.extend(other.verdicts.iter().map(|(name, verdict)| (name.clone(), *verdict)));
        self.last_status = other.last_status;
        self.times.extend(other.times.iter().cloned());
    }

    /// Has what takes long told with the rest: what prepares tests takes its time, too.
    pub fn timed<T>(&mut self, label: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begin = Instant::now();
        let result = work()?;
        self.times.push((label.to_owned(), begin.elapsed()));
        Ok(result)
    }

    /// Counts tests that were not started.
    pub fn skip(&mut self, count: usize) {
        self.skipped += count;
    }

    /// Whether nothing failed.
    pub fn is_success(&self) -> bool {
        self.failed == 0
    }

    /// The tests that failed. None although it is no success: the program ended without a result.
    pub fn failed(&self) -> Vec<&str> {
        let is_failed = |(_, verdict): &(&String, &Verdict)| **verdict == Verdict::Failed;
        self.verdicts.iter().filter(is_failed).map(|(name, _)| name.as_str()).collect()
    }

    /// Puts the results of a second try of what failed in the place of the first.
    pub fn settle(&mut self, second: Self) {
        let first = std::mem::take(&mut self.failures);
        self.second_tries.extend(first.into_iter().filter(|failure| !second.failures.contains(failure)));
        self.failed = 0;
        self.add(&second);
    }

    /// Takes what failed in a run that is done again, all of it, for first tries.
    pub fn repeats(&mut self, first: Self) {
        self.second_tries.extend(first.failures);
        self.times.extend(first.times);
    }

    /// Each test of the programs by its name, which should be different in all of them.
    pub fn verdicts(&self) -> &BTreeMap<String, Verdict> {
        &self.verdicts
    }

    /// The exit status of the last program.
    pub fn last_status(&self) -> Option<i32> {
        self.last_status
    }

    /// Names what failed, once more, where it can be found: at the end.
    pub fn print_failures(&self) {
        println!();
        for repeated in &self.second_tries {
            println!("failed at the first try: {repeated}");
        }
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
    }

    /// Tells where the time went, if it was much.
    pub fn print_times(&self) {
        for (label, time) in self.times.iter().filter(|(_, time)| *time >= WORTH_TELLING) {
            println!("{:>5} s {label}", time.as_secs());
        }
    }

    fn read_line(&mut self, line: &str, label: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.passed += number_before(rest, " passed");
            self.failed += number_before(rest, " failed");
            self.skipped += number_before(rest, " ignored");
        } else if let Some((name, result)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let verdict = match result {
                "FAILED" => Verdict::Failed,
                "ok" => Verdict::Passed,
                _ => Verdict::Skipped,
            };
            if verdict == Verdict::Failed {
                self.failures.push(format!("{label}: {name}"));
            }
            self.verdicts.insert(name.to_owned(), verdict);
        } else if let Some(rest) = line.strip_prefix("SKIPPED ") {
            self.skipped += 1;
            self.skipped_as_passed += 1;
            let name = rest.split_once(": ").map_or(rest, |(name, _)| name);
            self.verdicts.insert(name.to_owned(), Verdict::Skipped);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed.saturating_sub(self.skipped_as_passed);
        write!(f, "{passed} passed, {} failed, {} skipped", self.failed, self.skipped)
    }
}

/// Runs a test program, shows its output and counts. A program that ends badly without a failed test of its
/// own (it crashed, or it did not build) counts as one failure.
pub fn follow(command: &mut Command, label: &str) -> Result<Tally> {
    follow_into(command, label, io::stdout(), io::stderr())
}

fn follow_into(
    command: &mut Command,
    label: &str,
    shown_output: impl Write,
    shown_errors: impl Write + Send + 'static,
) -> Result<Tally> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child =
        command.spawn().with_context(|| format!("cannot start {}", process::describe(command)))?;
    let errors = child.stderr.take().context("no standard error")?;
    let output = child.stdout.take().context("no standard output")?;
    let reader = thread::spawn(move || show(errors, shown_errors));
    let lines = show(output, shown_output);
    let error_lines = reader.join().unwrap_or_default();
    let status = child.wait()?;

    let mut tally = Tally::default();
    for line in lines.iter().chain(&error_lines) {
        tally.read_line(line, label);
    }
    tally.last_status = status.code();
    tally.times.push((label.to_owned(), began.elapsed()));
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
        tally.failures.push(format!("{label}: ended without a result ({status})"));
    }
    Ok(tally)
}

/// Copies a stream line by line and returns the lines.
fn show(source: impl Read, mut destination: impl Write) -> Vec<String> {
    let mut source = BufReader::new(source);
    let mut lines = Vec::new();
    let mut line = Vec::new();
    while source.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // Nobody may be looking; the counts matter all the same.
        let _ = destination.write_all(&line).and_then(|()| destination.flush());
        lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
    lines
}

/// The number that stands before a word, or 0.
fn number_before(text: &str, word: &str) -> usize {
    let head = text.split_once(word).map(|(head, _)| head).unwrap_or_default();
    head.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(script: &str) -> Tally {
        // Shown to nobody: whoever counts the results of these very tests would count them in.
        follow_into(Command::new("sh").arg("-c").arg(script), "it", io::sink(), io::sink()).unwrap()
    }

    #[test]
    fn result_lines_are_summed_and_skips_are_no_passes() {
        let tally = of("echo 'test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out'
            echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out'
            echo 'SKIPPED a::b: no KVM' >&2");
        assert_eq!(tally.to_string(), "9 passed, 0 failed, 2 skipped");
        assert!(tally.is_success());
        assert_eq!(tally.verdicts()["a::b"], Verdict::Skipped);
    }

    #[test]
    fn a_second_try_replaces_what_failed_and_is_told() {
        let first = "echo 'test a ... FAILED'; echo 'test b ... ok'
            echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out'; exit 101";
        let mut tally = of(first);
        assert_eq!(tally.failed(), ["a"]);
        tally.settle(of("echo 'test a ... ok'
            echo 'test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out'"));
        assert_eq!((tally.to_string().as_str(), tally.is_success()), ("2 passed, 0 failed, 0 skipped", true));
        assert_eq!(tally.second_tries, ["it: a"]);
        let mut tally = of(first);
        tally.settle(of(first));
        assert!(!tally.is_success());
        assert_eq!(tally.failures, ["it: a"]);
    }

    #[test]
    fn failures_are_named() {
        let tally = of("echo 'test a::b ... FAILED'
            echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out'; exit 101");
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 0 skipped");
        assert_eq!(tally.failures, ["it: a::b"]);
    }

    #[test]
    fn a_crash_counts_as_a_failure() {
        let tally = of("echo 'running 3 tests'; kill -9 $$");
        assert_eq!(tally.to_string(), "0 passed, 1 failed, 0 skipped");
        assert!(!tally.is_success());
    }
}
