//! The nested lane: a complete emulated host with its own `/dev/kvm`, `/dev/vfio` and PCI devices.
//!
//! QEMU emulates an AMD processor with SVM and an Intel IOMMU in software, so neither KVM nor any
//! privilege over devices is needed outside; Debian's cloud kernel runs in it with kvm-amd and vfio-pci.
//!
//! ```text
//!   cargo xtask nested -- CMD
//!     │  kernel.rs      the kernel package, cached          initramfs.rs, cpio.rs   what it boots into
//!     │  machine.rs     QEMU and the file servers           output.rs               its streams, its end
//!     ▼
//!   first-stage.sh  modules, root file system  →  second-stage.sh  devices, ports, CMD
//! ```
//!
//! CMD sees the outer host's files at their own paths, read-only below and writable in RAM on top; its
//! working directory is the caller's. Its output streams arrive on ours, its status is our status. A host
//! that stops showing signs of life is ended and tried once more, and that is said aloud: emulation has
//! been seen to hang.

mod cpio;
mod initramfs;
mod kernel;
mod linux_guest;
mod machine;
mod output;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::workspace::Workspace;
use crate::{process, setup};
use machine::{Machine, Outcome};

pub use linux_guest::LinuxGuest;
pub use machine::FILE_SERVER_PROGRAMS;

/// The status of a command that ran out of time, as `timeout` reports it.
const TIMED_OUT: u8 = 124;

/// What of the caller's environment reaches the command; everything named `SEPTUM*` does too.
const PASSED_VARIABLES: &[&str] = &["PATH", "HOME", "LANG", "TERM", "RUST_BACKTRACE", "RUST_LOG"];

/// What `cargo xtask nested` may be told.
#[derive(Args)]
pub struct Options {
    /// Memory of the nested host, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: u32,
    /// Processors of the nested host for the command
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub cpus: u8,
    /// End the command after this time; the exit status is then 124
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub timeout: u64,
    /// Mount this folder of the outer host writable at /septum-out
    #[arg(long, value_name = "DIR")]
    pub write_back: Option<PathBuf>,
    /// Set a variable for the command, in addition to PATH, HOME and SEPTUM*
    #[arg(long, value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// Add an emulated device (an argument of QEMU's -device)
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Add an argument of QEMU's, to look into the emulation
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub emulator: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Runs the command in a nested host and returns its exit status.
pub fn run(workspace: &Workspace, options: &Options) -> Result<u8> {
    let cache = workspace.target().join("nested");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let kernel = kernel::Kernel::obtain(&cache)?;
    let busybox = static_busybox().context("no statically linked busybox")?;
    let base = initramfs::base(&cache, &kernel, &busybox)?;
    let script = job_script(options)?;
    let limit = Duration::from_secs(options.timeout);

    for attempt in ["first", "second"] {
        let folder = RunFolder::create(&cache)?;
        let yes = |condition: bool| if condition { "yes" } else { "" };
        let settings = format!(
            "end_marker={}\nprocessors={}\nwrite_back={}\noverlay={}\n",
            process::shell_quote(output::END_MARKER),
            machine::processors_of_command(options.cpus),
            yes(options.write_back.is_some()),
            yes(setup::is_root()?),
        );
        let mut initramfs = base.clone();
        initramfs.extend(initramfs::job(&settings, &script)?);
        let mut machine = Machine::start(options, &folder.path, kernel.image(), &initramfs)?;
        match machine.follow(limit)? {
            Outcome::Exited(status) => {
                drop(machine);
                folder.remove();
                return Ok(status);
            }
            Outcome::TimedOut => {
                eprintln!(
                    "nested: ended after {} s (--timeout); console: {}",
                    options.timeout,
                    folder.console()
                );
                return Ok(TIMED_OUT);
            }
            Outcome::Silent(silence) if attempt == "first" => {
                eprintln!("nested: no sign of life for {} s; second try", silence.as_secs());
            }
            Outcome::Silent(silence) => {
                bail!("no sign of life for {} s, twice; console: {}", silence.as_secs(), folder.console());
            }
            Outcome::Ended(reason) => {
                bail!("the nested host ended early: {reason}; see {}", folder.path.display())
            }
        }
    }
    bail!("the nested host did not run")
}

/// A call of `cargo xtask nested` with these options, to which the command to run is added. For other
/// commands of this tool, which want to read what it prints; it ends when they do.
pub fn command(options: &[&str]) -> Result<Command> {
    let xtask = process::own_program()?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(xtask).arg("nested").args(options).arg("--");
    Ok(command)
}

/// A shell script that becomes the command, in the caller's folder, with the variables that pass.
fn job_script(options: &Options) -> Result<String> {
    let mut script = String::new();
    let passed = std::env::vars()
        .filter(|(key, _)| PASSED_VARIABLES.contains(&key.as_str()) || key.starts_with("SEPTUM"));
    for (key, value) in passed {
        script += &format!("export {key}={}\n", process::shell_quote(&value));
    }
    for variable in &options.env {
        let (key, value) =
            variable.split_once('=').with_context(|| format!("--env {variable}: no '=' in it"))?;
        script += &format!("export {key}={}\n", process::shell_quote(value));
    }
    let folder = std::env::current_dir().context("cannot tell the current folder")?;
    script += &format!("cd {} || exit 126\nexec", process::shell_quote(&folder.to_string_lossy()));
    for word in &options.command {
        script += " ";
        script += &process::shell_quote(word);
    }
    script += "\n";
    Ok(script)
}

/// The folder of one run: console log, QEMU's messages, the initramfs. Kept when something went wrong.
struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    fn create(cache: &Path) -> Result<Self> {
        for number in 0..u32::MAX {
            let path = cache.join(format!("run-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
            }
        }
        bail!("no free name for a run in {}", cache.display())
    }

    fn console(&self) -> String {
        self.path.join("console.log").display().to_string()
    }

    fn remove(self) {
        // A leftover log is harmless.
        let _ = fs::remove_dir_all(self.path);
    }
}

/// A busybox that needs no shared library, as the initramfs has none.
pub fn static_busybox() -> Option<PathBuf> {
    let path = process::find_program("busybox")?;
    let content = fs::read(&path).ok()?;
    // A dynamic program names its loader near its start.
    let head = content.get(..4096).unwrap_or(&content);
    let is_dynamic = head.windows(4).any(|window| window == b"/ld-");
    (!is_dynamic).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_quotes_every_word() {
        let options = Options {
            memory: 1,
            cpus: 1,
            timeout: 1,
            write_back: None,
            env: vec!["A=b c".to_owned()],
            emulator: Vec::new(),
            device: Vec::new(),
            command: ["echo", "it's", ""].map(str::to_owned).to_vec(),
        };
        let script = job_script(&options).unwrap();
        assert!(script.contains("export A='b c'\n"), "{script}");
        assert!(script.ends_with("exec 'echo' 'it'\\''s' ''\n"), "{script}");
    }
}
