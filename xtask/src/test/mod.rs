//! `cargo xtask test`: every test there is, on every lane there is, with one summary at the end.
//!
//! ```text
//!   unit tests        cargo test, on this machine              (every crate but the two below)
//!   integration       the executables of septum-tests, which run `septum run …` and look at the effects:
//!     direct lane       here, on this machine's /dev/kvm
//!     nested lane       the same executables inside an emulated host, one boot for each
//! ```
//!
//! What could not run is counted as skipped and said with the reason, one line a test or a lane. The last
//! line is `N passed, N failed, N skipped`, over everything.

mod lane;
mod tally;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::workspace::{Profile, Workspace};
use crate::{process, setup};

pub use lane::Lane;
pub use lane::{is_single_privilege, run as run_on_lane};
pub use tally::{Tally, Verdict};

/// The crate of the integration tests.
const INTEGRATION: &str = "septum-tests";

/// The guest kernel's crate, which is no program of this machine.
const GUEST_IMAGE: &str = "septum-guest-image";

/// What `cargo xtask test` may be told.
#[derive(Args)]
pub struct Options {
    /// Run only tests whose name contains this
    pub filter: Option<String>,
    /// Run the integration tests on this lane only, and no unit tests
    #[arg(long, value_enum)]
    pub lane: Option<Lane>,
    /// Also compare programs in the second privilege mode of this machine's KVM, which takes some minutes (the nested lane has that mode, too)
    #[arg(long)]
    pub all: bool,
}

/// Runs the tests and prints the summary.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let mut total = Tally::default();
    total.timed("installing what tests need", || {
        setup::base(workspace)?;
        setup::stacks(workspace);
        Ok(())
    })?;
    let septum = total.timed("building septum", || workspace.build_septum(Profile::Dev))?;
    if options.lane.is_none() {
        total.add(&unit_tests(workspace, options.filter.as_deref())?);
    }
    let suite = total.timed("building tests and their programs", || {
        Suite::build(workspace, septum, options.filter.clone())
    })?;
    for lane in [Lane::Direct, Lane::Nested] {
        if options.lane.is_none_or(|wanted| wanted == lane) {
            total.add(&lane::run(workspace, &suite, lane, options.all)?);
        }
    }
    total.print_times();
    total.print_failures();
    println!("{total}");
    Ok(if total.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unit_tests(workspace: &Workspace, filter: Option<&str>) -> Result<Tally> {
    let mut tally = Tally::default();
    let others = ["--workspace", "--exclude", INTEGRATION, "--exclude", GUEST_IMAGE];
    for selection in [others.as_slice(), &["--package", INTEGRATION, "--lib", "--bins"]] {
        println!("\n== unit tests: cargo test {}", selection.join(" "));
        let mut command = workspace.cargo();
        command.args(["test", "--no-fail-fast"]).args(selection).args(filter);
        tally.add(&tally::follow(&mut command, "unit tests")?);
    }
    Ok(tally)
}

/// The integration tests, built.
pub struct Suite {
    /// The `septum` binary that they run.
    pub septum: PathBuf,
    /// Where the programs that run in partitions were compiled to.
    pub guests: PathBuf,
    /// Name and path of each test executable.
    pub executables: Vec<(String, PathBuf)>,
    /// The tests that were asked for, by a part of their name.
    pub filter: Option<String>,
}

impl Suite {
    /// Builds the tests, and compiles every program that they run in partitions.
    pub fn build(workspace: &Workspace, septum: PathBuf, filter: Option<String>) -> Result<Self> {
        let guests = workspace.target().join("guests");
        let mut executables = Vec::new();
        // `--tests` would bring unit tests of the library too; they ran before.
        for (name, path) in build_executables(workspace, &["test", "--no-run", "--test", "*"])? {
            executables.push((name, path));
        }
        // The nested lane may have no compiler, so everything is compiled before.
        for (_, path) in build_executables(workspace, &["build", "--bin", "prebuild-guests"])? {
            let mut command = Command::new(path);
            command.current_dir(workspace.root()).env("SEPTUM_GUESTS", &guests);
            process::run(command.env("SEPTUM_WORKSPACE", workspace.root()))?;
        }
        Ok(Self { septum, guests, executables, filter })
    }
}

/// Builds executables of the integration crate; Cargo says in JSON where they are.
fn build_executables(workspace: &Workspace, arguments: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    let mut command = workspace.cargo();
    command.args(arguments).args(["--package", INTEGRATION, "--message-format=json-render-diagnostics"]);
    command.stderr(std::process::Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot start {}", process::describe(&command)))?;
    if !output.status.success() {
        bail!("{} failed", process::describe(&command));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executables = messages.filter_map(|message| {
        let path = message.get("executable")?.as_str()?;
        let name = message.pointer("/target/name")?.as_str()?;
        let is_wanted = message.pointer("/target/kind/0")?.as_str()? != "lib";
        is_wanted.then(|| (name.to_owned(), PathBuf::from(path)))
    });
    Ok(executables.collect())
}
