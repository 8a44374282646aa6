//! `cargo xtask soak`: one program with 64 threads that do everything to each other at random, for a minute on each lane and in each
//! privilege mode. The ordinary tests run the same program (`tests/guests/thread_storm.c`) for a second.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};
use clap::Args;

use crate::test::Lane;
use crate::workspace::{Profile, Workspace};
use crate::{process, setup};

#[derive(Args)]
pub struct Options {
    /// How long each run takes
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Only on this lane
    #[arg(long)]
    lane: Option<Lane>,
}

/// Beyond the program's own time: a start, and the end of 64 threads where each instruction is emulated.
const SLACK_SECONDS: u32 = 120;

/// Runs the storm everywhere; fails if one run does.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    setup::base(workspace)?;
    let septum = workspace.build_septum(Profile::Release)?;
    let program = workspace.root().join("target/guests/soak");
    std::fs::create_dir_all(workspace.root().join("target/guests"))?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-static", "-pthread", "-o"]).arg(&program);
    gcc.arg(workspace.root().join("tests/guests/thread_storm.c"));
    process::run(&mut gcc)?;

    let mut has_failed = false;
    for (lane, mode) in [(Lane::Direct, "auto"), (Lane::Direct, "ring0"), (Lane::Nested, "auto")] {
        if options.lane.is_some_and(|wanted| wanted != lane) {
            continue;
        }
        if let Some(reason) = lane.obstacle() {
            println!("{} {mode}: SKIPPED: {reason}", lane.name());
            continue;
        }
        let limit = options.seconds + SLACK_SECONDS;
        let mut command = match lane {
            Lane::Direct => Command::new(&septum),
            Lane::Nested => {
                setup::nested_lane()?;
                let mut command = crate::nested::command(&["--timeout", &(limit + 60).to_string()])?;
                command.arg(&septum);
                command
            }
        };
        command.args(["run", "--cpus", "2", "--privilege", mode, "--env", "STORM_COUNTS=1"]);
        command.args(["--timeout", &format!("{limit}s"), "--"]).arg(&program);
        command.arg((options.seconds * 1000).to_string());
        println!("{} {mode}:", lane.name());
        let status = command.status()?;
        has_failed |= !status.success();
        ensure!(status.code().is_some(), "{} was killed", process::describe(&command));
    }
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
