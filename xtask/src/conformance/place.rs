//! The two places where a suite runs, made as equal as they can be.
//!
//! Both get a folder of their own, emptied before, at the same path; the same environment; no input; an output that goes
//! into a log. A partition has the folder as a volume. A run that has done nothing for a while, or that reaches its
//! limit, is killed with all that it started.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process;
use crate::test::is_single_privilege;
use crate::workspace::Workspace;

/// What a program in either place finds in its environment, and nothing else.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
    ("HOME", "/root"),
    ("USER", "root"),
    ("LOGNAME", "root"),
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
];

/// The partition's memory, where nothing else is said: what a small machine has.
pub const MEMORY: &str = "2G";

const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Native,
    Partition,
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Partition => "partition",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status (128 + N by signal N).
    Status(i32),
    /// The file to watch did not grow for a while.
    Stalled,
    /// It took longer than it may.
    TimedOut,
}

/// How long a run may take.
#[derive(Clone, Copy)]
pub struct Limits {
    pub whole: Duration,
    /// The longest time in which the watched file may stay as long as it is.
    pub without_progress: Duration,
}

/// A folder for one module's runs, and where their logs are kept.
pub struct Bench<'a> {
    septum: &'a Path,
    memory: &'a str,
    /// What a partition sees besides, read-only.
    share: Option<&'a Path>,
    folder: PathBuf,
    logs: PathBuf,
}

impl<'a> Bench<'a> {
    /// Makes the folder. Its path is short: addresses of Unix sockets have room for 108 bytes.
    pub fn new(workspace: &Workspace, septum: &'a Path, suite: &str, memory: &'a str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("septum-{}", std::process::id()));
        let logs = workspace.target().join("conformance").join(suite);
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(Self { septum, memory, share: None, folder, logs })
    }

    /// Lets partitions see this folder.
    pub fn share(&mut self, folder: Option<&'a Path>) {
        self.share = folder;
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn log(&self, name: &str, place: Place) -> PathBuf {
        self.logs.join(format!("{name}.{}.log", place.name()))
    }

    /// Removes what an earlier run left.
    pub fn empty(&self) -> Result<()> {
        self.remove();
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot create {}", self.folder.display()))
    }

    fn remove(&self) {
        // Tests leave folders behind that nobody may search. What cannot be removed shows when it is made anew.
        drop(Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.folder).stderr(Stdio::null()).status());
        drop(fs::remove_dir_all(&self.folder));
    }

    /// Runs a program in the folder; its output is appended to the log.
    pub fn run(
        &self,
        place: Place,
        name: &str,
        program: &[&str],
        watched: &Path,
        limits: Limits,
    ) -> Result<End> {
        let path = self.log(name, place);
        let log = File::options().append(true).create(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = self.command(place, program);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {}", process::describe(&command)))?;
        wait(child, watched, limits)
    }

    fn command(&self, place: Place, program: &[&str]) -> Command {
        match place {
            Place::Native => {
                let mut command = Command::new("/usr/bin/env");
                command.arg("-i").args(ENVIRONMENT.iter().map(|(key, value)| format!("{key}={value}")));
                command.args(program);
                command
            }
            Place::Partition => {
                let folder = self.folder.display();
                let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
                let mut command = Command::new(self.septum);
                command.args(["run", "--memory", self.memory, "--cpus", &processors.to_string()]);
                command.arg(format!("--volume={folder}:{folder}")).arg(format!("--workdir={folder}"));
                command.args(self.share.map(|share| format!("--volume={0}:{0}:ro", share.display())));
                command.args(ENVIRONMENT.iter().map(|(key, value)| format!("--env={key}={value}")));
                command.arg("--").args(program);
                command
            }
        }
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

fn wait(mut child: Child, watched: &Path, limits: Limits) -> Result<End> {
    use std::os::unix::process::ExitStatusExt as _;
    let begin = Instant::now();
    let mut progress = (begin, 0);
    loop {
        if let Some(status) = child.try_wait()? {
            // What it started and left behind would disturb the next run.
            kill_group(&child);
            let status = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            return Ok(End::Status(status.unwrap_or(-1)));
        }
        let length = fs::metadata(watched).map_or(0, |metadata| metadata.len());
        if length != progress.1 {
            progress = (Instant::now(), length);
        }
        let end = if begin.elapsed() > limits.whole {
            End::TimedOut
        } else if progress.0.elapsed() > limits.without_progress {
            End::Stalled
        } else {
            thread::sleep(LOOK_EVERY);
            continue;
        };
        kill_group(&child);
        child.wait()?;
        return Ok(end);
    }
}

fn kill_group(child: &Child) {
    // There may be nobody left in it.
    drop(
        Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", child.id())])
            .stderr(Stdio::null())
            .status(),
    );
}

/// Where partitions' kernels run on this host, in words.
pub fn mode(septum: &Path) -> &'static str {
    if is_single_privilege(septum) { "single privilege" } else { "ring 0" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(script: &str, watched: &Path) -> End {
        let child = Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap();
        let limits =
            Limits { whole: Duration::from_millis(1500), without_progress: Duration::from_millis(700) };
        wait(child, watched, limits).unwrap()
    }

    #[test]
    fn a_run_ends_by_itself_or_is_ended() {
        let path = std::env::temp_dir().join(format!("septum-watched-{}", std::process::id()));
        let grows = format!("while sleep 0.2; do echo x >> {}; done", path.display());
        assert_eq!(end("exit 3", &path), End::Status(3));
        assert_eq!(end("kill -9 $$", &path), End::Status(137));
        assert_eq!(end("sleep 60", &path), End::Stalled);
        assert_eq!(end(&grows, &path), End::TimedOut);
        fs::remove_file(path).unwrap();
    }
}
