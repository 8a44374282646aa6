//! CPython built from its source as pyenv builds it, with the tests that come with the source.
//!
//! Where Debian's Python is cut into packages, with its standard library in one place and its tests in another, this one is a folder
//! with everything: `target/conformance/pyenv/versions/3.11.2`. It is built once (minutes), from the upstream archive that is
//! part of Debian's source package, with the options that pyenv's `python-build` gives to `configure`: a prefix, a library folder, and a search path to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, bail};

use super::cpython::resources;
use super::place::MEMORY;
use super::python::{self, Script};
use super::{Context, Suite};
use crate::workspace::Workspace;
use crate::{process, setup};

/// What the other build has not, or has from other parts of the system: modules that are compiled with it, and what looks for its own
/// places. Debian leaves the tests of `sqlite3` out.
const MODULES: &[&str] = &[
    "test_sqlite3",
    "test_sysconfig",
    "test_site",
    "test_venv",
    "test_ensurepip",
    "test_ctypes",
    "test_ssl",
    "test_hashlib",
    "test_zlib",
    "test_readline",
    "test_curses",
    "test_decimal",
    "test_importlib",
    "test_os",
    "test_io",
    "test_subprocess",
    "test_threading",
    "test_multiprocessing_fork",
    "test_signal",
    "test_asyncio",
];

/// The version that Debian 12 has the source of.
const VERSION: &str = "3.11.2";

/// Runs the modules that were asked for and says what differs without an explanation.
pub fn run(context: &Context) -> Result<Vec<String>> {
    let prefix = interpreter(context.workspace)?;
    let script = Script {
        suite: Suite::Pyenv,
        python: prefix.join("bin/python3.11"),
        share: Some(prefix),
        file: "cpython.py",
        arguments: resources,
        memory: MEMORY,
    };
    python::run(context, &script, MODULES)
}

/// The folder with the interpreter, built if it is not there.
fn interpreter(workspace: &Workspace) -> Result<PathBuf> {
    let versions = workspace.target().join("conformance/pyenv/versions");
    let prefix = versions.join(VERSION);
    // Made last.
    if prefix.join("bin/python").exists() {
        return Ok(prefix);
    }
    setup::cpython_build()?;
    let sources = workspace.target().join("conformance/pyenv/sources");
    let source = unpack(&sources)?;
    println!("building CPython {VERSION} into {}", prefix.display());
    let libraries = prefix.join("lib");
    let mut configure = Command::new("./configure");
    configure.arg(format!("--prefix={}", prefix.display())).arg(format!("--libdir={}", libraries.display()));
    configure.env("LDFLAGS", format!("-L{0} -Wl,-rpath,{0}", libraries.display()));
    process::capture(configure.arg("--quiet").current_dir(&source))?;
    let jobs = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    process::capture(Command::new("make").arg(format!("-j{jobs}")).current_dir(&source))?;
    process::capture(Command::new("make").arg("install").current_dir(&source))?;
    // Which `make install` leaves out.
    let tests = prefix.join("lib/python3.11/test");
    process::capture(
        Command::new("cp").args(["-r", "Lib/test/test_sqlite3"]).arg(tests).current_dir(&source),
    )?;
    std::os::unix::fs::symlink("python3.11", prefix.join("bin/python")).context("cannot finish the build")?;
    fs::remove_dir_all(&sources).with_context(|| format!("cannot remove {}", sources.display()))?;
    Ok(prefix)
}

/// Fetches Debian's source package, of which only the upstream archive is used, and unpacks it.
fn unpack(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    setup::fetch_source("python3.11", folder)?;
    let archive = format!("python3.11_{VERSION}.orig.tar.gz");
    if !folder.join(&archive).is_file() {
        bail!("Debian's source package of python3.11 has no {archive}; another release is configured here");
    }
    process::capture(Command::new("tar").args(["xzf", &archive]).current_dir(folder))?;
    Ok(folder.join(format!("Python-{VERSION}")))
}
