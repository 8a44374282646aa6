//! The checked-in results: one file a suite, below `tests/suites/results/`, one record a module.
//!
//! ```text
//!   test_os ⇥ 265 ⇥ 265 ⇥ 2.1 ⇥ 5.3 ⇥ 2026-11-25 ⇥ 0123abc ⇥ AMD EPYC, 2 processors, single privilege
//!   ⇥ failed test.test_os.FileTests.test_access
//! ```
//!
//! Columns: module, passed natively, passed in the partition of these, seconds natively and in the partition, when, from
//! which commit, on which kind of host. Differences follow, each on a line that begins with a tab. A suite that measures
//! counts in the place of tests what it counts (stress-ng: its operations, for which only "none" is a failure).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::verdicts::{Difference, Verdict};
use crate::process;
use crate::workspace::Workspace;

/// What is known of one module of a suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub name: String,
    pub native: u64,
    pub partition: u64,
    pub native_seconds: f64,
    pub partition_seconds: f64,
    pub origin: Origin,
    pub differences: Vec<Difference>,
}

/// When, from which commit and where something was found out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub date: String,
    pub commit: String,
    pub host: String,
}

impl Origin {
    /// Of this moment, on this machine.
    pub fn now(workspace: &Workspace, mode: &str) -> Result<Self> {
        let date = process::capture(Command::new("date").args(["-u", "+%F"]))?.trim().to_owned();
        let mut git = Command::new("git");
        git.current_dir(workspace.root()).args(["-c", "safe.directory=*", "describe", "--always", "--dirty"]);
        // A source archive has no history.
        let commit =
            process::capture(&mut git).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let model = model.map_or("unknown processor", |(_, name)| name);
        Ok(Self { date, commit, host: format!("{model}, {count} processors, {mode}") })
    }
}

fn path(workspace: &Workspace, suite: &str) -> PathBuf {
    workspace.root().join("tests/suites/results").join(format!("{suite}.tsv"))
}

/// All records of a suite, by module; none if the suite never ran.
pub fn read(workspace: &Workspace, suite: &str) -> Result<BTreeMap<String, Record>> {
    let path = path(workspace, suite);
    let text = fs::read_to_string(&path).unwrap_or_default();
    parse(&text).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes all records of a suite.
pub fn write(workspace: &Workspace, suite: &str, records: &BTreeMap<String, Record>) -> Result<()> {
    let path = path(workspace, suite);
    let folder = path.parent().context("no folder for results")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(&path, format(records)?).with_context(|| format!("cannot write {}", path.display()))
}

fn parse(text: &str) -> Result<BTreeMap<String, Record>> {
    let mut records: Vec<Record> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let parsed = match line.strip_prefix('\t') {
            Some(rest) => difference(rest).zip(records.last_mut()).map(|(difference, record)| {
                record.differences.push(difference);
            }),
            None => record(line).map(|record| records.push(record)),
        };
        parsed.with_context(|| format!("line {} is no record", index + 1))?;
    }
    Ok(records.into_iter().map(|record| (record.name.clone(), record)).collect())
}

fn record(line: &str) -> Option<Record> {
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    Some(Record {
        name: next()?.to_owned(),
        native: next()?.parse().ok()?,
        partition: next()?.parse().ok()?,
        native_seconds: next()?.parse().ok()?,
        partition_seconds: next()?.parse().ok()?,
        origin: Origin { date: next()?.to_owned(), commit: next()?.to_owned(), host: next()?.to_owned() },
        differences: Vec::new(),
    })
}

fn difference(text: &str) -> Option<Difference> {
    let (word, test) = text.split_once(' ')?;
    Some(Difference { test: test.to_owned(), verdict: Verdict::from_word(word)? })
}

fn format(records: &BTreeMap<String, Record>) -> Result<String> {
    let mut text = String::new();
    for record in records.values() {
        let Record { name, native, partition, native_seconds, partition_seconds, origin, differences } =
            record;
        write!(text, "{name}\t{native}\t{partition}\t{native_seconds:.1}\t{partition_seconds:.1}")?;
        writeln!(text, "\t{}\t{}\t{}", origin.date, origin.commit, origin.host)?;
        differences.iter().try_for_each(|difference| writeln!(text, "\t{difference}"))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let origin = Origin { date: "2026-01-02".into(), commit: "0123abc".into(), host: "a host, 2".into() };
        let differences = vec![Difference { test: "setUpClass (a.B)".into(), verdict: Verdict::Error }];
        let record = Record {
            name: "test_a".into(),
            native: 3,
            partition: 2,
            native_seconds: 1.5,
            partition_seconds: 2.0,
            origin,
            differences,
        };
        let records = BTreeMap::from([("test_a".to_owned(), record)]);
        assert_eq!(parse(&format(&records).unwrap()).unwrap(), records);
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = parse("test_a\tmany\n").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
