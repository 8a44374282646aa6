//! Where the workspace is, where its build outputs are, and how Cargo is called.
//!
//! The target directory is whatever Cargo says it is (`CARGO_TARGET_DIR`, a configuration file or the
//! default), so every other module asks here instead of spelling `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process;

/// The Cargo profile of a build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What tests run: its dependencies are those of the unit tests, and arithmetic that overflows is noticed. The guest's kernel is the same in both.
    Dev,
    /// What users get; the demonstration and the benchmarks run it too.
    Release,
}

/// The workspace this tool was built from.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks Cargo for the workspace's layout.
    pub fn locate() -> Result<Self> {
        let metadata = cargo_metadata(&["--no-deps", "--offline"])?;
        let path = |key: &str| -> Result<PathBuf> {
            let value = metadata.get(key).and_then(Value::as_str);
            Ok(PathBuf::from(value.with_context(|| format!("cargo metadata says no {key}"))?))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The folder that holds the top `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// A Cargo command that runs at the top of the workspace.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(&self.root);
        command
    }

    /// Builds `septum` and returns the path of the binary.
    pub fn build_septum(&self, profile: Profile) -> Result<PathBuf> {
        for program in PROGRAMS {
            let mut command = self.cargo();
            command.args(["rustc", "--package", "septum", "--bin", program]);
            if profile == Profile::Release {
                command.arg("--release");
            }
            if has_static_libc() {
                // Looking for libraries and binding to them is a good part of a partition's start.
                command.args(["--", "-C", "target-feature=+crt-static"]);
            }
            process::run(&mut command)?;
        }
        Ok(self.septum(profile))
    }

    /// Where the `septum` binary of a profile is built.
    pub fn septum(&self, profile: Profile) -> PathBuf {
        let folder = match profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        };
        self.target.join(folder).join("septum")
    }
}

/// What is built: the command, and what it becomes for those that speak HTTP, which must lie beside it.
const PROGRAMS: [&str; 2] = ["septum", "septum-api"];

/// Whether the C compiler could link the C library statically: not every distribution installs it with the compiler.
fn has_static_libc() -> bool {
    let path = process::capture(Command::new("cc").arg("-print-file-name=libc.a"));
    path.is_ok_and(|path| Path::new(path.trim()).is_absolute())
}

/// The output of `cargo metadata` for this workspace.
pub fn cargo_metadata(arguments: &[&str]) -> Result<Value> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(cargo_program());
    command.args(["metadata", "--format-version=1"]).args(arguments).arg("--manifest-path").arg(manifest);
    let text = process::capture(&mut command)?;
    serde_json::from_str(&text).context("cannot read the output of cargo metadata")
}

/// The Cargo that started this tool, else the one in `PATH`.
fn cargo_program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
