//! One lane of the integration tests: the same executables, told where they are by `SEPTUM_LANE`.
//!
//! In the nested lane every executable gets a host of its own: they do not disturb each other, and one
//! that hangs costs only itself. An emulated host that hung is repeated by `nested`; a run that reached its
//! wall-clock limit is repeated here, once and visibly, because long emulated runs have been seen to stall.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use super::Suite;
use super::tally::{self, Tally};
use crate::workspace::Workspace;
use crate::{nested, process, setup};

/// The wall-clock limit of one executable in the nested lane, in seconds.
const NESTED_LIMIT: &str = "1500";

/// The nested host's memory: several partitions of the default size at once.
const NESTED_MEMORY_MIB: &str = "4096";

/// The status of a nested run that reached its limit.
const TIMED_OUT: i32 = 124;

/// An emulated host on a busy machine may be too slow for a test's deadline, so this many failed tests are run once more there, and the
/// summary says so.
const SECOND_TRIES: usize = 3;

/// Where partitions run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lane {
    /// On this machine's own KVM
    Direct,
    /// In an emulated host with its own KVM
    Nested,
}

impl Lane {
    /// The lane's name, as `SEPTUM_LANE` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nested => "nested",
        }
    }

    /// Why this lane cannot be used here, if it cannot.
    pub fn obstacle(self) -> Option<String> {
        match self {
            Self::Direct => OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/kvm")
                .err()
                .map(|error| format!("/dev/kvm: {error}")),
            Self::Nested => setup::nested_lane().err().map(|error| format!("{error:#}")),
        }
    }
}

/// The executables that compare programs with the host; they run in both privilege modes where there are two.
const COMPARING: &[&str] = &["conformance", "calls"];

/// Runs the whole suite on one lane.
pub fn run(workspace: &Workspace, suite: &Suite, lane: Lane) -> Result<Tally> {
    let mut total = Tally::default();
    if let Some(reason) = lane.obstacle() {
        for (name, path) in &suite.executables {
            total.skip(count(suite, path)?);
            println!("\n== {} lane, {name}: skipped: {reason}", lane.name());
        }
        return Ok(total);
    }
    for (name, path) in &suite.executables {
        if count(suite, path)? == 0 {
            continue;
        }
        println!("\n== {} lane, {name}", lane.name());
        let label = format!("{} lane, {name}", lane.name());
        let mut tally = tally::follow(&mut command(workspace, suite, lane, path)?, &label)?;
        if lane == Lane::Nested && tally.last_status() == Some(TIMED_OUT) {
            println!("== {label}: reached its limit of {NESTED_LIMIT} s; second try");
            tally = tally::follow(&mut command(workspace, suite, lane, path)?, &label)?;
        }
        if lane == Lane::Nested && !tally.is_success() && tally.failed().len() <= SECOND_TRIES {
            println!("\n== {label}: {tally}; second try, in a new host, of what failed");
            let mut again = command(workspace, suite, lane, path)?;
            if !tally.failed().is_empty() {
                again.arg("--exact").args(tally.failed());
            }
            tally.settle(tally::follow(&mut again, &label)?);
        }
        total.add(&tally);
    }
    if lane == Lane::Direct && is_single_privilege(&suite.septum) {
        total.add(&run_in_ring0(workspace, suite)?);
    }
    Ok(total)
}

/// Whether partitions on this machine run in single-privilege mode by themselves.
pub fn is_single_privilege(septum: &Path) -> bool {
    let mut command = Command::new(septum);
    command.args(["run", "--privilege", "single", "--", "/bin/true"]);
    process::capture(&mut command).is_ok()
}

/// The comparing executables once more, in the other mode, which is what most people have.
fn run_in_ring0(workspace: &Workspace, suite: &Suite) -> Result<Tally> {
    let mut total = Tally::default();
    for (name, path) in suite.executables.iter().filter(|(name, _)| COMPARING.contains(&name.as_str())) {
        if count(suite, path)? > 0 {
            let label = format!("direct lane in ring 0, {name}");
            println!("\n== {label}");
            let mut command = command(workspace, suite, Lane::Direct, path)?;
            command.env("SEPTUM_PRIVILEGE", "ring0");
            total.add(&tally::follow(&mut command, &label)?);
        }
    }
    Ok(total)
}

/// How many of an executable's tests the filter selects.
fn count(suite: &Suite, executable: &Path) -> Result<usize> {
    let listing = process::capture(Command::new(executable).arg("--list").args(&suite.filter))?;
    Ok(listing.lines().filter(|line| line.ends_with(": test")).count())
}

fn command(workspace: &Workspace, suite: &Suite, lane: Lane, executable: &Path) -> Result<Command> {
    let mut command = match lane {
        Lane::Direct => {
            // What is started in the background of a script ignores these, and the tests send them.
            let mut command = Command::new("env");
            command.arg("--default-signal=HUP,INT,QUIT").arg(executable);
            command
        }
        Lane::Nested => {
            let mut command = nested::command(&["--timeout", NESTED_LIMIT, "--memory", NESTED_MEMORY_MIB])?;
            command.arg(executable).arg("--test-threads=2");
            command
        }
    };
    command.args(&suite.filter).current_dir(workspace.root().join("tests"));
    command.env("SEPTUM_LANE", lane.name()).env("SEPTUM", &suite.septum);
    command.env("SEPTUM_GUESTS", &suite.guests).env("SEPTUM_WORKSPACE", workspace.root());
    Ok(command)
}
