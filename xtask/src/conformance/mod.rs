//! `cargo xtask conformance [SUITE…]`: what Linux programs do in a partition as they do on Linux, as a document.
//!
//! ```text
//!   programs    small programs of our own and the host's tools, all effects compared byte for byte    programs.rs
//!   cpython     CPython's own test suite, each test natively and in a partition                       cpython.rs, python.rs
//!   pyenv       CPython's suite again, built from source as pyenv does it                             pyenv.rs, python.rs
//!   numpy       NumPy's own tests, likewise                                                           numpy.rs, python.rs
//!   stress-ng   stress-ng's stressors, which verify what they compute                                 stress.rs
//! ```
//!
//! Each suite runs in both places with the same files, environment and limits (`place`), and writes one file below
//! `tests/suites/results/` (`record`): running one module replaces that module's lines only. `docs/conformance.md` is
//! made from these files (`document`). A test that passes natively and not in a partition is a **difference**; one that
//! `tests/suites/exceptions.txt` names with its reason is known (`exceptions`), any other fails the command.

mod cpython;
mod document;
mod exceptions;
mod numpy;
mod place;
mod programs;
mod pyenv;
mod python;
mod record;
mod stress;
mod verdicts;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::setup;
use crate::test::Lane;
use crate::workspace::{Profile, Workspace};

use exceptions::Exceptions;
use record::{Origin, Record};

/// What `cargo xtask conformance` may be told.
#[derive(Args)]
pub struct Options {
    /// Run only these suites
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Of cpython, pyenv, numpy or stress-ng, run only this module, package or stressor, whether it is in the list or not (may be repeated)
    #[arg(long)]
    module: Vec<String>,
    /// Run `programs` on this lane only, and keep what the document says of the other
    #[arg(long, value_enum)]
    lane: Option<Lane>,
    /// How long each stressor of stress-ng works
    #[arg(long, default_value_t = 30)]
    seconds: u32,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The small programs in tests/guests/ and the host's tools
    Programs,
    /// CPython's own test suite
    Cpython,
    /// CPython built as pyenv builds it, with its own test suite
    Pyenv,
    /// NumPy's own tests
    Numpy,
    /// stress-ng's stressors
    StressNg,
}

impl Suite {
    const ALL: [Self; 5] = [Self::Programs, Self::Cpython, Self::Pyenv, Self::Numpy, Self::StressNg];

    /// The suite's name, as the command, the files and the document have it.
    fn name(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Cpython => "cpython",
            Self::Pyenv => "pyenv",
            Self::Numpy => "numpy",
            Self::StressNg => "stress-ng",
        }
    }
}

/// What every suite needs.
struct Context<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    septum: PathBuf,
    exceptions: &'a Exceptions,
    /// Of what is found out now; asked before the results change the working tree.
    origin: Origin,
}

impl Context<'_> {
    /// Which of the modules of a suite to run: those that were asked for, or all; none, and that is said, where there are no partitions.
    fn modules<'a>(&'a self, suite: Suite, all: &[&'a str]) -> Vec<&'a str> {
        if let Some(reason) = Lane::Direct.obstacle() {
            println!("\n== {}: skipped: {reason}", suite.name());
            return Vec::new();
        }
        let asked: Vec<&str> = self.options.module.iter().map(String::as_str).collect();
        if asked.is_empty() { all.to_vec() } else { asked }
    }
}

/// Runs the suites and writes the document.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    setup::base(workspace)?;
    let suites: Vec<Suite> = Suite::ALL
        .into_iter()
        .filter(|suite| options.suites.is_empty() || options.suites.contains(suite))
        .collect();
    if !options.module.is_empty() && (suites.len() != 1 || suites.contains(&Suite::Programs)) {
        bail!("--module belongs to one suite: cargo xtask conformance cpython --module test_os");
    }
    let exceptions = Exceptions::read(workspace)?;
    let septum = workspace.build_septum(Profile::Release)?;
    let origin = Origin::now(workspace, place::mode(&septum))?;
    let context = Context { workspace, options, septum, exceptions: &exceptions, origin };
    let mut news = Vec::new();
    for suite in suites {
        news.extend(match suite {
            Suite::Programs => programs::run(&context)?,
            Suite::Cpython => cpython::run(&context)?,
            Suite::Pyenv => pyenv::run(&context)?,
            Suite::Numpy => numpy::run(&context)?,
            Suite::StressNg => stress::run(&context)?,
        });
        document::write(workspace, &exceptions)?;
    }
    println!("\nwritten: docs/conformance.md");
    if news.is_empty() {
        println!("no difference that tests/suites/exceptions.txt does not explain");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} without an explanation in tests/suites/exceptions.txt:", news.len());
    news.iter().for_each(|new| println!("  {new}"));
    Ok(ExitCode::FAILURE)
}

/// Writes the document once more, from the results that are there, or says that it is not what it would be.
pub fn text(workspace: &Workspace) -> Result<String> {
    document::text(workspace, &Exceptions::read(workspace)?)
}

/// Puts a record in the place of an earlier one and says which of its differences nobody has explained.
fn settle(context: &Context, suite: Suite, record: Record) -> Result<Vec<String>> {
    let unexplained = record
        .differences
        .iter()
        .filter(|difference| context.exceptions.reason(suite.name(), &difference.test).is_none());
    let news = unexplained.map(|difference| format!("{} {difference}", suite.name())).collect();
    let mut records = record::read(context.workspace, suite.name())?;
    records.insert(record.name.clone(), record);
    record::write(context.workspace, suite.name(), &records)?;
    Ok(news)
}
