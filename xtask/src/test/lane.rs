//! One lane of the integration tests: the same executables, told where they are by `SEPTUM_LANE`.
//!
//! In the nested lane the large executables get a host of their own: they do not disturb each other, and one
//! that hangs costs only itself. The others share one, because a host takes longer to start than most of them; if any of their
//! tests fails, each is run in a host of its own. An emulated host that hung is repeated by `nested`; a run that reached its
//! wall-clock limit is repeated here, once and visibly, because long emulated runs have been seen to stall.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
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

/// A machine that is busy, or stands still for a while, may be too slow for a test's deadline, so this many failed tests are run once more, and
/// the summary names them: each of them deserves a look.
const SECOND_TRIES: usize = 3;

/// What is left out of the second mode: each takes half a minute where ring 0 is emulated, and has a sister there that goes the same ways.
const LONG_IN_RING0: &[&str] = &[
    "files::pipe_crowds_on_two_processors",
    "files::listing_in_ram",
    "files::reading_writing_in_ram",
    "files::copying_in_ram",
    "a_flood_and_a_slow_reader_stop_nobody",
    "http_libraries_talk_to_a_server",
    "grpc_calls_a_server",
];

/// What is left out of `tools` in the nested lane, where each takes a second: programs that do nothing there but compute on what they read.
const COMPUTING_TOOLS: &[&str] = &["compression::", "numbers::", "sums::", "text::"];

/// What the second mode has no ways of its own for.
const THE_SAME_IN_RING0: &str = "::in_a_volume";

/// Executables that the nested lane leaves out where the direct one can run them: names, messages, documents and packages are made by processes of the
/// host, and its kernel has no part in them.
const DIRECT_ALONE: &[&str] = &["advice", "documents", "names", "package"];

/// The executables that get an emulated host of their own.
const LARGE: &[&str] = &["calls", "conformance", "disks", "lifecycle", "memory", "stacks", "tools"];

/// Runs the executables that are its arguments but the first, which is a filter, and ends with the status of the last that failed.
const ONE_AFTER_THE_OTHER: &str = r#"
filter=$1 status=0; shift
for executable; do "$executable" --test-threads=2 $filter || status=$?; done
exit $status"#;

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

/// The executables that compare programs with the host; all of them run in both privilege modes where there are two, if one wants.
const COMPARING: &[&str] = &["conformance", "calls"];

/// Those that do so always. In the nested lane the mode is that of all the others, too.
const ALWAYS_IN_RING0: &[&str] = &["calls"];

/// Runs the whole suite on one lane.
pub fn run(workspace: &Workspace, suite: &Suite, lane: Lane, is_whole: bool) -> Result<Tally> {
    let mut total = Tally::default();
    if let Some(reason) = lane.obstacle() {
        for (name, path) in &suite.executables {
            total.skip(count(suite, path)?);
            println!("\n== {} lane, {name}: skipped: {reason}", lane.name());
        }
        return Ok(total);
    }
    let mut wanted = Vec::new();
    let leaves_out = lane == Lane::Nested && Lane::Direct.obstacle().is_none();
    for executable in &suite.executables {
        if leaves_out && DIRECT_ALONE.contains(&executable.0.as_str()) {
            continue;
        }
        if count(suite, &executable.1)? > 0 {
            wanted.push(executable);
        }
    }
    let (together, alone): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|(name, _)| lane == Lane::Nested && !LARGE.contains(&name.as_str()));
    total.add(&run_together(workspace, suite, &together)?);
    for (name, path) in alone {
        total.add(&run_alone(workspace, suite, lane, name, path)?);
    }
    if lane == Lane::Direct && is_single_privilege(&suite.septum) {
        total.add(&run_in_ring0(workspace, suite, is_whole)?);
    }
    Ok(total)
}

/// Several executables in one emulated host; if one of their tests fails, each in a host of its own.
fn run_together(workspace: &Workspace, suite: &Suite, executables: &[&(String, PathBuf)]) -> Result<Tally> {
    let mut total = Tally::default();
    if executables.len() > 1 {
        let names: Vec<&str> = executables.iter().map(|(name, _)| name.as_str()).collect();
        let label = format!("nested lane, {}", names.join(" + "));
        println!("\n== {label}");
        let mut command = nested::command(&["--timeout", NESTED_LIMIT, "--memory", NESTED_MEMORY_MIB])?;
        command.args(["sh", "-c", ONE_AFTER_THE_OTHER, "sh", suite.filter.as_deref().unwrap_or_default()]);
        command.args(executables.iter().map(|(_, path)| path));
        surround(&mut command, workspace, suite, Lane::Nested);
        let tally = tally::follow(&mut command, &label)?;
        if tally.is_success() {
            return Ok(tally);
        }
        println!("\n== {label}: {tally}; once more, each in a host of its own");
        total.repeats(tally);
    }
    for (name, path) in executables {
        total.add(&run_alone(workspace, suite, Lane::Nested, name, path)?);
    }
    Ok(total)
}

/// One executable, in the nested lane in a host of its own.
fn run_alone(workspace: &Workspace, suite: &Suite, lane: Lane, name: &str, path: &Path) -> Result<Tally> {
    let label = format!("{} lane, {name}", lane.name());
    follow(&label, || command(workspace, suite, lane, name, path))
}

/// Follows what `command` makes; if little of it failed, that once more.
fn follow(label: &str, command: impl Fn() -> Result<Command>) -> Result<Tally> {
    println!("\n== {label}");
    let mut tally = tally::follow(&mut command()?, label)?;
    if tally.last_status() == Some(TIMED_OUT) {
        println!("== {label}: reached its limit of {NESTED_LIMIT} s; second try");
        tally = tally::follow(&mut command()?, label)?;
    }
    if !tally.is_success() && tally.failed().len() <= SECOND_TRIES {
        println!("\n== {label}: {tally}; second try of what failed");
        let mut again = command()?;
        if !tally.failed().is_empty() {
            again.arg("--exact").args(tally.failed());
        }
        tally.settle(tally::follow(&mut again, label)?);
    }
    Ok(tally)
}

/// Whether partitions on this machine run in single-privilege mode by themselves.
pub fn is_single_privilege(septum: &Path) -> bool {
    let mut command = Command::new(septum);
    command.args(["run", "--privilege", "single", "--", "/bin/true"]);
    process::capture(&mut command).is_ok()
}

/// Comparing executables once more, in the other mode, which is what most people have.
fn run_in_ring0(workspace: &Workspace, suite: &Suite, is_whole: bool) -> Result<Tally> {
    let mut total = Tally::default();
    let names = if is_whole { COMPARING } else { ALWAYS_IN_RING0 };
    for (name, path) in suite.executables.iter().filter(|(name, _)| names.contains(&name.as_str())) {
        if count(suite, path)? > 0 {
            let label = format!("direct lane in ring 0, {name}");
            total.add(&follow(&label, || {
                let mut command = command(workspace, suite, Lane::Direct, name, path)?;
                command.env("SEPTUM_PRIVILEGE", "ring0");
                command.args(LONG_IN_RING0.iter().flat_map(|test| ["--skip", test]));
                if !is_whole {
                    command.args(["--skip", THE_SAME_IN_RING0]);
                }
                Ok(command)
            })?);
        }
    }
    Ok(total)
}

/// How many of an executable's tests the filter selects.
fn count(suite: &Suite, executable: &Path) -> Result<usize> {
    let listing = process::capture(Command::new(executable).arg("--list").args(&suite.filter))?;
    Ok(listing.lines().filter(|line| line.ends_with(": test")).count())
}

fn command(
    workspace: &Workspace,
    suite: &Suite,
    lane: Lane,
    name: &str,
    executable: &Path,
) -> Result<Command> {
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
            if name == "tools" {
                command.args(COMPUTING_TOOLS.iter().flat_map(|tests| ["--skip", tests]));
            }
            command
        }
    };
    command.args(&suite.filter);
    surround(&mut command, workspace, suite, lane);
    Ok(command)
}

/// What test executables find around them.
fn surround(command: &mut Command, workspace: &Workspace, suite: &Suite, lane: Lane) {
    command.current_dir(workspace.root().join("tests"));
    command.env("SEPTUM_LANE", lane.name()).env("SEPTUM", &suite.septum);
    // Where there is none, the tests of Linux guests say so.
    if lane == Lane::Nested
        && let Ok(guest) = nested::LinuxGuest::obtain(workspace)
    {
        command.env("SEPTUM_LINUX_KERNEL", guest.kernel).env("SEPTUM_LINUX_INITRD", guest.initrd);
    }
    command.env("SEPTUM_GUESTS", &suite.guests).env("SEPTUM_WORKSPACE", workspace.root());
}
