//! `cargo xtask bench`: how long partitions take and how much memory they need, beside plain processes.
//!
//! ```text
//!   mod.rs        builds, calls one measuring run a lane      report.rs    the table on the terminal
//!   programs.rs   what is compiled and written before         document.rs  the tables of the specification
//!   cases.rs      what is run, and in which ways              rows.rs      their lines, and what is promised
//!   measure.rs    the rounds                                  results.rs   the JSON files
//!   run.rs        one run of a program                        sample.rs    medians
//!   idle.rs       the memory of partitions that wait
//!   coordinator.rs  what the coordinator's API takes: a part of its own
//!   suggest/        how good the guesses of septum suggest are: another
//! ```
//!
//! Measuring happens in a process of its own lane: `xtask measure` is called here for the direct lane, and by
//! the nested host for the nested lane. Nothing here fails because something is slow or missing; the promises are
//! printed beside the numbers, for a person to judge.

mod cases;
mod coordinator;
mod document;
mod idle;
mod measure;
mod programs;
mod report;
mod results;
mod rows;
mod run;
mod sample;
mod suggest;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use crate::test::Lane;
use crate::workspace::{Profile, Workspace};
use crate::{docs, nested, process, setup};

pub use document::specification;
pub use measure::MeasureOptions;
pub use measure::run as measure;

/// The nested host's memory, for a hundred partitions at once.
const NESTED_MEMORY_MIB: &str = "4096";

/// What `cargo xtask bench` may be told.
#[derive(Args)]
pub struct Options {
    /// How often each program runs; the medians are reported
    #[arg(long, default_value_t = 9)]
    rounds: u32,
    /// Begin no further round of a lane after this time
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    limit: u64,
    /// Measure on this lane only
    #[arg(long, value_enum)]
    lane: Option<Lane>,
    /// Only cases whose name contains this; nothing is saved
    #[arg(long, value_name = "CASE")]
    only: Option<String>,
    /// Measure the coordinator's API instead of the lanes
    #[arg(long, conflicts_with_all = ["lane", "only", "rounds", "limit"])]
    coordinator: bool,
    /// Replay documents and tell how good the guesses of 'septum suggest' are; nothing is saved
    #[arg(long, conflicts_with_all = ["lane", "only", "rounds", "limit", "coordinator"])]
    suggest: bool,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    septum: Option<PathBuf>,
    /// Print the table, but write no file
    #[arg(long)]
    no_save: bool,
    /// Write the tables of docs/specification.md from the newest files afterwards
    #[arg(long)]
    update_docs: bool,
}

/// Measures on each lane and reports.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.suggest {
        return suggest::measure(workspace);
    }
    setup::base(workspace)?;
    let septum = match &options.septum {
        Some(path) => path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?,
        None => workspace.build_septum(Profile::Release)?,
    };
    if options.coordinator {
        return measure_coordinator(workspace, &septum, options);
    }
    let folder = workspace.target().join("bench");
    programs::prepare(workspace, &folder)?;
    if let Err(error) = programs::prepare_image(workspace, &septum, &folder) {
        eprintln!("bench: no image is measured: {error:#}");
    }
    for lane in [Lane::Direct, Lane::Nested] {
        if options.lane.is_some_and(|wanted| wanted != lane) {
            continue;
        }
        if let Some(reason) = lane.obstacle() {
            println!("\n{} lane: skipped: {reason}", lane.name());
            continue;
        }
        let measured = measure_on(workspace, lane, &septum, &folder, options)?;
        let results = results::Results::new(workspace, lane.name(), &measured)?;
        println!("\n{}", report::Report { lane, results: &results });
        if !options.no_save && options.only.is_none() {
            println!("written: {}", results.save(&results_folder(workspace))?.display());
        }
    }
    if options.update_docs {
        docs::specification(workspace, docs::Mode::Write)?;
    }
    Ok(())
}

fn measure_coordinator(workspace: &Workspace, septum: &Path, options: &Options) -> Result<()> {
    if let Some(reason) = Lane::Direct.obstacle() {
        println!("the coordinator: skipped: {reason}");
        return Ok(());
    }
    let measured = coordinator::measure(septum)?;
    let results = results::Results::new(workspace, coordinator::NAME, &measured)?;
    println!("{}", coordinator::table(&results));
    if !options.no_save {
        println!("written: {}", results.save(&results_folder(workspace))?.display());
    }
    if options.update_docs {
        docs::specification(workspace, docs::Mode::Write)?;
    }
    Ok(())
}

/// Where the files of results are kept.
fn results_folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join("benches/results")
}

fn measure_on(
    workspace: &Workspace,
    lane: Lane,
    septum: &Path,
    programs: &Path,
    options: &Options,
) -> Result<Value> {
    let results = programs.join(format!("results-{}", lane.name()));
    fs::create_dir_all(&results).with_context(|| format!("cannot create {}", results.display()))?;
    let output = results.join("measured.json");
    let xtask = process::own_program()?;
    let (mut command, seen_output) = match lane {
        Lane::Direct => (Command::new(xtask), output.clone()),
        Lane::Nested => {
            let results = results.to_string_lossy();
            let settings = ["--write-back", &results, "--timeout", "1800", "--memory", NESTED_MEMORY_MIB];
            let mut command = nested::command(&settings)?;
            command.arg(xtask);
            (command, PathBuf::from("/septum-out/measured.json"))
        }
    };
    command.current_dir(workspace.root()).args(["measure", "--lane", lane.name()]);
    command.args(["--rounds", &options.rounds.to_string(), "--limit", &options.limit.to_string()]);
    if let Some(only) = &options.only {
        command.arg("--filter").arg(only);
    }
    command.arg("--septum").arg(septum).arg("--programs").arg(programs).arg("--output").arg(seen_output);
    process::run(&mut command)?;
    let text = fs::read_to_string(&output).with_context(|| format!("cannot read {}", output.display()))?;
    serde_json::from_str(&text).context("the measuring run wrote no JSON")
}
