//! Small programs of our own and the host's tools: each test runs a program by the host's Linux and in a partition, and
//! compares all that a person could observe. The tests are `tests/tests/conformance.rs`, `tools.rs` and `stacks.rs`; here they run on
//! each lane, and `tests/suites/results/programs.tsv` gets a line for each (`test ⇥ direct ⇥ nested`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::{Context, Suite};
use crate::setup;
use crate::test::{self, Lane, Verdict};
use crate::workspace::Workspace;

/// The test executables that compare a partition with the host.
const COMPARING: &[&str] = &["conformance", "calls", "tools", "stacks"];

/// The columns.
pub const LANES: [Lane; 2] = [Lane::Direct, Lane::Nested];

/// What is known of a test on each lane.
pub type Rows = BTreeMap<String, [String; LANES.len()]>;

const NOT_RUN: &str = "not run";
const DIFFERENT: &str = "different";

/// Runs the comparing tests on the lanes that were asked for and says which found a difference.
pub fn run(context: &Context) -> Result<Vec<String>> {
    setup::stacks(context.workspace);
    setup::large_stacks();
    let mut suite = test::Suite::build(context.workspace, context.septum.clone(), None)?;
    suite.executables.retain(|(name, _)| COMPARING.contains(&name.as_str()));
    if suite.executables.is_empty() {
        bail!("no test executables named {}", COMPARING.join(" or "));
    }
    let mut rows = read(context.workspace)?;
    let mut news = Vec::new();
    for (column, lane) in LANES.into_iter().enumerate() {
        if context.options.lane.is_some_and(|wanted| wanted != lane) {
            continue;
        }
        let tally = test::run_on_lane(context.workspace, &suite, lane, true)?;
        println!("\n{} lane: {tally}", lane.name());
        rows.values_mut().for_each(|row| set(row, column, NOT_RUN));
        for (name, verdict) in tally.verdicts() {
            let row = rows.entry(name.clone()).or_insert_with(|| LANES.map(|_| NOT_RUN.to_owned()));
            set(row, column, word(*verdict));
            if *verdict == Verdict::Failed {
                news.push(format!("{} {name} on the {} lane", Suite::Programs.name(), lane.name()));
            }
        }
        if !tally.is_success() && tally.failed().is_empty() {
            news.push(format!(
                "{}: one ended without a result on the {} lane",
                Suite::Programs.name(),
                lane.name()
            ));
        }
    }
    rows.retain(|_, row| row.iter().any(|word| word != NOT_RUN));
    write(context.workspace, &rows)?;
    Ok(news)
}

fn set(row: &mut [String; LANES.len()], column: usize, word: &str) {
    if let Some(cell) = row.get_mut(column) {
        word.clone_into(cell);
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "equal",
        Verdict::Failed => DIFFERENT,
        Verdict::Skipped => "skipped",
    }
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests/suites/results/programs.tsv")
}

/// The results that are kept; none if the suite never ran.
pub fn read(workspace: &Workspace) -> Result<Rows> {
    let text = fs::read_to_string(path(workspace)).unwrap_or_default();
    let mut rows = Rows::new();
    for line in text.lines() {
        let mut columns = line.split('\t').map(str::to_owned);
        let row = (columns.next(), columns.next(), columns.next());
        let (Some(name), Some(direct), Some(nested)) = row else { bail!("programs.tsv: no record: {line}") };
        rows.insert(name, [direct, nested]);
    }
    Ok(rows)
}

fn write(workspace: &Workspace, rows: &Rows) -> Result<()> {
    let mut text = String::new();
    for (name, row) in rows {
        writeln!(text, "{name}\t{}", row.join("\t"))?;
    }
    let path = path(workspace);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A cell as the document shows it.
pub fn shown(word: &str) -> String {
    if word == DIFFERENT { format!("**{word}**") } else { word.to_owned() }
}
