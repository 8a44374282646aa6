//! `cargo xtask demo`: from a clean checkout to real jobs in partitions, with one command.
//!
//! Without a usable `/dev/kvm` the same script runs in the nested lane, so the demonstration needs no
//! particular machine. The jobs and what they must print are in `demo.sh`.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::test::Lane;
use crate::workspace::{Profile, Workspace};
use crate::{process, setup};

const SCRIPT: &str = include_str!("demo.sh");

/// Builds Septum and runs the demonstration.
pub fn run(workspace: &Workspace) -> Result<ExitCode> {
    setup::base(workspace)?;
    let septum = workspace.build_septum(Profile::Release)?;
    let lane = match Lane::Direct.obstacle() {
        None => Lane::Direct,
        Some(reason) => {
            println!("no KVM on this machine ({reason}); running in an emulated one, 10 to 30 times slower");
            setup::nested_lane()?;
            Lane::Nested
        }
    };
    let mut command = match lane {
        Lane::Direct => Command::new("sh"),
        Lane::Nested => {
            let mut command = crate::nested::command(&[])?;
            command.arg("sh");
            command
        }
    };
    command.current_dir(workspace.root()).env("SEPTUM", septum);
    command.args(["-c", &format!("LANE={}\n{SCRIPT}", lane.name())]);
    let status = command.status().with_context(|| format!("cannot start {}", process::describe(&command)))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
