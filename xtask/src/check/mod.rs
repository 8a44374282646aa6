//! `cargo xtask check`: everything about the source that can be judged without running it.
//!
//! Format and lints (Cargo's own tools), the layers between crates, the licences of what is linked in, the
//! size of files and the absence of unfinished work, and generated documents that must match their source.
//! Every check runs even if an earlier one failed, so one call shows all there is to repair.

mod files;
mod layers;
mod licences;
mod spdx;

use std::process::Command;

use anyhow::{Result, bail};

use crate::workspace::{Workspace, cargo_metadata};
use crate::{docs, process, setup};

/// The guest kernel's crate, which is linted for its own target.
const GUEST_IMAGE: &str = "septum-guest-image";

type Check<'a> = Box<dyn Fn() -> Result<()> + 'a>;

/// Runs every check.
pub fn run(workspace: &Workspace) -> Result<()> {
    setup::rust_target(workspace)?;
    let platform = "x86_64-unknown-linux-gnu";
    let metadata = cargo_metadata(&["--locked", "--filter-platform", platform])?;
    let checks: [(&str, Check); 7] = [
        ("format", Box::new(|| cargo(workspace, &["fmt", "--all", "--", "--check"], &[]))),
        ("lints", Box::new(|| lints(workspace))),
        ("lints of the guest kernel", Box::new(|| guest_lints(workspace))),
        ("layers", Box::new(|| layers::check(&metadata))),
        ("licences", Box::new(|| licences::check(&metadata))),
        ("files", Box::new(|| files::check(workspace.root()))),
        ("generated documents", Box::new(|| docs::run(workspace, docs::Mode::Check))),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        match check() {
            Ok(()) => eprintln!("check: {name}: ok"),
            Err(error) => {
                eprintln!("check: {name}: FAILED\n{error:#}");
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn lints(workspace: &Workspace) -> Result<()> {
    cargo(workspace, &["clippy", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"], &[])
}

/// The kernel's crates once more, for the processor they run on: much of them exists only there.
fn guest_lints(workspace: &Workspace) -> Result<()> {
    // The image embeds the vDSO, which a real build links first; any small file serves where nothing is run.
    let embedded = workspace.root().join("rust-toolchain.toml");
    let arguments =
        ["clippy", "--package", GUEST_IMAGE, "--target", setup::GUEST_TARGET, "--", "-D", "warnings"];
    cargo(workspace, &arguments, &[("SEPTUM_VDSO", embedded.as_os_str())])
}

fn cargo(workspace: &Workspace, arguments: &[&str], variables: &[(&str, &std::ffi::OsStr)]) -> Result<()> {
    let mut command: Command = workspace.cargo();
    command.args(arguments).envs(variables.iter().copied());
    process::run(&mut command)
}
