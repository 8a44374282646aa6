//! `cargo xtask docs`: documents that are made from the source and from results, and the check that they still match.
//!
//! `docs/syscalls.md` comes from the guest kernel's table of system calls, `api/openapi.json` from the functions that serve the API, the tables of `docs/specification.md` from
//! the newest files in `benches/results/`, `docs/conformance.md` from the results in `tests/suites/results/` and the
//! explanations beside them.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{bench, conformance, process};

/// The program that prints `docs/syscalls.md`.
const SYSCALLS_PACKAGE: &str = "septum-syscall-docs";

/// The crate, and its program, that prints `api/openapi.json`.
const API: [&str; 4] = ["--package", "septum-api-server", "--bin", "describe-api"];

/// What to do with the generated text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write the files.
    Write,
    /// Fail if a file differs from what would be written.
    Check,
}

/// Generates every document.
pub fn run(workspace: &Workspace, mode: Mode) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--package", SYSCALLS_PACKAGE]);
    let text = process::capture(&mut command)?;
    settle(workspace, "docs/syscalls.md", &text, mode)?;
    let text = process::capture(workspace.cargo().args(["run", "--quiet"]).args(API))?;
    settle(workspace, "api/openapi.json", &text, mode)?;
    settle(workspace, "docs/conformance.md", &conformance::text(workspace)?, mode)?;
    specification(workspace, mode)
}

/// Generates the tables of the specification.
pub fn specification(workspace: &Workspace, mode: Mode) -> Result<()> {
    settle(workspace, "docs/specification.md", &bench::specification(workspace)?, mode)
}

fn settle(workspace: &Workspace, name: &str, text: &str, mode: Mode) -> Result<()> {
    let path = workspace.root().join(name);
    match mode {
        Mode::Write => fs::write(&path, text).with_context(|| format!("cannot write {}", path.display())),
        Mode::Check if fs::read_to_string(&path).is_ok_and(|present| present == text) => Ok(()),
        Mode::Check => bail!("{name} does not match what it is made from; run `cargo xtask docs`"),
    }
}
