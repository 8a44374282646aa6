//! The measured programs, compiled, and the files that they read.
//!
//! ```text
//!   hello idle kernel threads files disks matrix network processes empty_vm     static, from benches/programs/*.c
//!   hello.c epoch.py   as they are
//!   python.erofs       an image of a Debian with Python, where there is one
//!   input     4 MiB    for sha256sum, and a name to look up
//!   medium   64 MiB    for lanes where a GiB takes too long
//!   large     1 GiB    where this machine has the memory to keep it
//! ```

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::cases::PYTHON_IMAGE;
use crate::process;
use crate::setup;
use crate::workspace::Workspace;

const PROGRAMS: &[&str] =
    &["hello", "idle", "kernel", "threads", "files", "disks", "matrix", "network", "processes", "empty_vm"];

/// What is run or compiled as it stands.
const SOURCES: &[&str] = &["hello.c", "epoch.py"];

const MEBIBYTE: usize = 1 << 20;

const INPUT_MIB: usize = 4;
const MEDIUM_MIB: usize = 64;
const LARGE_MIB: usize = 1024;

/// The large file stays in memory, beside what its readers need, if this much is available.
const MEMORY_FOR_LARGE_MIB: usize = 4 * LARGE_MIB;

/// Compiles the programs and makes the files that are missing.
pub fn prepare(workspace: &Workspace, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in PROGRAMS {
        let source = workspace.root().join("benches/programs").join(name).with_extension("c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-static", "-pthread", "-o"]).arg(folder.join(name)).arg(source);
        process::run(&mut gcc)?;
    }
    for name in SOURCES {
        let source = workspace.root().join("benches/programs").join(name);
        fs::copy(source, folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    fill(&folder.join("input"), INPUT_MIB)?;
    fill(&folder.join("medium"), MEDIUM_MIB)?;
    if available_mib().is_some_and(|available| available >= MEMORY_FOR_LARGE_MIB) {
        fill(&folder.join("large"), LARGE_MIB)?;
    }
    Ok(())
}

/// Makes an image of a Debian with Python in the folder.
pub fn prepare_image(workspace: &Workspace, septum: &Path, folder: &Path) -> Result<()> {
    setup::python_root(workspace);
    let root = workspace.target().join("stacks/python");
    ensure!(root.join("usr/bin").is_dir(), "there is no {}", root.display());
    let (data, name) = (folder.join("images"), "bench-python");
    let image = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new(septum);
        command.env("SEPTUM_DATA_DIR", &data).arg("image").args(arguments);
        process::capture(&mut command)
    };
    image(&["build".as_ref(), "-q".as_ref(), "-t".as_ref(), name.as_ref(), root.as_os_str()])?;
    let shown: serde_json::Value = serde_json::from_str(&image(&["inspect".as_ref(), name.as_ref()])?)?;
    let digest = shown.get("files_digest").and_then(serde_json::Value::as_str).context("no digest")?;
    let file = data.join("images/files").join(digest.trim_start_matches("sha256:")).with_extension("erofs");
    let place = folder.join(PYTHON_IMAGE);
    let _ = fs::remove_file(&place);
    fs::hard_link(&file, &place).with_context(|| format!("cannot make {}", place.display()))
}

/// Makes a file of this size, unless it is there. Any bytes do that are the same each time and differ from page to
/// page.
fn fill(path: &Path, mebibytes: usize) -> Result<()> {
    let wanted = u64::try_from(mebibytes * MEBIBYTE)?;
    if fs::metadata(path).is_ok_and(|present| present.len() == wanted) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        let mut state: u64 = 1;
        for _ in 0..mebibytes {
            let words = (0..MEBIBYTE / size_of::<u64>()).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state
            });
            file.write_all(&words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>())?;
        }
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn available_mib() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024)
}
