//! `cargo xtask bench`: how long partitions take and how much memory they need, beside plain processes.
//!
//! ```text
//!   mod.rs      builds, calls one measuring run a lane         measure.rs   the rounds themselves
//!   report.rs   the table, the promised limits, the JSON file  sample.rs    medians
//! ```
//!
//! Measuring happens in a process of its own lane: `xtask measure` is called here for the direct lane, and by
//! the nested host for the nested lane. Nothing here fails because something is slow; the limits are
//! printed beside the numbers, for a person to judge.

mod measure;
mod report;
mod sample;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use crate::test::Lane;
use crate::workspace::{Profile, Workspace};
use crate::{nested, process, setup};

pub use measure::MeasureOptions;
pub use measure::run as measure;

/// The size of the file whose digest is computed.
const INPUT_BYTES: usize = 4 << 20;

/// What `cargo xtask bench` may be told.
#[derive(Args)]
pub struct Options {
    /// How often each program runs; the medians are reported
    #[arg(long, default_value_t = 11)]
    rounds: u32,
    /// Measure on this lane only
    #[arg(long, value_enum)]
    lane: Option<Lane>,
    /// Print the table, but write no file
    #[arg(long)]
    no_save: bool,
}

/// Measures on each lane and reports.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::base(workspace)?;
    let septum = workspace.build_septum(Profile::Release)?;
    let folder = workspace.target().join("bench");
    build_programs(workspace, &folder)?;
    for lane in [Lane::Direct, Lane::Nested] {
        if options.lane.is_some_and(|wanted| wanted != lane) {
            continue;
        }
        if let Some(reason) = lane.obstacle() {
            println!("\n{} lane: skipped: {reason}", lane.name());
            continue;
        }
        let results = folder.join(format!("results-{}", lane.name()));
        let measured = measure_on(workspace, lane, &septum, &folder, &results, options.rounds)?;
        let report = report::Report::new(workspace, lane, options.rounds, measured)?;
        println!("\n{report}");
        if !options.no_save {
            println!("written: {}", report.save(&workspace.root().join("benches/results"))?.display());
        }
    }
    Ok(())
}

/// Compiles the measured programs and makes the input file.
fn build_programs(workspace: &Workspace, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in ["hello", "empty_vm"] {
        let source = workspace.root().join("benches/programs").join(name).with_extension("c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-static", "-o"]).arg(folder.join(name)).arg(source);
        process::run(&mut gcc)?;
    }
    // Any bytes do, as long as they are the same each time.
    let input: Vec<u8> = (0..=u8::MAX).cycle().take(INPUT_BYTES).collect();
    fs::write(folder.join("input"), input).context("cannot write the input file")
}

fn measure_on(
    workspace: &Workspace,
    lane: Lane,
    septum: &Path,
    programs: &Path,
    results: &Path,
    rounds: u32,
) -> Result<Value> {
    fs::create_dir_all(results).with_context(|| format!("cannot create {}", results.display()))?;
    let output = results.join("measured.json");
    let xtask = process::own_program()?;
    let (mut command, seen_output) = match lane {
        Lane::Direct => (Command::new(xtask), output.clone()),
        Lane::Nested => {
            let results = results.to_string_lossy();
            let mut command = nested::command(&["--write-back", &results, "--timeout", "1800"])?;
            command.arg(xtask);
            (command, PathBuf::from("/septum-out/measured.json"))
        }
    };
    command.current_dir(workspace.root()).arg("measure").arg("--rounds").arg(rounds.to_string());
    command.arg("--septum").arg(septum).arg("--programs").arg(programs).arg("--output").arg(seen_output);
    process::run(&mut command)?;
    let text = fs::read_to_string(&output).with_context(|| format!("cannot read {}", output.display()))?;
    serde_json::from_str(&text).context("the measuring run wrote no JSON")
}
