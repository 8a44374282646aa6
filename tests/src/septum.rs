//! A partition, described as a test thinks of it and run by the `septum` binary.
//!
//! [`Septum`] is the command line `septum run [options] -- program arguments`. Options that a test states more than
//! once are given more than once. The binary gets a small environment of its own; nothing of the test's reaches it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use crate::lane;
use crate::process::{Input, Invocation, Output, Running, Sink};

/// Septum's own exit statuses: the program never ran to its end, and this is why.
pub mod exit {
    /// The command line was wrong.
    pub const USAGE: i32 = 241;
    /// This host cannot run partitions.
    pub const HOST: i32 = 242;
    /// The program could not be started.
    pub const PROGRAM: i32 = 243;
    /// A volume, root or working directory is not there.
    pub const PATH: i32 = 244;
    /// The partition's memory is too small.
    pub const MEMORY: i32 = 245;
    /// The partition ran longer than its time limit.
    pub const TIMEOUT: i32 = 246;
    /// The worker process died.
    pub const WORKER: i32 = 247;
    /// The guest kernel panicked.
    pub const PANIC: i32 = 248;
    /// The guest broke the protocol, or Septum itself failed.
    pub const INTERNAL: i32 = 249;
    /// The program was killed because the partition ran out of memory.
    pub const OUT_OF_MEMORY: i32 = 250;
}

/// One call of `septum run`.
#[derive(Clone, Debug)]
pub struct Septum {
    invocation: Invocation,
    options: Vec<OsString>,
    program: Vec<OsString>,
}

impl Septum {
    /// `septum run -- program`, in the privilege mode that `SEPTUM_PRIVILEGE` names, if it is set.
    pub fn run(program: impl AsRef<OsStr>) -> Self {
        let mut invocation = Invocation::new(lane::septum_binary());
        let mut options = Vec::new();
        if let Some(mode) = std::env::var_os("SEPTUM_PRIVILEGE") {
            options.extend(["--privilege".into(), mode]);
        }
        for key in ["HOME", "TMPDIR", "XDG_RUNTIME_DIR"] {
            if let Some(value) = std::env::var_os(key) {
                invocation = invocation.environment(key, value);
            }
        }
        Self { invocation, options, program: vec![program.as_ref().to_os_string()] }
    }

    /// `septum`, followed by these arguments and nothing else.
    pub fn raw<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Invocation {
        Invocation::new(lane::septum_binary()).arguments(arguments)
    }

    /// Adds an argument of the program.
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.program.push(argument.as_ref().to_os_string());
        self
    }

    /// Adds arguments of the program.
    pub fn arguments<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.program.extend(arguments.into_iter().map(|argument| argument.as_ref().to_os_string()));
        self
    }

    /// Adds an option without a value.
    pub fn flag(mut self, flag: &str) -> Self {
        self.options.push(flag.into());
        self
    }

    /// Adds an option and its value.
    pub fn option(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.options.push(name.into());
        self.options.push(value.as_ref().to_os_string());
        self
    }

    /// Sets a variable of the program's environment.
    pub fn env(self, key: &str, value: &str) -> Self {
        self.option("--env", format!("{key}={value}"))
    }

    /// Gives a host directory, writable, at a path of the partition.
    pub fn volume(self, host: impl AsRef<Path>, guest: impl AsRef<Path>) -> Self {
        let value = volume_value(host.as_ref(), guest.as_ref(), "");
        self.option("--volume", value)
    }

    /// Gives a host directory, read-only, at a path of the partition.
    pub fn volume_read_only(self, host: impl AsRef<Path>, guest: impl AsRef<Path>) -> Self {
        let value = volume_value(host.as_ref(), guest.as_ref(), ":ro");
        self.option("--volume", value)
    }

    /// Sets an environment variable of the `septum` process itself.
    pub fn own_environment(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.invocation = self.invocation.environment(key, value);
        self
    }

    /// Sets the directory that `septum` is started in.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.invocation = self.invocation.directory(directory);
        self
    }

    /// Sets what standard input is.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.invocation = self.invocation.stdin(stdin);
        self
    }

    /// Sets where standard output goes.
    pub fn stdout(mut self, stdout: Sink) -> Self {
        self.invocation = self.invocation.stdout(stdout);
        self
    }

    /// Sets where standard error goes.
    pub fn stderr(mut self, stderr: Sink) -> Self {
        self.invocation = self.invocation.stderr(stderr);
        self
    }

    /// Sets how long the harness waits, on the host side.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.invocation = self.invocation.deadline(deadline);
        self
    }

    /// The process that this stands for.
    pub fn invocation(&self) -> Invocation {
        let whole = self.invocation.clone().argument("run").arguments(&self.options);
        whole.argument("--").arguments(&self.program)
    }

    /// Runs the partition to its end.
    #[track_caller]
    pub fn output(&self) -> Output {
        self.invocation().run()
    }

    /// Starts the partition.
    #[track_caller]
    pub fn spawn(&self) -> Running {
        self.invocation().spawn()
    }
}

fn volume_value(host: &Path, guest: &Path, suffix: &str) -> OsString {
    let mut value = host.as_os_str().to_os_string();
    value.push(":");
    value.push(guest);
    value.push(suffix);
    value
}
