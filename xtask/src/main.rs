//! The one entry to the project's tooling: `cargo xtask COMMAND`.
//!
//! Each command is a module of its own; this file only turns words into a call. Continuous integration,
//! the documentation and people all use these commands and nothing else, so whatever a command needs it
//! sets up itself (`setup`) or says how to get.
//!
//! Exit status: 0 on success, the program's own status for `nested`, otherwise 1 with a message.

mod bench;
mod check;
mod conformance;
mod deb;
mod demo;
mod docs;
mod fuzz;
mod nested;
mod order;
mod process;
mod setup;
mod soak;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Septum's tooling", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the other commands need (Rust target, Debian packages); quick when nothing is missing
    Setup,
    /// Build the `septum` binary
    Build {
        /// Build the optimized binary, as `test`, `demo` and `bench` use it
        #[arg(long)]
        release: bool,
    },
    /// Make a Debian package
    Deb(deb::Options),
    /// Build Septum and run real jobs in partitions
    Demo,
    /// Judge the source: format, lints, layers between crates, licences, sizes
    Check,
    /// Run every test: on this machine, in partitions on its KVM, and in partitions in the nested lane
    Test(test::Options),
    /// Run suites natively and in partitions, compare test by test, and write docs/conformance.md
    Conformance(conformance::Options),
    /// Write the documents that are made from the source and from results (docs/syscalls.md, docs/specification.md)
    Docs {
        /// Only compare, and fail if one differs
        #[arg(long)]
        check: bool,
    },
    /// Find out which of the guest kernel's functions usual programs need, and put those beside each other
    Order,
    /// Have 64 threads do everything to each other at random, for a minute on each lane and in each privilege mode
    Soak(soak::Options),
    /// Give everything that reads what an enemy wrote anything, for a minute each
    Fuzz(fuzz::Options),
    /// Measure times and memory on each lane
    Bench(bench::Options),
    /// The measuring run of one lane, which `bench` starts
    #[command(hide = true)]
    Measure(bench::MeasureOptions),
    /// Run a command in an emulated host that has its own KVM, IOMMU and PCI devices
    Nested(nested::Options),
}

fn main() -> ExitCode {
    match dispatch(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    if let Command::Measure(options) = &command {
        // Runs in the nested host too, where there is no Cargo to ask about the workspace.
        bench::measure(options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = workspace::Workspace::locate()?;
    match command {
        Command::Setup => setup::everything(&workspace)?,
        Command::Build { release } => {
            setup::rust_target(&workspace)?;
            let profile = if release { workspace::Profile::Release } else { workspace::Profile::Dev };
            println!("{}", workspace.build_septum(profile)?.display());
        }
        Command::Deb(options) => println!("{}", deb::run(&workspace, &options)?.display()),
        Command::Demo => return demo::run(&workspace),
        Command::Check => check::run(&workspace)?,
        Command::Test(options) => return test::run(&workspace, &options),
        Command::Fuzz(options) => return fuzz::run(&workspace, &options),
        Command::Order => order::run(&workspace)?,
        Command::Soak(options) => return soak::run(&workspace, &options),
        Command::Conformance(options) => return conformance::run(&workspace, &options),
        Command::Docs { check } => {
            docs::run(&workspace, if check { docs::Mode::Check } else { docs::Mode::Write })?;
        }
        Command::Bench(options) => bench::run(&workspace, &options)?,
        Command::Measure(_) => {}
        Command::Nested(options) => {
            setup::nested_lane()?;
            return Ok(ExitCode::from(nested::run(&workspace, &options)?));
        }
    }
    Ok(ExitCode::SUCCESS)
}
