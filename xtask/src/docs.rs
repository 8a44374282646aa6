//! `cargo xtask docs`: documents that are made from the source, and the check that they still match it.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// The program that prints `docs/syscalls.md`.
const SYSCALLS_PACKAGE: &str = "septum-syscall-docs";

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
    let path = workspace.root().join("docs/syscalls.md");
    match mode {
        Mode::Write => fs::write(&path, text).with_context(|| format!("cannot write {}", path.display())),
        Mode::Check if fs::read_to_string(&path).is_ok_and(|present| present == text) => Ok(()),
        Mode::Check => bail!("docs/syscalls.md does not match the source; run `cargo xtask docs`"),
    }
}
